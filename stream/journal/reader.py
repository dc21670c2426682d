"""Reading the exam record: for the commands, a report, and the rebuilding of an exam."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from msgspec import Struct

from neurosono.engine.contracts.arrays import Pixels, Singles
from neurosono.engine.contracts.codec import decode
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.frame import SkipReason
from neurosono.engine.contracts.pair import EnsembleAnswer
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.contracts.result import ExamSnapshot, Result

RESULT_COLUMNS = "said, judged, monotonic_ns, wall_ns"


@dataclass(frozen=True)
class ExamSummary:
    """An exam as the record has it.

    `about` is what `Journal.begin` was given, `ending` the counts of its end, None where it did not
    end; `sampled` counts results; `last` is the exam after the last frame that was judged, None
    before. Wall times are nanoseconds since 1970, UTC.
    """

    exam_id: str
    about: dict[str, Any]
    labels: tuple[str, ...]
    begun_wall_ns: int
    ended_wall_ns: int | None
    ending: dict[str, Any] | None
    running: bool
    sampled: int
    skipped: dict[str, int]
    last: ExamSnapshot | None

    @property
    def ended(self) -> bool:
        """Return whether the exam came to its end, rather than to its process's."""
        return self.ended_wall_ns is not None

    @property
    def used(self) -> int:
        """Return how many frames added evidence."""
        return self.sampled - sum(self.skipped.values())

    @property
    def condition(self) -> str:
        """Return `running`, `ended`, `stopped` (on an error or by the user) or `interrupted`."""
        if self.running:
            return "running"
        if not self.ended:
            return "interrupted"
        return "ended" if (self.ending or {}).get("complete", True) else "stopped"

    @property
    def label(self) -> str | None:
        """Return the leading class, or None without evidence."""
        if self.last is None or not np.isfinite(self.last.probabilities).all():
            return None
        return self.labels[int(np.argmax(self.last.probabilities))]


@dataclass(frozen=True)
class Recorded:
    """A result, whether an engine judged it, and when it was taken down."""

    result: Result
    judged: bool
    monotonic_ns: int
    wall_ns: int


class Evidence(Struct, frozen=True):
    """The part of a `Result` that adds to an exam, under the same names.

    `members` is `(M, C)`, or `skip_reason` says why there are none; `ensemble` is what the ensemble
    beside a student had said by then, if anything.
    """

    members: Singles | None
    skip_reason: SkipReason | None
    ensemble: EnsembleAnswer | None


@dataclass(frozen=True)
class RecordedEvent:
    """An event of `journal_words.EVENTS`, and when it was taken down."""

    name: str
    fields: dict[str, Any]
    monotonic_ns: int
    wall_ns: int


@dataclass(frozen=True)
class KeyFrame:
    """A kept picture: `status` is `proposed`, `accepted`, `rejected` or `reassigned`.

    `picture` and `heatmap` are PNG files: the ultrasound region, and that frame's heatmap as grey
    levels, 255 for 1, at the size the network gave it.
    """

    key_frame_id: str
    stream_id: str
    seq: int
    reason: str
    label: str | None
    status: str
    wall_ns: int
    picture: bytes
    heatmap: bytes | None

    @property
    def pixels(self) -> Pixels:
        """Return the picture, `(H, W)` grey or `(H, W, 3)` BGR, uint8."""
        return _decode_png(self.picture)

    @property
    def heat(self) -> Singles | None:
        """Return the heatmap, `(h, w)` in 0 to 1, or None."""
        if self.heatmap is None:
            return None
        return (_decode_png(self.heatmap) / np.float32(255)).astype(np.float32)


@dataclass(frozen=True)
class Tally:
    """How many results and key frames of an exam stand in the journal."""

    results: int = 0
    key_frames: int = 0


