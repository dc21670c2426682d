"""An entry of the modality worklist (PS3.4 K.6): whom to examine, and for which order."""

from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset
from pydicom.valuerep import PersonName

from neurosono.stream.hospital.charset import decode_text

ASKED = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "RequestedProcedureID",
    "RequestedProcedureDescription",
)
"""What of an entry the objects of its study need; nothing else is asked for."""
ASKED_OF_STEP = (
    "ScheduledProcedureStepStartDate",
    "ScheduledProcedureStepStartTime",
    "ScheduledProcedureStepID",
    "ScheduledProcedureStepDescription",
    "Modality",
    "ScheduledStationAETitle",
)


@dataclass(frozen=True)
class Entry:
    """One scheduled step; `dataset` holds `ASKED`, its strings already decoded."""

    dataset: Dataset
    step: str
    at: str
    what: str

    @property
    def accession(self) -> str:
        """The number that the order goes by in the whole hospital."""
        return str(self.dataset.get("AccessionNumber") or "")

    @property
    def name(self) -> str:
        """The patient's name as people read it, in every script that it is given in."""
        found = self.dataset.get("PatientName") or PersonName("")
        groups = (found.alphabetic, found.ideographic, found.phonetic)
        return " = ".join(_arrange(group) for group in groups if group)

    def show(self) -> dict[str, str]:
        """Return what tells one entry from another on a screen."""
        return {
            "accession": self.accession,
            "step": self.step,
            "name": self.name,
            "id": str(self.dataset.get("PatientID") or ""),
            "born": _name_day(str(self.dataset.get("PatientBirthDate") or "")),
            "at": self.at,
            "what": self.what,
        }

    def to_json(self) -> dict[str, Any]:
        """Return all of it, for `from_json`."""
        told: dict[str, Any] = self.dataset.to_json_dict()
        return {"dataset": told, "step": self.step, "at": self.at, "what": self.what}

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "Entry":
        """Read what `to_json` gave."""
        told = {name: str(found[name]) for name in ("step", "at", "what")}
        return cls(Dataset.from_json(found["dataset"]), **told)


def read_entry(answer: Dataset, fallback: str) -> Entry:
    """Return an answer of a worklist; `fallback` is its character set where it names none."""
    steps = answer.get("ScheduledProcedureStepSequence") or [Dataset()]
    charset = answer.get("SpecificCharacterSet") or fallback
    for each in (answer, *steps):
        if not each.get("SpecificCharacterSet"):
            each.SpecificCharacterSet = charset
        decode_text(each)
    kept = Dataset()
    for keyword in ASKED:
        if answer.get(keyword):
            setattr(kept, keyword, answer.get(keyword))
    step = steps[0]
    time = str(step.get("ScheduledProcedureStepStartTime") or "")
    return Entry(
        kept,
        step=str(step.get("ScheduledProcedureStepID") or ""),
        at=f"{time[:2]}:{time[2:4]}" if len(time) >= 4 else "",
        what=str(
            step.get("ScheduledProcedureStepDescription")
            or answer.get("RequestedProcedureDescription")
            or ""
        ),
    )


def _arrange(group: str) -> str:
    """Return a component group of a name as family name, then the others."""
    family, _, rest = group.partition("^")
    others = " ".join(part for part in rest.split("^") if part)
    return f"{family}, {others}" if others else family


def _name_day(date: str) -> str:
    return f"{date[:4]}-{date[4:6]}-{date[6:8]}" if len(date) == 8 else date
