"""Whether DICOM files are of one patient and one study, without keeping who that is."""

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from neurosono.engine.contracts.errors import SourceError

IDENTITY_TAGS = ("PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID")
"""What tells patients and studies apart (DICOM PS3.3, C.7.1.1 and C.7.2.1)."""

_STUDY = "StudyInstanceUID"
_KEY = secrets.token_bytes(32)  # so that nobody finds a name by hashing all names

Identity = Mapping[str, bytes]
"""A keyed hash a tag, for those that are there and not empty; of use in this process alone."""


def hash_identity(header: Any) -> Identity:
    """Return the identity in a DICOM header; how names are written does not matter."""
    found: dict[str, bytes] = {}
    for tag in IDENTITY_TAGS:
        words = str(header.get(tag) or "").replace("^", " ").casefold().split()
        if words:
            found[tag] = hashlib.blake2b(" ".join(words).encode(), key=_KEY).digest()
    return found


def count_identities(identities: Iterable[Identity]) -> tuple[int, int]:
    """Return how many patients and how many studies there are at least."""
    values: dict[str, set[bytes]] = {tag: set() for tag in IDENTITY_TAGS}
    for identity in identities:
        for tag, value in identity.items():
            values[tag].add(value)
    studies = len(values.pop(_STUDY))
    return max(1, *(len(each) for each in values.values())), max(1, studies)


def refuse_mixture(identities: Iterable[Identity]) -> None:
    """Raise `SourceError` where the files are of more than one patient or study."""
    patients, studies = count_identities(identities)
    if patients == studies == 1:
        return
    several = [
        f"{count} {what}"
        for count, what in ((patients, "patients"), (studies, "studies"))
        if count > 1
    ]
    raise SourceError(
        f"the DICOM files are of {' and '.join(several)}, and one exam is of one patient in one "
        "study; give one study at a time, or say --mixed if you know that they belong together"
    )
