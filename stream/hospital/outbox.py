"""What waits to be sent to the PACS: a file an exam beside the journal, so that a kill costs none.

It names the exam, where it goes and how often that was tried; whose the exam is stands elsewhere.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import msgspec

from neurosono.engine.contracts.errors import InputError, OutputError
from neurosono.engine.files import PRIVATE, write_whole
from neurosono.stream.hospital.tls import Tls
from neurosono.stream.journal.words import EXAM_ID

FOLDER = "outbox"
DELAYS_S = (5, 15, 60, 300, 900, 3600)
"""From one try to the next; the last one stays."""
ALWAYS_NS = 2**63 - 1
GIVE_UP_S = 86_400
"""A PACS that was away for a day is somebody's to look at."""


class Standing(StrEnum):
    """How far an exam's study is."""

    WAITING = "waiting"
    STORED = "stored"
    GIVEN_UP = "given-up"


class Job(msgspec.Struct, frozen=True):
    """One exam's study on its way; times are nanoseconds since 1970.

    `node` is `AE@HOST:PORT`, `said` why the last try failed,
    `tls` the files by which it is sent.
    """

    exam_id: str
    node: str
    own_title: str
    bundle: str | None
    codes: str
    pdf: bool
    made_ns: int
    next_ns: int
    tries: int = 0
    standing: Standing = Standing.WAITING
    said: str = ""
    tls: Tls | None = None

    def failed(self, said: str, now_ns: int) -> "Job":
        """Return the job after a try that failed."""
        given_up = is_hopeless(self.tries, self.made_ns, now_ns)
        return msgspec.structs.replace(
            self,
            tries=self.tries + 1,
            next_ns=find_next_ns(self.tries, now_ns),
            standing=Standing.GIVEN_UP if given_up else Standing.WAITING,
            said=said,
        )

    def stored(self) -> "Job":
        """Return the job once it is done."""
        return msgspec.structs.replace(
            self, tries=self.tries + 1, standing=Standing.STORED, said=""
        )


def is_due(next_ns: int, now_ns: int) -> bool:
    """Return whether what waits until `next_ns` has its turn.

    Whatever waits for longer than any pause waits for a clock that was set back: its turn is now.
    """
    return not 0 < next_ns - now_ns <= DELAYS_S[-1] * 1_000_000_000


def is_hopeless(tries: int, since_ns: int, now_ns: int) -> bool:
    """Return whether to try no more: after a day, of which a clock that was set forward is none."""
    return now_ns - since_ns > GIVE_UP_S * 1_000_000_000 and tries > len(DELAYS_S)


def find_next_ns(tries: int, now_ns: int) -> int:
    """Return when to try again after so many tries that failed, and one more."""
    return now_ns + DELAYS_S[min(tries, len(DELAYS_S) - 1)] * 1_000_000_000


def post(journal: Path, job: Job) -> None:
    """Put a job into the outbox, or how it stands now; raises `OutputError`."""
    path = _find(journal, job.exam_id)
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {path.parent}: {error.strerror}") from error
    write_whole(path, msgspec.json.encode(job).decode(), mode=PRIVATE)


def read_job(journal: Path, exam_id: str) -> Job | None:
    """Return how an exam's job stands; None where there is none."""
    path = _find(journal, exam_id)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Job)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise InputError(f"{path} cannot be read; delete it, and send the exam by hand") from error


def list_due(journal: Path, now_ns: int) -> list[Job]:
    """Return the jobs whose turn it is, the oldest first; what cannot be read is passed over."""
    found: list[Job] = []
    for path in sorted((journal.parent / FOLDER).glob("*.json")):
        with contextlib.suppress(InputError):
            job = read_job(journal, path.stem)
            if job is not None and job.standing is Standing.WAITING and is_due(job.next_ns, now_ns):
                found.append(job)
    return sorted(found, key=lambda job: job.made_ns)


def forget_stored(journal: Path, before_ns: int) -> None:
    """Take away the jobs that were done before then: the outbox is looked at every second."""
    for path in (journal.parent / FOLDER).glob("*.json"):
        with contextlib.suppress(InputError, OSError):
            job = read_job(journal, path.stem)
            if job is not None and job.standing is Standing.STORED and job.made_ns < before_ns:
                path.unlink()


def count_waiting(journal: Path) -> int:
    """Return how many exams wait, whether or not it is their turn."""
    return len(list_due(journal, ALWAYS_NS))


def drop(journal: Path, exam_id: str) -> None:
    """Take an exam's job away, done or not."""
    _find(journal, exam_id).unlink(missing_ok=True)


def tell_job(job: Job) -> str:
    """Return in a sentence how far a study is."""
    what = f"study of exam {job.exam_id}"
    where = job.node.partition("@")[0]
    if job.standing is Standing.STORED:
        return f"{what}: stored on {where}"
    if job.standing is Standing.GIVEN_UP:
        return f"{what}: not stored within a day ({job.said}); send it with `neurosono study`"
    if not job.tries:
        return f"{what}: on its way to {where}"
    again = datetime.fromtimestamp(job.next_ns / 1e9).astimezone()
    return f"{what}: not stored yet ({job.said}); tried again at {again:%H:%M:%S}"


@contextlib.contextmanager
def hold(journal: Path) -> Iterator[bool]:
    """Hold the outbox, so that no two sessions send the same; yields whether it was free."""
    folder = journal.parent / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(
        folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE
    )
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(descriptor)


def _find(journal: Path, exam_id: str) -> Path:
    if EXAM_ID.fullmatch(exam_id) is None:
        raise InputError(f"no exam is named {exam_id!r:.60}")
    return journal.parent / FOLDER / f"{exam_id}.json"
