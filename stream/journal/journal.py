"""The exam record: everything that was said and shown of an exam, in one SQLite file for many.

Whoever shows a result records it first. `record` copies it into memory that outlives the process
(`stream.journal.notebook`) and returns; a thread brings it into the database within 100 ms. So
`kill -9` of any process costs nothing that was shown, and a power cut the last transaction.
"""

import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from neurosono.engine.contracts.arrays import Pixels, Singles
from neurosono.engine.contracts.codec import encode
from neurosono.engine.contracts.errors import InputError, NeurosonoError
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.contracts.result import Result
from neurosono.stream.journal.entry import (
    Entry,
    EntryKind,
    Kept,
    ResultCheck,
    pack_json,
    pack_reading,
    to_levels,
)
from neurosono.stream.journal.notebook import Notebook, is_alive
from neurosono.stream.journal.reader import Reader, Tally
from neurosono.stream.journal.recovery import new_notebook_path, recover
from neurosono.stream.journal.schema import check_integrity, connect, default_path, prepare
from neurosono.stream.journal.words import (
    EXAM_ID,
    KEEP_REASONS,
    VERDICTS,
    check_about,
    check_event,
    check_word,
    pick_end,
)
from neurosono.stream.journal.writer import BATCH_BYTES, JournalStatus, Writer
from neurosono.stream.processes.wire import Event

CHECKED_BYTES = 256 * 1024 * 1024
"""A larger file is read through only by `check`: measured at 340 MB/s, this takes 0.8 s of a start
that is to show something within three. It holds about three and a half hours at 30 Hz."""
FLUSH_S = 5.0


@dataclass(frozen=True)
class Clock:
    """The two clocks of a record: one that never jumps, and the one on the wall."""

    monotonic_ns: Callable[[], int] = time.monotonic_ns
    wall_ns: Callable[[], int] = time.time_ns


