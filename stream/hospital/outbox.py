"""What the hospital is to get: exams' studies and steps, in one queue beside the journal.

A row says which exam, where it goes and how often that was tried; whose the exam is stands
elsewhere. The session writes what is wanted, whoever sends writes how far it is.
"""

import contextlib
import fcntl
import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import msgspec

from neurosono.engine.contracts.errors import OutputError
from neurosono.engine.files import PRIVATE
from neurosono.stream.hospital.node import Node
from neurosono.stream.hospital.queue import GIVE_UP_S, Queue, find_next_ns, is_hopeless
from neurosono.stream.hospital.tls import Tls

NAME = "outbox.sqlite"
SCHEMA = """
CREATE TABLE IF NOT EXISTS errand (
  exam TEXT NOT NULL, number INTEGER NOT NULL, what BLOB NOT NULL, standing TEXT NOT NULL,
  since_ns INTEGER NOT NULL, next_ns INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0,
  begun INTEGER NOT NULL DEFAULT 0, said TEXT NOT NULL DEFAULT '', PRIMARY KEY (exam, number)
);
"""
STUDY = 0
"""The number of an exam's study; its steps have 1 and what follows."""


class ErrandStanding(StrEnum):
    """How far it is; `BEGUN` is a step of which the other side has heard that it began."""

    WAITING = "waiting"
    BEGUN = "begun"
    STORED = "stored"
    GIVEN_UP = "given-up"


class Outcome(StrEnum):
    """How a step ended."""

    COMPLETED = "completed"
    WRONG_ENTRY = "wrong-entry"
    ABANDONED = "abandoned"
    FAILED = "failed"


