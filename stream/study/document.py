"""A structured report as such: who observed, of whom, by which algorithm, with which evidence."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    Comprehensive3DSR,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    MeasurementProperties,
    MeasurementReport,
    ObservationContext,
    ObserverContext,
    RelationshipTypeValues,
    SubjectContext,
    SubjectContextFetus,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset

from neurosono.engine import __version__
from neurosono.engine.contracts.notice import MAKER, NOTICE
from neurosono.stream.report.gather import Report
from neurosono.stream.study import codes
from neurosono.stream.study.identity import name_uid
from neurosono.stream.study.order import describe_fulfilled
from neurosono.stream.study.pictures import Pictures

Group = Sequence[Dataset]
"""A group of measurements: a sequence of the one container that holds them."""
Document = TypeVar("Document", ComprehensiveSR, Comprehensive3DSR)
SERIES = {"pictures": 8101, "exam": 8102, "regions": 8103, "biometry": 8104, "page": 8105}
"""Numbers of our series, far above a scanner's own."""


def make_measurement_report(
    report: Report, pictures: Pictures, groups: Sequence[Group], what: str, revision: str
) -> Comprehensive3DSR:
    """Return a document of template TID 1500."""
    content = MeasurementReport(
        observation_context=ObservationContext(
            observer_device_context=observe(), subject_context=name_fetus()
        ),
        procedure_reported=codes.OBSTETRIC_ULTRASOUND,
        imaging_measurements=groups,
    )
    return make_document(Comprehensive3DSR, content[0], report, pictures, what, revision)


def make_document(
    kind: type[Document],
    content: Dataset,
    report: Report,
    pictures: Pictures,
    what: str,
    revision: str,
) -> Document:
    """Return a document whose root is `content`, in a series of its own: `what` of `SERIES`."""
    exam_id = report.exam.exam_id
    document = kind(
        evidence=[pictures.dataset, *pictures.sources],
        content=content,
        series_instance_uid=name_uid(exam_id, what, "series"),
        series_number=SERIES[what],
        sop_instance_uid=name_uid(exam_id, what, revision),
        instance_number=1,
        manufacturer=MAKER,
        is_complete=report.exam.condition == "ended",
        is_final=False,
        is_verified=False,
        series_description=f"neurosono {what}. {NOTICE}"[:64],
        manufacturer_model_name=MAKER,
        software_versions=__version__,
    )
    document.ContentDate = pictures.dataset.ContentDate
    document.ContentTime = pictures.dataset.ContentTime
    if pictures.identity.order is not None:
        fulfilled = describe_fulfilled(pictures.identity.order, document.StudyInstanceUID)
        document.ReferencedRequestSequence = [fulfilled]
    return document


def observe() -> ObserverContext:
    """Return who observed: this release, a device."""
    device = DeviceObserverIdentifyingAttributes(
        uid=name_uid(MAKER, __version__), name=MAKER, manufacturer_name=MAKER, model_name=MAKER
    )
    return ObserverContext(codes.DEVICE, device)


def name_fetus() -> SubjectContext:
    """Return of whom: the fetus."""
    return SubjectContext(codes.FETUS, SubjectContextFetus("1"))


def identify_algorithm(report: Report) -> AlgorithmIdentification:
    """Return what judged the exam."""
    about, engine = report.exam.about, report.engine
    parameters = [f"bundle sha256 {about['bundle_sha256']}"]
    if "student_sha256" in about:
        parameters.append(f"student sha256 {about['student_sha256']}")
    used = [f"{name} {value}" for name, value in engine.items() if value is not None]
    if used:
        parameters.append(", ".join(used))
    return _identify(report, about.get("bundle"), parameters)


def identify_reader(report: Report, bundle: Mapping[str, Any]) -> AlgorithmIdentification:
    """Return what read beside it; `bundle` is `name` and `sha256`."""
    return _identify(report, bundle["name"], [f"bundle sha256 {bundle['sha256']}"])


def _identify(report: Report, bundle: str | None, parameters: list[str]) -> AlgorithmIdentification:
    return AlgorithmIdentification(
        name=f"neurosono, bundle {bundle or 'unnamed'}",
        version=str(report.exam.about.get("release") or __version__),
        parameters=parameters,
    )


def track(report: Report, what: str) -> TrackingIdentifier:
    """Return by what a group is known again in another report of the exam."""
    return TrackingIdentifier(uid=name_uid(report.exam.exam_id, "track", what), identifier=what)


def bound(low: float, value: float, high: float, unit: CodedConcept) -> MeasurementProperties:
    """Return how far a measure may be off: distances from it (TID 310), in its own unit."""
    properties = MeasurementProperties(
        upper_measurement_uncertainty=max(0.0, high - value),
        lower_measurement_uncertainty=max(0.0, value - low),
    )
    for item in properties:  # highdicom knows them without a unit alone
        item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence = [unit]
    return properties


def comment(group: Group, words: str) -> None:
    """Add a sentence to a group."""
    item = TextContentItem(codes.COMMENT, words, RelationshipTypeValues.CONTAINS)
    container: Dataset = group[0]
    container.ContentSequence.append(item)
