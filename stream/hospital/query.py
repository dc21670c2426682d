"""Asking a modality worklist what is scheduled today: a process of its own for each question.

Whatever the other side answers, however slowly, nothing of it can hold up a session: a process
that is not done in time is ended. Run as `python -m neurosono.stream.hospital.query`; it reads its
question from standard input and answers with JSON.
"""

import datetime
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from pydicom.dataset import Dataset

from neurosono.engine.contracts.errors import InputError, NeurosonoError, RunError
from neurosono.stream.hospital.associate import associate
from neurosono.stream.hospital.entry import ASKED, ASKED_OF_STEP, Entry, read_entry
from neurosono.stream.hospital.node import Node

LONGEST_S = 20.0
PEER_S = 10.0
MOST_ENTRIES = 300
"""No scanner has more in a day; a list of thousands is another question's answer."""
UTF_8 = "ISO_IR 192"
MODALITY = "US"
_PENDING = (0xFF00, 0xFF01)


@dataclass(frozen=True)
class Question:
    """What is asked: of whom, of which day (YYYYMMDD), and how to read what names no set.

    With `patient`, a patient's number, only her entries are asked for.
    """

    node: Node
    day: str
    fallback: str = UTF_8
    patient: str = ""

    def __post_init__(self) -> None:
        check_charset(self.fallback)


def check_charset(name: str) -> str:
    """Return a DICOM character set's name; raises `InputError` where it is none."""
    from pydicom.charset import python_encoding

    if name not in python_encoding:
        known = sorted(each for each in python_encoding if each.startswith(("ISO_IR", "GB")))
        raise InputError(f"no character set {name!r}: name one of {', '.join(known)}")
    return name


def ask_worklist(question: Question, longest_s: float = LONGEST_S) -> list[Entry]:
    """Return what is scheduled, in the order of the day.

    Raises `RunError` with what the other side said, without a word of any patient.
    """
    command = [sys.executable, "-P", "-m", __spec__.name]
    try:
        done = subprocess.run(
            command,
            input=msgspec.json.encode(question),
            capture_output=True,
            timeout=longest_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        # its own message would quote what was answered until then
        raise RunError(f"{question.node.where} answers too slowly: no list in {longest_s:g} s") from None  # fmt: skip  # noqa: E501
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        raise RunError(f"{question.node.where} gave an answer that cannot be read") from None
    if "error" in answer:
        raise RunError(answer["error"])
    return [Entry.from_json(each) for each in answer["entries"]]


def name_today() -> str:
    """Return the day as worklists have it: of the hospital's clock, not of Greenwich."""
    return f"{datetime.datetime.now().astimezone():%Y%m%d}"


def answer_question(question: Question) -> list[Entry]:
    """Ask, in this process."""
    from pynetdicom.sop_class import ModalityWorklistInformationFind

    node = question.node
    association = associate(node, {ModalityWorklistInformationFind: None}, PEER_S, RunError)
    found: list[Entry] = []
    try:
        for status, answer in association.send_c_find(_ask(question), ModalityWorklistInformationFind):  # fmt: skip  # noqa: E501
            code = status.get("Status")
            if code in _PENDING and answer is not None:
                entry = read_entry(answer, question.fallback)
                if not question.patient or _is_asked_for(answer, question):
                    found.append(entry)
                if len(found) > MOST_ENTRIES:
                    raise RunError(
                        f"{node.where} has more than {MOST_ENTRIES} entries for the day: it does "
                        "not heed the day or the modality that we ask for"
                    )
            elif code is None:
                raise RunError(
                    f"{node.where} hung up on our question: may {node.own_title} ask it for a "
                    "worklist?"
                )
            elif code != 0x0000:
                raise RunError(f"{node.where} answered 0x{code:04X} to our question")
    except ValueError:
        raise RunError(f"{node.where} takes no questions about its worklist") from None
    finally:
        if association.is_established:
            association.release()
    return sorted(found, key=lambda entry: (entry.at, entry.accession, entry.step))


def _ask(question: Question) -> Dataset:
    identifier, step = Dataset(), Dataset()
    identifier.SpecificCharacterSet = UTF_8
    for keyword in ASKED:
        setattr(identifier, keyword, None)
    for keyword in ASKED_OF_STEP:
        setattr(step, keyword, None)
    if question.patient:
        identifier.PatientID = question.patient
    step.Modality = MODALITY
    step.ScheduledProcedureStepStartDate = question.day
    identifier.ScheduledProcedureStepSequence = [step]
    return identifier


def _is_asked_for(answer: Dataset, question: Question) -> bool:
    """Return whether an answer is to our question: not every worklist heeds all of one."""
    step = (answer.get("ScheduledProcedureStepSequence") or [Dataset()])[0]
    found = [answer.get("PatientID"), step.get("ScheduledProcedureStepStartDate")]
    asked = [question.patient, question.day, MODALITY]
    return [str(each or "").strip() for each in (*found, step.get("Modality"))] == asked


def main(told: Sequence[str] = ()) -> int:
    """Answer the question on standard input."""
    del told
    question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    answer: dict[str, object]
    try:
        answer = {"entries": [entry.to_json() for entry in answer_question(question)]}
    except NeurosonoError as error:
        answer = {"error": str(error)}
    except Exception as error:  # noqa: BLE001 (a message could quote a patient; its class cannot)
        answer = {"error": f"{question.node.where} answered nonsense ({type(error).__name__})"}
    sys.stdout.write(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