class _Errand(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Something for `AE@HOST:PORT`, whom we call ourselves `own_title`."""

    node: str
    own_title: str
    tls: Tls | None = None


class Study(_Errand, frozen=True, kw_only=True):
    """An exam's objects, to be made and stored."""

    bundle: str | None
    codes: str
    pdf: bool


class Step(_Errand, frozen=True, kw_only=True):
    """A performed procedure step; its times are those of the wall, for people."""

    uid: str
    began_ns: int
    ended_ns: int = 0
    outcome: Outcome | None = None

    @classmethod
    def begin(cls, node: Node, now_ns: int) -> "Step":
        """Return one that begins now, for a node to hear of."""
        uid = f"2.25.{uuid.uuid4().int}"  # PS3.5 B.2
        return cls(
            uid=uid, node=node.words, own_title=node.own_title, tls=node.tls, began_ns=now_ns
        )

    def end(self, outcome: Outcome, now_ns: int) -> "Step":
        """Return it as it ended."""
        return msgspec.structs.replace(self, outcome=outcome, ended_ns=now_ns)


@dataclass(frozen=True)
class Row:
    """An errand and how far it is; times are those of the queue's clock.

    `since_ns` is when there was something new to say, `said` why the last try failed.
    """

    exam_id: str
    number: int
    what: Study | Step
    standing: ErrandStanding
    since_ns: int
    next_ns: int
    tries: int
    begun: bool
    said: str


_SELECT = """
SELECT exam, number, what, standing, since_ns, next_ns, tries, begun, said FROM errand
"""


class Outbox(Queue):
    """The errands of the exams in one journal's folder."""

    def __init__(self, journal: Path, *more: object) -> None:
        """Raises `OutputError` where it cannot be used."""
        self._folder = journal.parent
        super().__init__(self._folder / NAME, SCHEMA, *more)  # type: ignore[arg-type]

    def put(self, exam_id: str, number: int, what: Study | Step) -> None:
        """Put in what is wanted, or what is wanted now; raises `OutputError`."""
        now_ns = self.now_ns()
        row = (exam_id, number, msgspec.json.encode(what), ErrandStanding.WAITING, now_ns, now_ns)
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO errand (exam, number, what, standing, since_ns, next_ns) "
                "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET what = excluded.what, "
                "standing = excluded.standing, since_ns = max(excluded.since_ns, since_ns + 1), "
                "next_ns = excluded.next_ns, said = ''",
                row,
            )

    def list_due(self, *, at_once: bool = False) -> list[Row]:
        """Return those whose turn it is, steps first; with `at_once` all that wait.

        A step that began and was not ended within a day is among them: its session was killed.
        """
        return self._read(
            "WHERE (standing = ? AND (next_ns <= ? OR ?)) OR (standing = ? AND next_ns <= ?) "
            "ORDER BY number = 0, since_ns",
            (ErrandStanding.WAITING, self.now_ns(), at_once, ErrandStanding.BEGUN, self.now_ns()),
        )

    def list_of(self, exam_id: str) -> list[Row]:
        """Return an exam's errands, its study first, then its steps as they came."""
        return self._read("WHERE exam = ? ORDER BY number", (exam_id,))

    def list_open(self) -> list[Row]:
        """Return all that is not done with, the oldest first."""
        return self._read(
            "WHERE standing IN (?, ?) ORDER BY since_ns",
            (ErrandStanding.WAITING, ErrandStanding.BEGUN),
        )

    def list_newest(self, count: int) -> list[Row]:
        """Return those of which there was something new to say last, the newest first."""
        return self._read("ORDER BY since_ns DESC LIMIT ?", (count,))

    def find(self, exam_id: str, number: int = STUDY) -> Row | None:
        """Return how one errand stands; None where there is none."""
        return next((row for row in self.list_of(exam_id) if row.number == number), None)

    def try_now(self, row: Row) -> None:
        """Write down that it is tried: whatever kills that, the next try comes later."""
        now_ns = self.now_ns()
        with self._transaction() as connection:
            connection.execute(
                "UPDATE errand SET tries = tries + 1, "
                "next_ns = CASE WHEN since_ns = ? THEN ? ELSE next_ns END "
                "WHERE exam = ? AND number = ?",
                (row.since_ns, find_next_ns(row.tries, now_ns), row.exam_id, row.number),
            )

    def note(
        self, row: Row, standing: ErrandStanding, said: str = "", *, heard: bool = False
    ) -> None:
        """Write down how far it is; what is wanted newly since `row` was read waits on.

        `heard`: the other side knows that it began. What fails is given up after a day.
        """
        now_ns = self.now_ns()
        if said and is_hopeless(row.tries, row.since_ns, now_ns):
            standing = ErrandStanding.GIVEN_UP
        until_ns = now_ns + GIVE_UP_S * 10**9 if standing is ErrandStanding.BEGUN else None
        where = (row.exam_id, row.number)
        with self._transaction() as connection:
            connection.execute(
                "UPDATE errand SET begun = begun OR ? WHERE exam = ? AND number = ?",
                (heard, *where),
            )
            connection.execute(
                "UPDATE errand SET standing = ?, said = ?, next_ns = coalesce(?, next_ns) "
                "WHERE exam = ? AND number = ? AND since_ns = ?",
                (standing, said, until_ns, *where, row.since_ns),
            )

    def drop(self, exam_id: str, number: int | None = None) -> None:
        """Take an exam's errands away, or one of them, done or not."""
        with self._transaction() as connection:
            connection.execute(
                "DELETE FROM errand WHERE exam = ? AND number = coalesce(?, number)",
                (exam_id, number),
            )

    def forget(self, before_ns: int) -> None:
        """Take away what was done before then."""
        with self._transaction() as connection:
            connection.execute(
                "DELETE FROM errand WHERE standing = ? AND since_ns < ?",
                (ErrandStanding.STORED, before_ns),
            )

    @contextlib.contextmanager
    def hold(self) -> Iterator[bool]:
        """Hold it, so that no two processes send the same; yields whether it was free."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(self._folder / f"{NAME}.lock", flags, PRIVATE)
        except OSError as error:
            raise OutputError(f"cannot hold the outbox: {error.strerror}") from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True
        finally:
            os.close(descriptor)

    def tell(self, row: Row, whole: str = "exam") -> str:
        """Return in a sentence how far it is; nothing of a step with which all is well so far.

        `whole` is what the errand is of.
        """
        where, why = row.what.node.partition("@")[0], row.said
        wall_s = time.time() + (row.next_ns - self.now_ns()) / 1e9
        again = f"({why}); tried again at {datetime.fromtimestamp(wall_s).astimezone():%H:%M:%S}"
        if isinstance(row.what, Study):
            late = f"not stored within a day ({why}); send it with `neurosono study`"
            words = {ErrandStanding.STORED: f"stored on {where}", ErrandStanding.GIVEN_UP: late}
            waits = f"not stored yet {again}" if why else f"on its way to {where}"
            return f"study of {whole} {row.exam_id}: {words.get(row.standing, waits)}"
        words = {
            ErrandStanding.STORED: f"{where} was told that it is {row.what.outcome}",
            ErrandStanding.GIVEN_UP: f"{where} was not told within a day ({why}): tell it by hand",
            ErrandStanding.BEGUN: "",
        }
        ends = f"{where} is being told" if row.what.outcome is not None else ""
        waits = f"{where} is not told yet {again}" if why else ends
        told = words.get(row.standing, waits)
        return told and f"step of {whole} {row.exam_id}: {told}"

    def _read(self, words: str, given: tuple[object, ...]) -> list[Row]:
        found = []
        for exam_id, number, what, standing, *rest in self._query(_SELECT + words, given):
            since_ns, next_ns, tries, begun, said = rest
            errand = msgspec.json.decode(what, type=Study | Step)
            state = ErrandStanding(standing), since_ns, next_ns, tries, bool(begun), said
            found.append(Row(exam_id, number, errand, *state))
        return found
