"""An exam's objects for research: of nobody, of no day, and with UIDs that lead nowhere.

PS3.15, the Basic Application Level Confidentiality Profile. Our own objects hold few of its table's
attributes; what they hold of day and hour goes, and their UIDs are drawn anew. Pictures are the
ultrasound region alone, and letters on it were masked by a network, which misses some: the option
"Clean Pixel Data" is not claimed, and whoever gives pictures away looks at them first.
"""

import secrets
from dataclasses import replace

from pydicom.dataset import Dataset

from neurosono.stream.report.gather import Report
from neurosono.stream.study.codes import Scheme
from neurosono.stream.study.identity import Identity
from neurosono.stream.study.study import make_study

BASIC_PROFILE = ("113100", "DCM", "Basic Application Confidentiality Profile")
METHOD = (
    "PS3.15 basic profile",
    "only the ultrasound region",
    "letters on it masked by software: look before giving on",
)
NO_DAY, NO_HOUR = "19000101", "000000"
_DUMMIES = {"DA": NO_DAY, "TM": NO_HOUR, "DT": f"{NO_DAY}{NO_HOUR}"}


def make_deidentified(report: Report, scheme: Scheme = Scheme.SNOMED) -> list[Dataset]:
    """Return the objects of an exam that nobody can lead back to it.

    Each call draws other UIDs, so that two exports cannot be told to be of one exam.
    """
    nobodys = replace(report, exam=replace(report.exam, exam_id=f"research-{secrets.token_hex(8)}"))
    objects = make_study(nobodys, Identity(), scheme)
    for each in objects:
        for element in each.iterall():
            if element.VR in _DUMMIES and not element.is_empty:
                element.value = _DUMMIES[element.VR]
        each.PatientIdentityRemoved = "YES"
        each.DeidentificationMethod = list(METHOD)
        each.DeidentificationMethodCodeSequence = [_code(*BASIC_PROFILE)]
        each.LongitudinalTemporalInformationModified = "REMOVED"
    return objects


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code
