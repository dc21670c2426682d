"""The codes that say in a DICOM study what neurosono found.

SNOMED CT and UMLS give each class; a class that neither of our tables knows, and every word of our
own, has a private code of the scheme `99NEUROSONO`, whose meaning stands beside it. Rachischisis
has no exact code: spina bifida, its parent, is told, and so is our own label. Whether SNOMED CT may
be used where the results go is for whoever runs it to see to; `--codes umls` leaves it out.
"""

import hashlib
import re
from enum import StrEnum

from highdicom.sr import CodedConcept

PRIVATE = "99NEUROSONO"


class Scheme(StrEnum):
    """Which published codes stand for the classes."""

    SNOMED = "snomed"
    UMLS = "umls"


_CLASSES = {
    "anencephaly": ("89369001", "C0002902", "Anencephaly"),
    "encephalocele": ("55999004", "C0014065", "Encephalocele"),
    "holoprosencephaly": ("30915001", "C0079541", "Holoprosencephaly"),
    "rachischisis": ("67531005", "C0080178", "Spina bifida"),
    "normal": ("17621005", "C0205307", "Normal"),
}
"""SNOMED CT, UMLS and the meaning that both share (looked up in 2026)."""

PROBABILITY = CodedConcept("122157", "DCM", "Probability")
COMMENT = CodedConcept("121106", "DCM", "Comment")
DEVICE = CodedConcept("121007", "DCM", "Device")
FETUS = CodedConcept("121026", "DCM", "Fetus")
CLASS_ACTIVATION = CodedConcept("130402", "DCM", "Class activation")
OBSTETRIC_ULTRASOUND = CodedConcept("268445003", "SCT", "Ultrasound scan - obstetric")
NO_UNIT = CodedConcept("1", "UCUM", "no units")
SECONDS = CodedConcept("s", "UCUM", "s")
MM = CodedConcept("mm", "UCUM", "mm")
DAYS = CodedConcept("d", "UCUM", "days")
MEDIAN = CodedConcept("373099004", "SCT", "Median")

OBSTETRIC_REPORT = CodedConcept("125000", "DCM", "OB-GYN Ultrasound Procedure Report")
FETAL_BIOMETRY = CodedConcept("125002", "DCM", "Fetal Biometry")
FETAL_CRANIUM = CodedConcept("125004", "DCM", "Fetal Cranium")
BIOMETRY_GROUP = CodedConcept("125005", "DCM", "Biometry Group")
GESTATIONAL_AGE = CodedConcept("18185-9", "LN", "Gestational Age")
EQUATION = CodedConcept("121420", "DCM", "Equation")
HC_HADLOCK = CodedConcept("11932-1", "LN", "HC, Hadlock 1984")
TWO_SIGMA = CodedConcept("121417", "DCM", "2 Sigma deviation of population")
MEASURES = {
    "hc": CodedConcept("11984-2", "LN", "Head Circumference"),
    "bpd": CodedConcept("11820-8", "LN", "Biparietal Diameter"),
    "ofd": CodedConcept("11851-3", "LN", "Occipital-Frontal Diameter"),
    "atrial_width": CodedConcept("12171-5", "LN", "Lateral Ventricle width"),
}
"""What is measured of a head (PS3.16, CID 12005 and 12007)."""


def code_class(label: str, scheme: Scheme) -> CodedConcept:
    """Return the code of a class."""
    known = _CLASSES.get(label.lower())
    if known is None:
        return code_own(label)
    snomed, umls, meaning = known
    if scheme is Scheme.SNOMED:
        return CodedConcept(snomed, "SCT", meaning)
    return CodedConcept(umls, "UMLS", meaning)


def code_own(words: str) -> CodedConcept:
    """Return a private code; `words` are its meaning, at most 64 letters of them.

    A code has 16 letters: of longer words it is the beginning and a digest, for many begin alike.
    """
    value = re.sub(r"[^A-Z0-9]+", "_", words.upper()).strip("_")
    if len(value) > 16:
        value = f"{value[:11]}_{hashlib.sha256(words.encode()).hexdigest()[:4].upper()}"
    return CodedConcept(value, PRIVATE, words[:64])


SEEN, NOT_SEEN = code_own("seen"), code_own("not seen")
"""Of a plane or a structure."""
