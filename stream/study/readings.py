"""What bundles beside the first read, a group each: measures with their spread, the checklist."""

from collections.abc import Mapping
from typing import Any

from highdicom.sr import (
    CodedConcept,
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
)

from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.kinds import tell_recorded
from neurosono.stream.report.gather import Report
from neurosono.stream.study import codes
from neurosono.stream.study.codes import code_own
from neurosono.stream.study.document import Group, bound, comment, identify_reader, track

UNPROVEN = "learnt on phantoms: no real picture vouches for it"


def describe_readings(report: Report) -> list[Group]:
    """Return a group for each bundle that read beside the first."""
    return [_describe(report, name, reading) for name, reading in report.readings.items()]


def measure(found: Mapping[str, Any], name: CodedConcept, unit: CodedConcept) -> Measurement:
    """Return a measure of the exam: the median of its frames, and how far it may be off."""
    value, low, high = (float(found[each]) for each in ("value", "low", "high"))
    return Measurement(
        name,
        value,
        unit,
        derivation=codes.MEDIAN,
        properties=bound(low, value, high, unit),
    )


def _describe(report: Report, name: str, reading: Mapping[str, Any]) -> Group:
    frames = reading["frames"]
    counted = {"Frames used": frames["used"], "Frames sampled": frames["sampled"]}
    counted |= {f"Frames left out: {why}": n for why, n in sorted(frames["skipped"].items())}
    told = tell_recorded(reading["kind"], reading)
    counted |= {f"Frames with {mark.name}": mark.frames for mark in told.marks}
    measured = [
        Measurement(code_own(what), float(number), codes.NO_UNIT)
        for what, number in counted.items()
    ]
    for what, found in (reading.get("measurements") or {}).items():
        place, _, unit = what.rpartition("_")
        if found is not None and unit == "mm":
            measured.append(measure(found, codes.MEASURES.get(place) or code_own(place), codes.MM))
    group: Group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=track(report, f"reading {name}"),
        algorithm_id=identify_reader(report, reading["bundle"]),
        measurements=measured,
        qualitative_evaluations=[
            QualitativeEvaluation(code_own(mark.name), codes.SEEN if mark.seen else codes.NOT_SEEN)
            for mark in told.marks
        ],
    )
    for line in told.lines:
        comment(group, f"{line}. {NOTICE}")
    for mark in told.marks:
        if mark.unproven:
            comment(group, f"{mark.name}: {UNPROVEN}. {NOTICE}")
    if not told.lines:
        comment(group, f"{name} measured nothing. {NOTICE}")
    return group