class Reader:
    """The record as of one moment; `Journal.read` gives it."""

    def __init__(self, connection: sqlite3.Connection, is_alive: Callable[[str], bool]) -> None:
        """`is_alive` tells of a notebook's name whether its process still writes."""
        self.connection, self._is_alive = connection, is_alive

    def has(self, exam_id: str) -> bool:
        """Return whether there is such an exam."""
        found = self.connection.execute("SELECT 1 FROM exam WHERE name = ?", (exam_id,))
        return found.fetchone() is not None

    def exams(self) -> list[ExamSummary]:
        """Return every exam, the newest first, whatever the clock on the wall said."""
        names = self.connection.execute("SELECT name FROM exam ORDER BY id DESC")
        return [self.exam(name) for (name,) in names.fetchall()]

    def exam(self, exam_id: str) -> ExamSummary:
        """Return one exam; raises `InputError` where there is none or more than one.

        The beginning of an id will do, as long as it is the beginning of one only.
        """
        number, name, about, writer, begun, ended, ending = self._find(exam_id)
        content = json.loads(about)
        labels = tuple(content["labels"])
        counts = dict(
            self.connection.execute(
                "SELECT skip_reason, count(*) FROM result WHERE exam = ? GROUP BY skip_reason",
                (number,),
            ).fetchall()
        )
        return ExamSummary(
            exam_id=name,
            about=content,
            labels=labels,
            begun_wall_ns=begun,
            ended_wall_ns=ended,
            ending=None if ending is None else json.loads(ending),
            running=ended is None and self._is_alive(writer),
            sampled=sum(counts.values()),
            skipped={reason: count for reason, count in counts.items() if reason is not None},
            last=self._read_last(number),
        )

    def tally(self, exam_id: str) -> Tally:
        """Count an exam's results and key frames."""
        number, *_ = self._find(exam_id)
        results, key_frames = (
            self.connection.execute(
                f"SELECT count(*) FROM {table} WHERE exam = ?",  # noqa: S608
                (number,),
            ).fetchone()[0]
            for table in ("result", "key_frame")
        )
        return Tally(results, key_frames)

    def results(self, exam_id: str) -> Iterator[Recorded]:
        """Yield an exam's results in the order in which they came."""
        number, *_ = self._find(exam_id)
        rows = self.connection.execute(
            f"SELECT {RESULT_COLUMNS} FROM result WHERE exam = ? ORDER BY id",  # noqa: S608
            (number,),
        )
        for row in rows:
            yield _build_recorded(row)

    def evidence(self, exam_id: str) -> Iterator[Evidence]:
        """Yield of each result, in that order, what an exam is made of."""
        number, *_ = self._find(exam_id)
        rows = self.connection.execute(
            "SELECT said FROM result WHERE exam = ? ORDER BY id", (number,)
        )
        for (said,) in rows:
            yield decode(said, Evidence)

    def readings(
        self, exam_id: str, frame: tuple[str, int] | None = None
    ) -> Iterator[ReaderResult]:
        """Yield what readers said of an exam's frames, or of one, in the order in which it came.

        `frame` is the stream's id and the `seq`.
        """
        number, *_ = self._find(exam_id)
        where, given = ("", ()) if frame is None else (" AND stream = ? AND seq = ?", frame)
        rows = self.connection.execute(
            f"SELECT said FROM reading WHERE exam = ?{where} ORDER BY id",  # noqa: S608
            (number, *given),
        )
        for (said,) in rows:
            yield decode(said, ReaderResult)

    def events(self, exam_id: str) -> Iterator[RecordedEvent]:
        """Yield an exam's events in the order in which they came."""
        number, *_ = self._find(exam_id)
        rows = self.connection.execute(
            "SELECT name, fields, monotonic_ns, wall_ns FROM event WHERE exam = ? ORDER BY id",
            (number,),
        )
        for name, fields, monotonic_ns, wall_ns in rows:
            yield RecordedEvent(name, json.loads(fields), monotonic_ns, wall_ns)

    def key_frames(self, exam_id: str) -> list[KeyFrame]:
        """Return an exam's kept pictures in the order in which they were kept."""
        number, *_ = self._find(exam_id)
        rows = self.connection.execute(
            "SELECT name, stream, seq, reason, label, status, wall_ns, picture, heatmap "
            "FROM key_frame WHERE exam = ? ORDER BY id",
            (number,),
        )
        return [KeyFrame(*row) for row in rows]

    def _find(self, exam_id: str) -> tuple[Any, ...]:
        found = self.connection.execute(
            "SELECT id, name, about, writer, begun_wall_ns, ended_wall_ns, ending FROM exam "
            "WHERE substr(name, 1, ?) = ?",
            (len(exam_id), exam_id),
        ).fetchall()
        if len(found) != 1 or not exam_id:
            many = f"{len(found)} exams begin" if found and exam_id else "no exam begins"
            raise InputError(f"{many} with {exam_id!r}: see `neurosono exams list`")
        row: tuple[Any, ...] = found[0]
        return row

    def _read_last(self, number: int) -> ExamSnapshot | None:
        row = self.connection.execute(
            f"SELECT {RESULT_COLUMNS} FROM result "  # noqa: S608
            "WHERE exam = ? AND judged ORDER BY id DESC LIMIT 1",
            (number,),
        ).fetchone()
        return None if row is None else _build_recorded(row).result.exam


def _build_recorded(row: tuple[Any, ...]) -> Recorded:
    said, judged, monotonic_ns, wall_ns = row
    return Recorded(decode(said, Result), bool(judged), monotonic_ns, wall_ns)


def _decode_png(data: bytes) -> Pixels:
    return np.asarray(
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED), dtype=np.uint8
    )