class Journal:
    """One file of exams; made by `open`. Any number of processes may read it, and write to it."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        limit_bytes: int | None,
        on_status: Callable[[JournalStatus], None],
        unread: tuple[Path, ...],
    ) -> None:
        self.path, self.unread = path, unread
        self._clock, self._limit_bytes, self._on_status = clock, limit_bytes, on_status
        self._notebook: Notebook | None = None
        self._writer: Writer | None = None
        self._exam: ExamJournal | None = None
        self._lost = self._lost_untold = 0
        self._made: set[str] = set()
        self._ended = JournalStatus()
        self._lock = threading.Lock()

    @classmethod
    def open(
        cls,
        path: Path | None = None,
        *,
        clock: Clock | None = None,
        limit_bytes: int | None = None,
        on_status: Callable[[JournalStatus], None] = lambda _: None,
    ) -> Self:
        """Open the journal at `path` (`default_path()`), or make it; read in what a kill left.

        `on_status` hears of each fault and of its end, on the writer's thread. `unread` names what
        a killed process of another release left and this one cannot read. Raises `OutputError`
        where it cannot be made, `InputError` where the file is damaged or none of ours.
        """
        where = default_path() if path is None else path
        prepare(where)
        if where.stat().st_size <= CHECKED_BYTES:
            with closing(connect(where)) as connection:
                check_integrity(where, connection)
        return cls(where, clock or Clock(), limit_bytes, on_status, recover(where))

    def begin(self, about: Mapping[str, Any], exam_id: str | None = None) -> "ExamJournal":
        """Begin an exam; `about` as `stream.journal.words.check_about` has it."""
        checked = check_about(about)
        name = self.make_exam_id() if exam_id is None else exam_id
        if EXAM_ID.fullmatch(name) is None:
            raise InputError("an exam's id comes from `make_exam_id`: a name of one's own is none")
        if exam_id is not None and exam_id not in self._made:  # ours need no look at a held disk
            with self.read() as reader:
                if reader.has(name):
                    raise InputError(f"exam {name} is there already: take it up with `resume`")
        exam = ExamJournal(self, name, tuple(checked["labels"]))
        self._start()
        exam.write(EntryKind.BEGIN, pack_json(checked))
        self._exam = exam
        return exam

    def resume(self, exam_id: str) -> "ExamJournal":
        """Take up an exam whose process was killed; `rebuild_exam` gives its state."""
        with self.read() as reader:
            found = reader.exam(exam_id)
        if found.ended or found.running:
            word = "has ended" if found.ended else "is running in another process"
            raise InputError(f"exam {exam_id} {word}: begin a new one")
        exam = ExamJournal(self, found.exam_id, found.labels)
        self._start()
        said = {"used": found.used, "sampled": found.sampled}
        exam.write(EntryKind.RESUME, encode(Event("resumed", check_event("resumed", said))))
        self._exam = exam
        return exam

    @contextmanager
    def read(self) -> Iterator[Reader]:
        """Read what is committed, all as of one moment; on any thread."""
        if self._writer is not None:
            self._writer.flush(FLUSH_S)
        with closing(connect(self.path)) as connection:
            connection.execute("BEGIN")
            yield Reader(connection, lambda writer: is_alive(self.path.parent / writer))

    def check(self) -> None:
        """Read the whole file; raises `InputError` if it is damaged."""
        with closing(connect(self.path)) as connection:
            check_integrity(self.path, connection)

    @property
    def status(self) -> JournalStatus:
        """Return how the writing goes."""
        status = self._ended if self._writer is None else self._writer.status
        return replace(status, lost=self._lost)

    def flush(self, timeout_s: float = FLUSH_S) -> bool:
        """Wait until all that was said is in the database; returns whether it is."""
        return self._writer is None or self._writer.flush(timeout_s)

    def close(self) -> JournalStatus:
        """Write what is left and end. What cannot be written now is read in at the next opening."""
        if self._writer is None or self._notebook is None:
            return self.status
        self._ended = self._writer.stop()
        self._lost += self._notebook.close()
        self._writer = self._notebook = None
        return self.status

    def tally(self, exam_id: str) -> Tally:
        """Count what of an exam stands in the file, read anew: nothing where it cannot be read."""
        try:
            with self.read() as reader:
                return reader.tally(exam_id)
        except (sqlite3.Error, NeurosonoError):
            return Tally()

    def make_exam_id(self) -> str:
        """Return a new id: the UTC time, and chance."""
        now = datetime.fromtimestamp(self._clock.wall_ns() / 1e9, UTC)
        name = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        self._made.add(name)
        return name

    def write(self, exam_id: str, kind: EntryKind, body: bytes, *, flag: bool = False) -> bool:
        """Take one entry down; False where the notebook is full, and it is counted as lost."""
        now_ns, wall_ns = self._clock.monotonic_ns(), self._clock.wall_ns()
        with self._lock:  # one order for all threads, and nothing between a loss and its telling
            if self._notebook is None or self._writer is None:
                raise InputError("the journal is closed")
            if self._lost_untold:
                said = encode(Event("journal-lost", {"entries": self._lost_untold}))
                lost = Entry(EntryKind.EVENT, exam_id, now_ns, wall_ns, said)
                if self._notebook.append(*lost.pack()):
                    self._lost_untold = 0
            entry = Entry(kind, exam_id, now_ns, wall_ns, body, flag)
            written = not self._lost_untold and self._notebook.append(*entry.pack())
            if not written:
                self._lost += 1
                self._lost_untold += 1
            if self._notebook.pending_bytes > BATCH_BYTES:
                self._writer.wake()
        return written

    def _start(self) -> None:
        if self._writer is not None:
            return
        self._notebook = Notebook.create(new_notebook_path(self.path))
        self._writer = Writer(
            self.path, self._notebook, limit_bytes=self._limit_bytes, on_change=self._hear
        )
        self._writer.start()

    def _hear(self, status: JournalStatus, before: str | None, lasted_ms: float) -> None:
        if status.fault is None and self._exam is not None:
            self._exam.event("journal-held-up", {"fault": before, "for_ms": lasted_ms})
        self._on_status(replace(status, lost=self._lost))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ExamJournal:
    """The record of one exam while it runs. No method waits for the disk; each may be called from
    any thread and returns whether the entry is kept, which is False only where `status` says why.
    """

    def __init__(self, journal: Journal, exam_id: str, labels: tuple[str, ...]) -> None:
        self.exam_id, self.labels = exam_id, labels
        self._journal = journal
        self._check = ResultCheck(labels)
        self._stream_id: str | None = None

    def record(self, result: Result, *, judged: bool = True) -> bool:
        """Take down a result, before it is shown; its heatmap is not kept.

        `judged` is False for a frame that no engine was there to judge: its snapshot is an older
        one and does not count it.
        """
        body = self._check.pack(result)
        self._stream_id = result.stream_id
        return self.write(EntryKind.RESULT, body, flag=judged)

    def record_reading(self, reading: ReaderResult) -> bool:
        """Take down what a reader says of a frame, before it is shown."""
        return self.write(EntryKind.READING, pack_reading(reading))

    def event(self, name: str, fields: Mapping[str, Any] | None = None) -> bool:
        """Take down an event of `journal_words.EVENTS`; raises `InputError` on free text."""
        return self.write(EntryKind.EVENT, encode(Event(name, check_event(name, fields or {}))))

    def state(self, part: str, value: str) -> bool:
        """Take down that a part (`ai`, `signal`, `display`, ...) is now `on`, `off`, ..."""
        return self.event("state", {"part": part, "value": value})

    def keep(
        self,
        seq: int,
        pixels: Pixels,
        reason: str,
        *,
        heatmap: Singles | None = None,
        label: str | None = None,
        stream_id: str | None = None,
    ) -> str | None:
        """Keep the picture of frame `seq`; returns its id, or None where there was no room.

        `pixels` is the ultrasound region alone, `(H, W)` or `(H, W, 3)` BGR uint8; `heatmap` is
        that very frame's, `(h, w)` in 0 to 1; `label` what it shows by the engine.
        """
        stream = stream_id or self._stream_id
        if stream is None:
            raise InputError("a key frame needs its stream's id: no result was recorded yet")
        check_word("the reason to keep a frame", reason, KEEP_REASONS)
        self._check_label(label)
        name = secrets.token_hex(6)
        kept = Kept(name, stream, seq, reason, label, pixels, to_levels(heatmap))
        return name if self.write(EntryKind.KEEP, encode(kept)) else None

    def review(self, key_frame_id: str, verdict: str, label: str | None = None) -> bool:
        """Accept, reject or reassign a kept frame; `reassign` names the label it goes to."""
        check_word("a verdict", verdict, VERDICTS)
        self._check_label(label)
        if (verdict == "reassign") != (label is not None):
            raise InputError("reassign names the label; accept and reject do not")
        said = {"key_frame": key_frame_id, "verdict": verdict}
        said = check_event("reviewed", said if label is None else said | {"label": label})
        return self.write(EntryKind.REVIEW, encode(Event("reviewed", said)))

    def end(self, record: Mapping[str, Any]) -> bool:
        """End the exam; of `record` (`exam.json`) only the counts are kept."""
        return self.write(EntryKind.END, pack_json(pick_end(record)))

    def write(self, kind: EntryKind, body: bytes, *, flag: bool = False) -> bool:
        """Take down an entry whose body is packed."""
        return self._journal.write(self.exam_id, kind, body, flag=flag)

    def _check_label(self, label: str | None) -> None:
        if label is not None:
            check_word("a label", label, frozenset(self.labels))
