"""Telling the hospital of a performed procedure step (MPPS, PS3.4 F.7): N-CREATE, then N-SET."""

import contextlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from neurosono.engine.contracts.errors import OutputError
from neurosono.stream.hospital.associate import associate
from neurosono.stream.hospital.entry import Entry
from neurosono.stream.hospital.node import parse_node
from neurosono.stream.hospital.outbox import Outcome, Step
from neurosono.stream.hospital.query import MODALITY, UTF_8

if TYPE_CHECKING:
    from pynetdicom import Association

PEER_S = 10.0
MPPS = "1.2.840.10008.3.1.2.3.3"
"""Modality Performed Procedure Step."""
PROTOCOL = "Neurosonography"
_DONE = (0x0000, 0x0001, 0x0107, 0x0116)
"""Done, or done but for values that the other side would not have (PS3.7 C.4)."""
DUPLICATE = 0x0111
FAILED, FINAL = 0x0110, 0xA710
"""Processing failure, and the Error ID of a step that is over already (PS3.4 F.7.2.2.2)."""
_UNSPECIFIED = ("110513", "Discontinued for unspecified reason")
_REASONS = {
    Outcome.WRONG_ENTRY: ("110514", "Incorrect worklist entry selected"),
    Outcome.ABANDONED: _UNSPECIFIED,
    Outcome.FAILED: _UNSPECIFIED,
}
"""PS3.16 CID 9300."""


def tell_start(step: Step, label: str, entry: Entry) -> None:
    """Say that a step is in progress; said twice it is one step, for its UID is the same.

    Raises `OutputError` with what the other side answered.
    """
    with _associated(step) as (association, where):
        status, _ = association.send_n_create(describe_start(step, label, entry), MPPS, step.uid)
        _check(status, where, "the beginning of the step", DUPLICATE)


def tell_end(step: Step, made: Sequence[Dataset]) -> None:
    """Say how a step ended, and with which objects of the study it did.

    What is over there already stays as it was told first. Raises `OutputError`.
    """
    with _associated(step) as (association, where):
        status, _ = association.send_n_set(describe_end(step, made), MPPS, step.uid)
        if (status.get("Status"), status.get("ErrorID")) != (FAILED, FINAL):
            _check(status, where, "the end of the step")


@contextlib.contextmanager
def _associated(step: Step) -> "Iterator[tuple[Association, str]]":
    node = parse_node(step.node, step.own_title, step.tls)
    association = associate(node, {MPPS: None}, PEER_S, OutputError)
    try:
        yield association, node.where
    finally:
        if association.is_established:
            association.release()


def describe_start(step: Step, label: str, entry: Entry) -> Dataset:
    """Return the attributes of an N-CREATE (PS3.4 table F.7.2-1); `label` tells steps apart."""
    known = entry.dataset
    told, scheduled = Dataset(), Dataset()
    told.SpecificCharacterSet = UTF_8
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex"):
        setattr(told, keyword, known.get(keyword))
    if "IssuerOfPatientID" in known:
        told.IssuerOfPatientID = known.IssuerOfPatientID
    for keyword in ("AccessionNumber", "RequestedProcedureID", "RequestedProcedureDescription"):
        setattr(scheduled, keyword, known.get(keyword))
    scheduled.StudyInstanceUID = known.get("StudyInstanceUID")
    scheduled.ScheduledProcedureStepID = entry.step
    scheduled.ScheduledProcedureStepDescription = entry.what
    scheduled.ReferencedStudySequence = scheduled.ScheduledProtocolCodeSequence = []
    told.ScheduledStepAttributesSequence = [scheduled]
    told.ReferencedPatientSequence = []
    began = datetime.fromtimestamp(step.began_ns / 1e9).astimezone()
    told.PerformedProcedureStepID = label
    told.PerformedStationAETitle = step.own_title
    told.PerformedStationName = told.PerformedLocation = None
    told.PerformedProcedureStepStartDate = f"{began:%Y%m%d}"
    told.PerformedProcedureStepStartTime = f"{began:%H%M%S}"
    told.PerformedProcedureStepStatus = "IN PROGRESS"
    told.PerformedProcedureStepDescription = entry.what
    told.PerformedProcedureTypeDescription = None
    told.PerformedProcedureStepEndDate = told.PerformedProcedureStepEndTime = None
    told.ProcedureCodeSequence = told.PerformedProtocolCodeSequence = []
    told.PerformedSeriesSequence = []
    told.Modality = MODALITY
    told.StudyID = known.get("StudyID") or known.get("RequestedProcedureID") or entry.step
    return told


def describe_end(step: Step, made: Sequence[Dataset]) -> Dataset:
    """Return the attributes of the N-SET that ends a step, with the objects that it gave."""
    told = Dataset()
    told.SpecificCharacterSet = UTF_8
    ended = datetime.fromtimestamp(step.ended_ns / 1e9).astimezone()
    told.PerformedProcedureStepEndDate = f"{ended:%Y%m%d}"
    told.PerformedProcedureStepEndTime = f"{ended:%H%M%S}"
    completed = step.outcome is Outcome.COMPLETED
    told.PerformedProcedureStepStatus = "COMPLETED" if completed else "DISCONTINUED"
    if step.outcome in _REASONS:
        told.PerformedProcedureStepDiscontinuationReasonCodeSequence = [
            _code(*_REASONS[step.outcome])
        ]
    series: dict[str, list[Dataset]] = {}
    for each in made if completed else ():
        series.setdefault(str(each.SeriesInstanceUID), []).append(each)
    # a step that is over names a series, be it an empty one
    found = series or {str(generate_uid(entropy_srcs=[step.uid])): []}
    told.PerformedSeriesSequence = [_describe_series(uid, found[uid]) for uid in found]
    return told


def _describe_series(uid: str, objects: Sequence[Dataset]) -> Dataset:
    item = Dataset()
    item.PerformingPhysicianName = item.OperatorsName = item.RetrieveAETitle = None
    item.ProtocolName, item.SeriesInstanceUID = PROTOCOL, uid
    item.SeriesDescription = objects[0].get("SeriesDescription") if objects else None
    pictures = [each for each in objects if "Rows" in each]
    item.ReferencedImageSequence = [_refer(each) for each in pictures]
    others = [_refer(each) for each in objects if "Rows" not in each]
    item.ReferencedNonImageCompositeSOPInstanceSequence = others
    return item


def _refer(each: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = (
        each.SOPClassUID,
        each.SOPInstanceUID,
    )
    return item


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item


def _check(status: Dataset, where: str, what: str, *more: int) -> None:
    code = status.get("Status")
    if code is None:
        raise OutputError(f"{where} hung up on {what}")
    if code not in (*_DONE, *more):
        raise OutputError(f"{where} answered 0x{code:04X} to {what}")
