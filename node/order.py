"""The order of a study whose cines name none: by the worklist, where one entry alone fits.

A study's is asked for once, before the hospital hears of its step. What came of it lies beside the
cines, which name the patient as well, and goes with them.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.valuerep import PersonName

from neurosono.engine.contracts.errors import RunError
from neurosono.engine.files import PRIVATE, write_whole
from neurosono.stream.hospital.charset import decode_text
from neurosono.stream.hospital.entry import Entry
from neurosono.stream.hospital.node import Node
from neurosono.stream.hospital.query import Question, ask_worklist
from neurosono.stream.study.identity import COPIED, Identity

KEPT = "order.json"
REQUEST = "RequestAttributesSequence"
ORDER = ("AccessionNumber", "RequestedProcedureID")
"""The numbers that an order goes by; a study without either belongs to none that it names."""
PROCEDURE = (*ORDER, "RequestedProcedureDescription")


def settle_order(
    folder: Path,
    worklist: Node,
    charset: str,
    ask: Callable[[Question], list[Entry]] = ask_worklist,
) -> str:
    """Find the order of the cines in a folder, if they name none and it was not yet asked for.

    Returns in a sentence, which names nobody, what came of it; nothing where nobody was asked.
    Raises `OutputError` where it cannot be written down, and for nothing else.
    """
    kept, order = folder / KEPT, None
    try:
        heads = [_read_head(path) for path in sorted(folder.glob("*.dcm"))]
        if not heads or any(map(_names_order, heads)):
            kept.unlink(missing_ok=True)  # such a cine may have come while others waited for room
            return ""
        if kept.exists():
            return ""
        patient, day = _read_patient(heads), _read_day(heads)
        found = ask(Question(worklist, day, charset, patient))
        order = _choose(found, heads, worklist.where)
        words = f"its order is that of the one entry of {worklist.where} for its patient and day"
    except RunError as error:
        words = f"goes without an order: {error}"
    except Exception as error:  # noqa: BLE001 (its words could quote a patient, its class cannot)
        words = f"goes without an order: it could not be asked for ({type(error).__name__})"
    told = None if order is None else order.to_json()
    write_whole(kept, json.dumps(told, ensure_ascii=False), mode=PRIVATE)
    return words


def read_order(folder: Path) -> Entry | None:
    """Return what was found for the cines in a folder; None where nothing was, or it is gone."""
    try:
        found = json.loads((folder / KEPT).read_text(encoding="utf-8"))
        return None if found is None else Entry.from_json(found)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def add_order(said: Entry, order: Entry | None) -> Entry:
    """Return what cines say, and of the order what they do not."""
    if order is None:
        return said
    for keyword in PROCEDURE:
        if order.dataset.get(keyword) and not said.dataset.get(keyword):
            setattr(said.dataset, keyword, order.dataset.get(keyword))
    return Entry(said.dataset, said.step or order.step, "", said.what or order.what)


def _read_head(path: Path) -> Dataset:
    asked = [*COPIED, *ORDER, REQUEST]
    found = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=asked)
    decode_text(found)
    return Identity(found).dataset


def _names_order(head: Dataset) -> bool:
    numbers = (*ORDER, "ScheduledProcedureStepID")
    return any(item.get(each) for item in (head, *head.get(REQUEST, ())) for each in numbers)


def _read_patient(heads: Sequence[Dataset]) -> str:
    found = {str(head.get("PatientID") or "").strip() for head in heads}
    if len(found) > 1 or not all(found):
        raise RunError("its cines do not all name one patient by a number")
    return found.pop()


def _read_day(heads: Sequence[Dataset]) -> str:
    found = {_digits(head.get("StudyDate")) for head in heads}
    if len(found) > 1 or not all(len(each) == 8 for each in found):
        raise RunError("its cines do not all name one day")
    return found.pop()


def _choose(entries: Sequence[Entry], heads: Sequence[Dataset], where: str) -> Entry:
    """Return the one entry that fits; raises `RunError` where none does, or several do."""
    study = heads[0].get("StudyInstanceUID")
    hers = [each for each in entries if not _differ(heads, each, "IssuerOfPatientID")]
    fits = [each for each in hers if each.dataset.get("StudyInstanceUID") == study] or hers
    if len(fits) != 1:
        count = f"{len(fits)} entries" if fits else "no entry"
        raise RunError(f"{where} has {count} for its patient and day")
    (entry,) = fits
    if _differ(heads, entry, "PatientBirthDate") or any(
        _differ_in_name(head.get("PatientName"), entry.dataset.get("PatientName")) for head in heads
    ):
        raise RunError(f"the entry of {where} is of another name or day of birth than its cines")
    if not any(entry.dataset.get(each) for each in ORDER):
        raise RunError(f"the entry of {where} names none")
    return entry


def _differ(heads: Sequence[Dataset], entry: Entry, keyword: str) -> bool:
    """Return whether any cine says something else than an entry that says anything."""
    told = str(entry.dataset.get(keyword) or "").strip()
    said = {str(head.get(keyword) or "").strip() for head in heads} - {""}
    return bool(told) and not said <= {told}


def _differ_in_name(one: PersonName | None, other: PersonName | None) -> bool:
    """Return whether family or given names differ where both have them, in any script."""
    pairs = zip(_fold(one or PersonName("")), _fold(other or PersonName("")), strict=True)
    return any(a and b and a != b for each in pairs for a, b in zip(*each, strict=False))


def _fold(name: PersonName) -> list[list[str]]:
    """Return family and given name in each script, without what writers do each in their way."""
    groups = (name.alphabetic, name.ideographic, name.phonetic)
    return [
        [" ".join(unicodedata.normalize("NFKC", part).casefold().split()) for part in parts[:2]]
        for parts in (str(group).split("^") for group in groups)
    ]


def _digits(value: object) -> str:
    return re.sub(r"\D", "", str(value or ""))
