"""Performed procedure steps: what the hospital is to be told of an exam, and what it has been told.

A step is two files beside the journal: the session alone writes what is wanted, whoever sends alone
writes how far that is, so that neither undoes the other. Whose it is stands in a key file.
"""

import contextlib
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import msgspec

from neurosono.engine.contracts.errors import OutputError
from neurosono.engine.files import PRIVATE, write_whole
from neurosono.stream.hospital.outbox import (
    ALWAYS_NS,
    GIVE_UP_S,
    Standing,
    find_next_ns,
    is_due,
    is_hopeless,
)
from neurosono.stream.hospital.tls import Tls

FOLDER = "steps"


class Outcome(StrEnum):
    """How a step ended."""

    COMPLETED = "completed"
    WRONG_ENTRY = "wrong-entry"
    ABANDONED = "abandoned"


class Step(msgspec.Struct, frozen=True):
    """One entry of the worklist that an exam took; times are nanoseconds since 1970.

    `node` is `AE@HOST:PORT`, `number` counts the entries that the exam took, from 1.
    """

    exam_id: str
    number: int
    uid: str
    node: str
    own_title: str
    began_ns: int
    tls: Tls | None = None
    ended_ns: int = 0
    outcome: Outcome | None = None

    def end(self, outcome: Outcome, now_ns: int) -> "Step":
        """Return it as it ended."""
        return msgspec.structs.replace(self, outcome=outcome, ended_ns=now_ns)


class Told(msgspec.Struct, frozen=True):
    """How far the other side is: it has heard of the beginning (`created`), of all (`STORED`)."""

    created: bool = False
    tries: int = 0
    next_ns: int = 0
    standing: Standing = Standing.WAITING
    said: str = ""

    def failed(self, said: str, since_ns: int, now_ns: int) -> "Told":
        """Return it after a try that failed; `since_ns` is when there was something to say."""
        given_up = is_hopeless(self.tries, since_ns, now_ns)
        return msgspec.structs.replace(
            self,
            tries=self.tries + 1,
            next_ns=find_next_ns(self.tries, now_ns),
            standing=Standing.GIVEN_UP if given_up else Standing.WAITING,
            said=said,
        )


def write_step(journal: Path, step: Step) -> None:
    """Write down what is wanted; raises `OutputError`."""
    _write(_find(journal, step), step)


def write_told(journal: Path, step: Step, told: Told) -> None:
    """Write down how far it is; raises `OutputError`."""
    _write(_find(journal, step).with_suffix(".told"), told)


def read_told(journal: Path, step: Step) -> Told:
    """Return how far it is."""
    try:
        data = _find(journal, step).with_suffix(".told").read_bytes()
        return msgspec.json.decode(data, type=Told)
    except (OSError, msgspec.MsgspecError):
        return Told()  # what is told again is known there by its UID


def list_steps(journal: Path, exam_id: str = "") -> list[Step]:
    """Return the steps of an exam, or of all, in the order in which they began."""
    found: list[Step] = []
    for path in (journal.parent / FOLDER).glob(f"{exam_id or '*'}.*.json"):
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            found.append(msgspec.json.decode(path.read_bytes(), type=Step))
    return sorted(found, key=lambda step: (step.began_ns, step.number))


def list_due(journal: Path, now_ns: int) -> list[Step]:
    """Return those of which there is something to say now.

    One that no session ended within a day is abandoned: its session was killed.
    """
    due = []
    for each in list_steps(journal):
        told = read_told(journal, each)
        if told.standing is not Standing.WAITING or not is_due(told.next_ns, now_ns):
            continue
        stale = each.outcome is None and now_ns - each.began_ns > GIVE_UP_S * 1_000_000_000
        step = each.end(Outcome.ABANDONED, now_ns) if stale and now_ns != ALWAYS_NS else each
        if step.outcome is not None or not told.created:
            due.append(step)
    return due


def drop(journal: Path, exam_id: str) -> None:
    """Take the steps of an exam away, told or not."""
    for path in (journal.parent / FOLDER).glob(f"{exam_id}.*"):
        path.unlink(missing_ok=True)


def forget_told(journal: Path, before_ns: int) -> None:
    """Take away the steps that were told before then: the others are looked at every second."""
    for step in list_steps(journal):
        told = read_told(journal, step)
        if told.standing is Standing.STORED and step.ended_ns < before_ns:
            path = _find(journal, step)
            path.unlink(missing_ok=True)
            path.with_suffix(".told").unlink(missing_ok=True)


def tell_step(step: Step, told: Told) -> str:
    """Return in a sentence what the hospital knows of a step; nothing where all is well so far."""
    what, where = f"step of exam {step.exam_id}", step.node.partition("@")[0]
    if told.standing is Standing.GIVEN_UP:
        return f"{what}: {where} was not told within a day ({told.said}): tell it by hand"
    if told.standing is Standing.STORED:
        return f"{what}: {where} was told that it is {step.outcome}" if told.created else ""
    if told.said:
        again = datetime.fromtimestamp(told.next_ns / 1e9).astimezone()
        return f"{what}: {where} is not told yet ({told.said}); tried again at {again:%H:%M:%S}"
    return f"{what}: {where} is being told" if step.outcome is not None else ""


def _write(path: Path, what: Step | Told) -> None:
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {path.parent}: {error.strerror}") from error
    write_whole(path, msgspec.json.encode(what).decode(), mode=PRIVATE)


def _find(journal: Path, step: Step) -> Path:
    return journal.parent / FOLDER / f"{step.exam_id}.{step.number}.json"
