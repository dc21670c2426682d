"""The text of a DICOM dataset, in whatever character set (PS3.5 6.1, PS3.3 C.12.1.1.2)."""

import re
from typing import Any

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import PersonName

LATIN_1, UTF_8 = "ISO_IR 100", "ISO_IR 192"
_ESCAPE = re.compile(r"\x1b[\x20-\x2f]+[\x30-\x7e]")
"""What switches sets within a text; pydicom leaves that of Chinese (ISO 2022 IR 58) in it."""
TEXTS = ("LO", "LT", "PN", "SH", "ST", "UC", "UT")


def decode_text(dataset: Dataset, fallback: str | None = None) -> None:
    """Decode all text of a dataset in place, that of its items as well.

    `fallback` is the set of what names none; without it, UTF-8 where all bytes are that, else
    Latin-1: text in Latin-1 is hardly ever UTF-8 by chance.
    """
    if not dataset.get("SpecificCharacterSet"):
        dataset.SpecificCharacterSet = fallback or (UTF_8 if _is_utf_8(dataset) else LATIN_1)
    dataset.decode()
    for element in dataset.iterall():
        if element.VR in TEXTS and not element.is_empty:
            element.value = _strip(element.value)


def _strip(value: Any) -> Any:
    """Return a value without escapes; the same where it has none."""
    if isinstance(value, MultiValue):
        return [_strip(each) for each in value]
    words = str(value)
    if "\x1b" not in words:
        return value
    plain = _ESCAPE.sub("", words)
    return PersonName(plain) if isinstance(value, PersonName) else plain


def _is_utf_8(dataset: Dataset) -> bool:
    """Whether the bytes that were read are; what is no bytes any more was decoded elsewhere."""
    try:
        for tag in dataset.keys():  # noqa: SIM118 (the dataset itself yields decoded elements)
            value = dataset.get_item(tag).value
            if isinstance(value, bytes):
                value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
