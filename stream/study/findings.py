"""What was said of an exam, as two structured reports of template TID 1500.

One holds the exam: probabilities with their uncertainty, set, state, frames and why some were left
out, and what bundles beside the first read. The other holds the kept frames, each with the region
that the network looked at and what a person said of it: viewers that draw regions open a report
blank in which any group has none.
"""

import numpy as np
from highdicom.sr import (
    Comprehensive3DSR,
    GraphicTypeValues,
    ImageRegion,
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    SourceImageForMeasurement,
    SourceImageForMeasurementGroup,
    SourceImageForRegion,
)

from neurosono.engine.contracts.notice import NOTICE
from neurosono.stream.report.gather import Report
from neurosono.stream.study import codes
from neurosono.stream.study.codes import Scheme, code_class, code_own
from neurosono.stream.study.document import (
    Group,
    bound,
    comment,
    identify_algorithm,
    make_measurement_report,
    track,
)
from neurosono.stream.study.pictures import Pictures, Seen, Shown
from neurosono.stream.study.readings import describe_readings
from neurosono.stream.view.words import STATE_SENTENCES, has_figures

MOST_GAPS = 50
"""Times without AI that are told one by one."""


def describe_exam(
    report: Report, pictures: Pictures, scheme: Scheme, revision: str
) -> Comprehensive3DSR:
    """Return the report of the exam as a whole; it refers to the kept frames."""
    groups: list[Group] = [_describe_state(report, pictures)]
    last = report.exam.last
    if last is not None and has_figures(last):
        for number, label in enumerate(report.exam.labels):
            span = (last.low[number], last.probabilities[number], last.high[number])
            groups.append(_describe_class(report, label, span, scheme))
    groups += describe_readings(report)
    return make_measurement_report(report, pictures, groups, "exam", revision)


def describe_regions(
    report: Report, pictures: Pictures, scheme: Scheme, revision: str
) -> Comprehensive3DSR | None:
    """Return the report of the kept frames' regions; None where no frame has one."""
    groups = [
        _describe_region(report, pictures, shown, scheme)
        for shown in pictures.shown
        if shown.box is not None and shown.picture.label is not None
    ]
    return (
        make_measurement_report(report, pictures, groups, "regions", revision) if groups else None
    )


def _describe_state(report: Report, pictures: Pictures) -> Group:
    exam, last = report.exam, report.exam.last
    counted = {"Frames used": exam.used, "Frames sampled": exam.sampled}
    counted |= {f"Frames left out: {reason}": n for reason, n in sorted(exam.skipped.items())}
    measured = [
        Measurement(code_own(name), float(number), codes.NO_UNIT)
        for name, number in counted.items()
    ]
    measured.append(
        Measurement(code_own("AI off"), report.history.total_s("ai-off"), codes.SECONDS)
    )
    state = "none" if last is None else str(last.state)
    said = [QualitativeEvaluation(code_own("Exam state"), code_own(state))]
    if last is not None and has_figures(last):
        said += [
            QualitativeEvaluation(code_own("In the prediction set"), code_own(label))
            for label in last.prediction_set
        ]
        alarm = "reached" if last.alarm else "not reached"
        said.append(QualitativeEvaluation(code_own("Operating point"), code_own(alarm)))
    sentence = "No frame was judged." if last is None else STATE_SENTENCES[last.state]
    group: Group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=track(report, "exam"),
        algorithm_id=identify_algorithm(report),
        measurements=measured,
        qualitative_evaluations=said,
        source_images=[
            SourceImageForMeasurementGroup(each.SOPClassUID, each.SOPInstanceUID)
            for each in (pictures.dataset, *pictures.sources)
        ],
    )
    comment(group, f"{NOTICE} {sentence}")
    off = (each for each in report.history.stretches if each.what == "ai-off")
    if gaps := [each for each in off if each.end_s > each.begin_s]:
        told = [f"{each.begin_s:.1f} to {each.end_s:.1f} s" for each in gaps[:MOST_GAPS]]
        more = f" and {len(gaps) - MOST_GAPS} times more" if len(gaps) > MOST_GAPS else ""
        comment(group, f"AI off from {', '.join(told)} of the exam{more}. {NOTICE}")
    return group


def _describe_class(
    report: Report, label: str, span: tuple[float, float, float], scheme: Scheme
) -> Group:
    low, value, high = (float(np.clip(each, 0, 1)) for each in span)
    group: Group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=track(report, f"exam {label}"),
        finding_type=code_class(label, scheme),
        algorithm_id=identify_algorithm(report),
        measurements=[
            Measurement(
                codes.PROBABILITY,
                value,
                codes.NO_UNIT,
                properties=bound(low, value, high, codes.NO_UNIT),
            )
        ],
    )
    comment(group, f"{label}. {NOTICE}")
    return group


def _describe_region(report: Report, pictures: Pictures, shown: Shown, scheme: Scheme) -> Group:
    picture = shown.picture
    assert shown.box is not None
    assert picture.label is not None
    assert picture.probability is not None
    left, top, right, bottom = shown.box
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    said = [
        QualitativeEvaluation(code_own("Review"), code_own(picture.key.status)),
        QualitativeEvaluation(code_own("Kept because"), code_own(picture.key.reason)),
    ]
    if picture.key.status != "proposed":  # by whoever had the page; who that was nobody asks
        said.append(QualitativeEvaluation(code_own("Reviewed by"), code_own("operator")))
    if picture.key.status == "reassigned" and picture.key.label is not None:
        said.append(
            QualitativeEvaluation(code_own("Reassigned to"), code_class(picture.key.label, scheme))
        )
    group: Group = PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=track(report, f"key frame {picture.key.key_frame_id}"),
        referenced_region=ImageRegion(
            graphic_type=GraphicTypeValues.POLYLINE,
            graphic_data=np.array(corners),
            source_image=SourceImageForRegion(
                pictures.dataset.SOPClassUID, pictures.dataset.SOPInstanceUID, [shown.frame]
            ),
        ),
        finding_type=code_class(picture.label, scheme),
        algorithm_id=identify_algorithm(report),
        measurements=[
            Measurement(
                codes.PROBABILITY,
                picture.probability,
                codes.NO_UNIT,
                method=codes.CLASS_ACTIVATION,
                referenced_images=None if shown.seen is None else [_name_source(shown.seen)],
            )
        ],
        qualitative_evaluations=said,
    )
    comment(group, f"{picture.label}: where the network looked in this frame. {NOTICE}")
    return group


def _name_source(seen: Seen) -> SourceImageForMeasurement:
    """Return the scanner's own picture that a kept frame was."""
    return SourceImageForMeasurement(seen.sop_class, seen.sop_instance, [seen.frame])
