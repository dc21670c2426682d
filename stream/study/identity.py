"""Whose study it is: nobody's, or that of a DICOM file that the user names."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.valuerep import DA, TM

from neurosono.engine.contracts.errors import InputError
from neurosono.stream.hospital.charset import decode_text
from neurosono.stream.hospital.entry import Entry
from neurosono.stream.hospital.hush import hushed

COPIED = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyDescription",
)
"""What an object of a study shares with all others of it (PS3.3 C.7.1.1, C.7.2.1)."""
_NAMESPACE = uuid.UUID("b1f3b8f6-6b7e-4d5e-9d2b-3a2f6f0c9f11")


def _fits(kind: Callable[[str], object], words: str) -> bool:
    try:
        kind(words)
    except ValueError:
        return False
    return True


_WELL_FORMED: dict[str, Callable[[str], bool]] = {
    "PatientBirthDate": partial(_fits, DA),
    "StudyDate": partial(_fits, DA),
    "StudyTime": partial(_fits, TM),
    "PatientSex": ("", "None", "M", "F", "O").__contains__,
}


@dataclass(frozen=True)
class Identity:
    """The patient and study that every object of a study names; without a file, nobody.

    Days, times and a sex that are ill-formed are dropped: no object that is valid can hold them.
    `order` is the entry that was found for a study that names none.
    """

    dataset: Dataset = field(default_factory=Dataset)
    order: Entry | None = None

    def __post_init__(self) -> None:
        for keyword, is_well_formed in _WELL_FORMED.items():
            if keyword in self.dataset and not is_well_formed(str(self.dataset.get(keyword))):
                delattr(self.dataset, keyword)
        if isinstance(names := self.dataset.get("PatientName"), MultiValue):
            self.dataset.PatientName = names[0]  # she has one (PS3.3 C.7.1.1)

    def write(self, target: Dataset, exam_id: str) -> None:
        """Set what all objects of the study share; what is not known is empty, never invented."""
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID"):
            setattr(target, keyword, None)
        for keyword in ("StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName"):
            setattr(target, keyword, None)
        target.StudyInstanceUID = name_uid(exam_id, "study")
        for keyword in COPIED:
            if keyword in self.dataset:
                setattr(target, keyword, self.dataset.get(keyword))


@hushed()
def read_identity(path: Path) -> Identity:
    """Return the patient and study of a DICOM file; raises `InputError` where it is none."""
    try:
        found = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(COPIED))
    except (InvalidDicomError, OSError, ValueError, EOFError) as error:
        reason = getattr(error, "strerror", None) or "it is no DICOM file"
        raise InputError(
            f"cannot take patient and study from {path.name!r}: {reason}; name a DICOM file of "
            "the study that the results belong to"
        ) from error
    if not found.get("StudyInstanceUID"):
        raise InputError(
            f"{path.name!r} names no study (StudyInstanceUID is missing): name another file of it"
        )
    decode_text(found)
    return Identity(found)


def add_order(identity: Identity, order: Entry | None) -> Identity:
    """Return the patient and study with the order that was found for them."""
    if order is None:
        return identity
    known = Dataset()
    known.update(identity.dataset)
    if order.accession and not known.get("AccessionNumber"):
        known.AccessionNumber = order.accession
    return Identity(known, order)


def take_identity(order: Dataset) -> Identity:
    """Return the patient and study that an entry of the worklist names."""
    kept = Dataset()
    for keyword in COPIED:
        if order.get(keyword):
            setattr(kept, keyword, order.get(keyword))
    if order.get("RequestedProcedureID") and "StudyID" not in kept:
        kept.StudyID = order.RequestedProcedureID
    if order.get("RequestedProcedureDescription") and "StudyDescription" not in kept:
        kept.StudyDescription = order.RequestedProcedureDescription
    return Identity(kept)


def name_uid(exam_id: str, *what: str) -> str:
    """Return a UID that is always the same for the same words (PS3.5 B.2, a name-based UUID)."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, '/'.join((exam_id, *what))).int}"
