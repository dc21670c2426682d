"""What was said of an exam, as two structured reports of template TID 1500.

One holds the exam: probabilities with their uncertainty, set, state, frames and why some were left
out. The other holds the kept frames, each with the region that the network looked at and what a
person said of it: viewers that draw regions open a report blank in which any group has none.
"""

from collections.abc import Sequence

import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    Comprehensive3DSR,
    DeviceObserverIdentifyingAttributes,
    GraphicTypeValues,
    ImageRegion,
    Measurement,
    MeasurementProperties,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    SourceImageForRegion,
    SubjectContext,
    SubjectContextFetus,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset

from neurosono.engine import __version__
from neurosono.engine.contracts.notice import NOTICE
from neurosono.stream.report.gather import Report
from neurosono.stream.study import codes
from neurosono.stream.study.codes import Scheme, code_class, code_own
from neurosono.stream.study.identity import name_uid
from neurosono.stream.study.pictures import MAKER, Pictures, Shown
from neurosono.stream.view.words import STATE_SENTENCES, has_figures

Group = Sequence[Dataset]
"""A group of measurements: a sequence of the one container that holds them."""


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
    return _make_document(report, pictures, groups, "exam", revision)


def describe_regions(
    report: Report, pictures: Pictures, scheme: Scheme, revision: str
) -> Comprehensive3DSR | None:
    """Return the report of the kept frames' regions; None where no frame has one."""
    groups = [
        _describe_region(report, pictures, shown, scheme)
        for shown in pictures.shown
        if shown.box is not None and shown.picture.label is not None
    ]
    return _make_document(report, pictures, groups, "regions", revision) if groups else None


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
        tracking_identifier=_track(report, "exam"),
        algorithm_id=_identify(report),
        measurements=measured,
        qualitative_evaluations=said,
        source_images=[
            SourceImageForMeasurementGroup(
                pictures.dataset.SOPClassUID, pictures.dataset.SOPInstanceUID
            )
        ],
    )
    _comment(group, f"{NOTICE} {sentence}")
    return group


def _describe_class(
    report: Report, label: str, span: tuple[float, float, float], scheme: Scheme
) -> Group:
    low, value, high = (float(np.clip(each, 0, 1)) for each in span)
    group: Group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_track(report, f"exam {label}"),
        finding_type=code_class(label, scheme),
        algorithm_id=_identify(report),
        measurements=[
            Measurement(
                codes.PROBABILITY,
                value,
                codes.NO_UNIT,
                properties=MeasurementProperties(
                    upper_measurement_uncertainty=max(0.0, high - value),
                    lower_measurement_uncertainty=max(0.0, value - low),
                ),
            )
        ],
    )
    _comment(group, f"{label}. {NOTICE}")
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
    if picture.key.status == "reassigned" and picture.key.label is not None:
        said.append(
            QualitativeEvaluation(code_own("Reassigned to"), code_class(picture.key.label, scheme))
        )
    group: Group = PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=_track(report, f"key frame {picture.key.key_frame_id}"),
        referenced_region=ImageRegion(
            graphic_type=GraphicTypeValues.POLYLINE,
            graphic_data=np.array(corners),
            source_image=SourceImageForRegion(
                pictures.dataset.SOPClassUID, pictures.dataset.SOPInstanceUID, [shown.frame]
            ),
        ),
        finding_type=code_class(picture.label, scheme),
        algorithm_id=_identify(report),
        measurements=[
            Measurement(
                codes.PROBABILITY, picture.probability, codes.NO_UNIT, method=codes.CLASS_ACTIVATION
            )
        ],
        qualitative_evaluations=said,
    )
    _comment(group, f"{picture.label}: where the network looked in this frame. {NOTICE}")
    return group


def _make_document(
    report: Report, pictures: Pictures, groups: Sequence[Group], what: str, revision: str
) -> Comprehensive3DSR:
    exam_id = report.exam.exam_id
    device = DeviceObserverIdentifyingAttributes(
        uid=name_uid(MAKER, __version__), name=MAKER, manufacturer_name=MAKER, model_name=MAKER
    )
    context = ObservationContext(
        observer_device_context=ObserverContext(codes.DEVICE, device),
        subject_context=SubjectContext(codes.FETUS, SubjectContextFetus("1")),
    )
    content = MeasurementReport(
        observation_context=context,
        procedure_reported=codes.OBSTETRIC_ULTRASOUND,
        imaging_measurements=groups,
    )
    document = Comprehensive3DSR(
        evidence=[pictures.dataset],
        content=content[0],
        series_instance_uid=name_uid(exam_id, what, "series"),
        series_number={"exam": 8102, "regions": 8103}[what],
        sop_instance_uid=name_uid(exam_id, what, revision),
        instance_number=1,
        manufacturer=MAKER,
        is_complete=report.exam.ended,
        is_final=False,
        is_verified=False,
        series_description=f"neurosono {what}. {NOTICE}"[:64],
        manufacturer_model_name=MAKER,
        software_versions=__version__,
    )
    document.ContentDate = pictures.dataset.ContentDate
    document.ContentTime = pictures.dataset.ContentTime
    return document


def _identify(report: Report) -> AlgorithmIdentification:
    about, engine = report.exam.about, report.engine
    parameters = [f"bundle sha256 {about['bundle_sha256']}"]
    if "student_sha256" in about:
        parameters.append(f"student sha256 {about['student_sha256']}")
    used = [f"{name} {value}" for name, value in engine.items() if value is not None]
    if used:
        parameters.append(", ".join(used))
    name = f"neurosono, bundle {about.get('bundle') or 'unnamed'}"
    return AlgorithmIdentification(
        name=name, version=str(about.get("release") or __version__), parameters=parameters
    )


def _track(report: Report, what: str) -> TrackingIdentifier:
    return TrackingIdentifier(uid=name_uid(report.exam.exam_id, "track", what), identifier=what)


def _comment(group: Group, words: str) -> None:
    item = TextContentItem(codes.COMMENT, words, RelationshipTypeValues.CONTAINS)
    container: Dataset = group[0]
    container.ContentSequence.append(item)
