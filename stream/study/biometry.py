"""What was measured of the head, as obstetric reporting systems read it: template TID 5000.

Only where a bundle measured in millimetres; nobody's scale is guessed.
"""

from collections.abc import Mapping
from typing import Any

from highdicom.sr import (
    CodeContentItem,
    CodedConcept,
    ComprehensiveSR,
    ContainerContentItem,
    ContentSequence,
    Measurement,
    NumContentItem,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom.dataset import Dataset

from neurosono.engine.contracts.notice import NOTICE
from neurosono.stream.report.gather import Report
from neurosono.stream.study import codes
from neurosono.stream.study.document import make_document, name_fetus, observe
from neurosono.stream.study.pictures import Pictures
from neurosono.stream.study.readings import measure

TEMPLATE = "5000"
SECTIONS = {
    codes.FETAL_BIOMETRY: ("hc", "bpd", "ofd"),
    codes.FETAL_CRANIUM: ("atrial_width",),
}
"""Templates TID 5005 and TID 5007, and what we measure of each."""
DAYS_A_WEEK = 7


def describe_biometry(report: Report, pictures: Pictures, revision: str) -> ComprehensiveSR | None:
    """Return the document; None where nothing was measured in millimetres."""
    found = next((each for each in map(_pick, report.readings.values()) if each), None)
    if found is None:
        return None
    root = ContainerContentItem(codes.OBSTETRIC_REPORT, template_id=TEMPLATE)
    root.ContentSequence = ContentSequence(is_root=False)
    inner = list(observe()) + list(name_fetus())
    for item in inner:
        root.ContentSequence.append(item)
    for section, places in SECTIONS.items():
        groups = [_group(place, found) for place in places if place in found]
        if groups:
            root.ContentSequence.append(_contain(section, [*_name_subject(), *groups]))
    root.ContentSequence.append(
        TextContentItem(codes.COMMENT, NOTICE, RelationshipTypeValues.CONTAINS)
    )
    return make_document(ComprehensiveSR, root, report, pictures, "biometry", revision)


def _pick(reading: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a reading measured in millimetres, and the age by it."""
    measured = {
        name.removesuffix("_mm"): found
        for name, found in (reading.get("measurements") or {}).items()
        if name.endswith("_mm") and found is not None and name.removesuffix("_mm") in codes.MEASURES
    }
    age = reading.get("age")
    return measured | ({"age": age} if measured and age is not None else {})


def _group(place: str, found: Mapping[str, Any]) -> ContainerContentItem:
    """Return a biometry group (TID 5008): the measure, and of HC the age that it speaks for."""
    items: list[Dataset] = list(measure(found[place], codes.MEASURES[place], codes.MM))
    if place == "hc" and "age" in found:
        items.append(_tell_age(found["age"]))
    return _contain(codes.BIOMETRY_GROUP, items)


def _tell_age(age: Mapping[str, Any]) -> NumContentItem:
    days = Measurement(codes.GESTATIONAL_AGE, round(age["weeks"] * DAYS_A_WEEK, 1), codes.DAYS)
    item: NumContentItem = days[0]
    item.ContentSequence = ContentSequence(
        [
            CodeContentItem(codes.EQUATION, codes.HC_HADLOCK, RelationshipTypeValues.INFERRED_FROM),
            NumContentItem(
                codes.TWO_SIGMA,
                round(age["two_sd_weeks"] * DAYS_A_WEEK, 1),
                codes.DAYS,
                relationship_type=RelationshipTypeValues.HAS_PROPERTIES,
            ),
        ]
    )
    return item


def _name_subject() -> list[Dataset]:
    return list(name_fetus())


def _contain(name: CodedConcept, items: list[Dataset]) -> ContainerContentItem:
    container = ContainerContentItem(name, relationship_type=RelationshipTypeValues.CONTAINS)
    container.ContentSequence = ContentSequence(items)
    return container
