"""The order that a study was made for, as its objects name it: what was requested, of which number.

Only for a study to which it was found; other objects name it by the accession number alone.
"""

from pydicom.dataset import Dataset

from neurosono.stream.hospital.entry import Entry


def describe_request(order: Entry) -> Dataset:
    """Return an item of the Request Attributes Sequence of a series (PS3.3 table 10-9)."""
    item = Dataset()
    for keyword in ("AccessionNumber", "RequestedProcedureID", "RequestedProcedureDescription"):
        if order.dataset.get(keyword):
            setattr(item, keyword, order.dataset.get(keyword))
    if order.step:
        item.ScheduledProcedureStepID = order.step
    if order.what:
        item.ScheduledProcedureStepDescription = order.what
    return item


def describe_fulfilled(order: Entry, study: str) -> Dataset:
    """Return an item of the Referenced Request Sequence of a document (PS3.3 C.17.2).

    `study` is the UID of its study, for an entry that has none.
    """
    item, known = Dataset(), order.dataset
    item.StudyInstanceUID = known.get("StudyInstanceUID") or study
    item.ReferencedStudySequence = item.RequestedProcedureCodeSequence = []
    item.PlacerOrderNumberImagingServiceRequest = None
    item.FillerOrderNumberImagingServiceRequest = None
    for keyword in ("AccessionNumber", "RequestedProcedureID", "RequestedProcedureDescription"):
        setattr(item, keyword, known.get(keyword))
    return item
