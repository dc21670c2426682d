"""Who asked whether which instances are safe, and what the PACS says: a queue that outlives a kill.

UIDs stand here until the asker is told, for they have to be passed on; then they are deleted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import msgspec
from pydicom.uid import generate_uid

from neurosono.stream.hospital.commitment import FAILED, Instance, Report
from neurosono.stream.hospital.queue import GIVE_UP_S, Queue, find_next_ns, is_hopeless

SCHEMA = """
PRAGMA secure_delete = ON;
CREATE TABLE IF NOT EXISTS commitment (
  id INTEGER PRIMARY KEY AUTOINCREMENT, sender TEXT NOT NULL, number TEXT NOT NULL,
  ours TEXT NOT NULL UNIQUE, asked BLOB NOT NULL, failed BLOB NOT NULL DEFAULT '{}',
  standing TEXT NOT NULL, since_ns INTEGER NOT NULL, next_ns INTEGER NOT NULL,
  tries INTEGER NOT NULL DEFAULT 0, said TEXT NOT NULL DEFAULT ''
);
"""
HEED_S = 0.2
"""So late a request is passed on: its sender hears first that it was taken."""


class RequestStanding(StrEnum):
    """How far a request is: to be passed on, passed on, answered, told; or told in vain."""

    ASKED = "asked"
    PASSED = "passed"
    ANSWERED = "answered"
    TOLD = "told"
    GIVEN_UP = "given-up"


OVER = (RequestStanding.TOLD, RequestStanding.GIVEN_UP)


@dataclass(frozen=True)
class Request:
    """What a sender asked under its `number`, and the PACS under `ours`; times as in the queue.

    `failed` is, once it is answered, why which instances are not safe.
    """

    id: int
    sender: str
    number: str
    ours: str
    asked: tuple[Instance, ...]
    failed: dict[str, int]
    standing: RequestStanding
    since_ns: int
    tries: int
    said: str


_COLUMNS = "id, sender, number, ours, asked, failed, standing, since_ns, tries, said"


class Commitments(Queue):
    """The requests of all senders."""

    def __init__(self, folder: Path, *more: object) -> None:
        """Raises `OutputError` where it cannot be used."""
        super().__init__(folder / "commitments.sqlite", SCHEMA, *more)  # type: ignore[arg-type]

    def take(self, sender: str, number: str, asked: Sequence[Instance]) -> int | None:
        """Write a request down; returns its id, None where that number is under way for others."""
        now_ns, packed = self.now_ns(), msgspec.json.encode(list(asked))
        with self._transaction() as connection:
            known = connection.execute(
                "SELECT id, asked FROM commitment WHERE sender = ? AND number = ? "
                "AND standing NOT IN (?, ?)",
                (sender, number, *OVER),
            ).fetchone()
            if known is not None:
                return int(known[0]) if known[1] == packed else None
            due_ns = now_ns + round(HEED_S * 1e9)
            (row,) = connection.execute(
                "INSERT INTO commitment (sender, number, ours, asked, standing, since_ns, next_ns) "
                "VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
                (
                    sender,
                    number,
                    str(generate_uid()),
                    packed,
                    RequestStanding.ASKED,
                    now_ns,
                    due_ns,
                ),
            ).fetchone()
        return int(row)

    def pass_on(self, request: Request) -> None:
        """Note that the PACS has the question: it has a day, and may have answered already."""
        until_ns = self.now_ns() + GIVE_UP_S * 10**9
        with self._transaction() as connection:
            connection.execute(
                "UPDATE commitment SET standing = ?, next_ns = ?, said = '' "
                "WHERE id = ? AND standing = ?",
                (RequestStanding.PASSED, until_ns, request.id, RequestStanding.ASKED),
            )

    def answer(self, report: Report) -> bool:
        """Write down what the PACS says, where it says it first; returns whether anybody asked."""
        found = self._read("WHERE ours = ?", (report.transaction,))
        for request in found:
            self._answer(request, report.judge(request.asked))
        return bool(found)

    def fail(self, request: Request) -> None:
        """Nobody says that they are safe, so they are not."""
        self._answer(request, dict.fromkeys((each.sop_instance for each in request.asked), FAILED))

    def _answer(self, request: Request, failed: Mapping[str, int]) -> None:
        now_ns = self.now_ns()
        with self._transaction() as connection:
            connection.execute(
                "UPDATE commitment SET standing = ?, failed = ?, since_ns = ?, next_ns = ?, "
                "tries = 0, said = '' WHERE id = ? AND standing IN (?, ?)",
                (
                    *(RequestStanding.ANSWERED, msgspec.json.encode(failed), now_ns, now_ns),
                    *(request.id, RequestStanding.ASKED, RequestStanding.PASSED),
                ),
            )

    def try_now(self, request: Request) -> None:
        """Write down that it is tried: whatever kills that, the next try comes later."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE commitment SET tries = tries + 1, next_ns = ? WHERE id = ?",
                (find_next_ns(request.tries, self.now_ns()), request.id),
            )

    def say(self, request: Request, said: str) -> bool:
        """Write down why the last try failed; returns whether there is no sense in another."""
        with self._transaction() as connection:
            connection.execute("UPDATE commitment SET said = ? WHERE id = ?", (said, request.id))
        return is_hopeless(request.tries, request.since_ns, self.now_ns())

    def end(self, request: Request, standing: RequestStanding, said: str) -> None:
        """It is over, and its UIDs go; our own number stays, for a PACS may say things twice."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE commitment SET standing = ?, said = ?, number = '', asked = '[]', "
                "failed = '{}', since_ns = ? WHERE id = ?",
                (standing, said, self.now_ns(), request.id),
            )

    def find(self, number: int) -> Request:
        """Return how a request stands now."""
        (request,) = self._read("WHERE id = ?", (number,))
        return request

    def list_due(self) -> list[Request]:
        """Return those for which there is something to do now, the oldest first."""
        return self._read(
            "WHERE standing NOT IN (?, ?) AND next_ns <= ? ORDER BY id", (*OVER, self.now_ns())
        )

    def list_newest(self, count: int) -> list[Request]:
        """Return the newest, in the order in which they came."""
        return self._read("ORDER BY id DESC LIMIT ?", (count,))[::-1]

    def count_waiting(self) -> int:
        """Return how many are not over."""
        query = "SELECT count(*) FROM commitment WHERE standing NOT IN (?, ?)"
        return int(self._query(query, OVER)[0][0])

    def forget(self, before_ns: int) -> None:
        """Forget what was over before then."""
        with self._transaction() as connection:
            connection.execute(
                "DELETE FROM commitment WHERE standing IN (?, ?) AND since_ns < ?",
                (*OVER, before_ns),
            )

    def _read(self, words: str, given: tuple[object, ...]) -> list[Request]:
        found = []
        for row in self._query(f"SELECT {_COLUMNS} FROM commitment {words}", given):  # noqa: S608
            number, sender, theirs, ours, asked, failed, standing, *rest = row
            instances = msgspec.json.decode(asked, type=tuple[Instance, ...])
            why = msgspec.json.decode(failed, type=dict[str, int])
            found.append(
                Request(
                    number, sender, theirs, ours, instances, why, RequestStanding(standing), *rest
                )
            )
        return found


def tell_request(request: Request) -> str:
    """Return in a sentence how far a request is."""
    what = f"commitment {request.id} of {request.sender}"
    late = f" yet ({request.said})" if request.said else ""
    return {
        RequestStanding.ASKED: f"{what}: asked" + (f"; not passed on{late}" if late else ""),
        RequestStanding.PASSED: f"{what}: passed on to the PACS",
        RequestStanding.ANSWERED: f"{what}: answered by the PACS"
        + (f"; not told{late}" if late else ""),
        RequestStanding.TOLD: f"{what}: told: {request.said}",
        RequestStanding.GIVEN_UP: f"{what}: not told: {request.said}",
    }[request.standing]
