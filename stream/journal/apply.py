"""From entries to rows: what the journal's writer does inside a transaction."""

import sqlite3

import cv2
import msgspec

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.codec import decode
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.contracts.result import Result
from neurosono.stream.journal.entry import Entry, EntryKind, Kept
from neurosono.stream.journal.words import STATUS_OF_VERDICT
from neurosono.stream.processes.wire import Event

PNG_LEVEL = 3
"""zlib's level: speckle hardly shrinks any further, and 1 costs a tenth more of the disk."""


class Applier:
    """Writes entries into the tables of one connection; begins and ends no transaction itself."""

    def __init__(self, connection: sqlite3.Connection, writer: str) -> None:
        """`writer` is the name of the notebook that the entries come from."""
        self._connection, self._writer = connection, writer
        self._exams: dict[str, int] = {}

    def forget(self) -> None:
        """Drop the row numbers that were learnt: their transaction was undone."""
        self._exams.clear()

    def apply(self, data: bytes) -> None:
        """Write one entry.

        Raises `sqlite3.IntegrityError`, `ValueError`, `KeyError`, `cv2.error` or a `NeurosonoError`
        where the entry cannot be written, now or ever; other errors of SQLite where it can later.
        """
        entry = Entry.unpack(data)
        match entry.kind:
            case EntryKind.BEGIN:
                self._begin(entry)
            case EntryKind.RESULT:
                self._insert_result(entry)
            case EntryKind.READING:
                self._insert_reading(entry)
            case EntryKind.EVENT:
                self._insert_event(entry, decode(entry.body, Event))
            case EntryKind.KEEP:
                self._keep(entry)
            case EntryKind.REVIEW:
                self._review(entry)
            case EntryKind.END:
                self._connection.execute(
                    "UPDATE exam SET ended_ns = ?, ended_wall_ns = ?, ending = ? WHERE name = ?",
                    (entry.monotonic_ns, entry.wall_ns, _text(entry), entry.exam_id),
                )
            case EntryKind.RESUME:
                self._connection.execute(
                    "UPDATE exam SET writer = ? WHERE name = ?", (self._writer, entry.exam_id)
                )
                self._insert_event(entry, decode(entry.body, Event))

    def _begin(self, entry: Entry) -> None:
        self._connection.execute(
            "INSERT INTO exam (name, about, writer, begun_ns, begun_wall_ns) VALUES (?,?,?,?,?)",
            (entry.exam_id, _text(entry), self._writer, entry.monotonic_ns, entry.wall_ns),
        )

    def _insert_result(self, entry: Entry) -> None:
        result = decode(entry.body, Result)
        reason = None if result.skip_reason is None else str(result.skip_reason)
        times = (entry.monotonic_ns, entry.wall_ns)
        self._connection.execute(
            "INSERT INTO result VALUES (NULL, ?, ?, ?, ?, ?, ?)",
            (self._find_exam(entry.exam_id), *times, int(entry.flag), reason, entry.body),
        )

    def _insert_reading(self, entry: Entry) -> None:
        said = decode(entry.body, ReaderResult)
        reason = None if said.skip_reason is None else str(said.skip_reason)
        place = (self._find_exam(entry.exam_id), said.stream_id, said.seq)
        self._connection.execute(
            "INSERT INTO reading VALUES (NULL, ?, ?, ?, ?, ?, ?)",
            (*place, said.reader, reason, entry.body),
        )

    def _insert_event(self, entry: Entry, event: Event) -> None:
        fields = msgspec.json.encode(event.fields).decode()
        self._connection.execute(
            "INSERT INTO event (exam, monotonic_ns, wall_ns, name, fields) VALUES (?,?,?,?,?)",
            (
                *(self._find_exam(entry.exam_id), entry.monotonic_ns, entry.wall_ns),
                *(event.name, fields),
            ),
        )

    def _keep(self, entry: Entry) -> None:
        kept = decode(entry.body, Kept)
        exam = self._find_exam(entry.exam_id)
        picture = _encode_png(kept.pixels)
        heatmap = None if kept.heatmap is None else _encode_png(kept.heatmap)
        self._connection.execute(
            "INSERT INTO key_frame (name, exam, stream, seq, monotonic_ns, wall_ns, reason, label, "
            "picture, heatmap) VALUES (?,?,?,?,?,?,?,?,?,?)",
            (
                *(kept.name, exam, kept.stream_id, kept.seq),
                *(entry.monotonic_ns, entry.wall_ns, kept.reason, kept.label, picture, heatmap),
            ),
        )
        said = {"key_frame": kept.name, "reason": kept.reason, "seq": kept.seq}
        self._insert_event(entry, Event("kept", said))

    def _review(self, entry: Entry) -> None:
        event = decode(entry.body, Event)
        said = event.fields
        changed = self._connection.execute(
            "UPDATE key_frame SET status = ?, label = coalesce(?, label), reviewed_wall_ns = ? "
            "WHERE name = ?",
            (
                STATUS_OF_VERDICT[said["verdict"]],
                *(said.get("label"), entry.wall_ns, said["key_frame"]),
            ),
        )
        if changed.rowcount != 1:
            raise ValueError(f"no key frame {said['key_frame']}")
        self._insert_event(entry, event)

    def _find_exam(self, name: str) -> int:
        if name not in self._exams:
            row = self._connection.execute("SELECT id FROM exam WHERE name = ?", (name,)).fetchone()
            if row is None:
                raise ValueError(f"no exam {name}")
            self._exams[name] = int(row[0])
        return self._exams[name]


def _text(entry: Entry) -> str:
    return str(entry.body, "utf-8")


def _encode_png(picture: Pixels) -> bytes:
    made, data = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL])
    if not made:
        raise ValueError("a picture could not be written as PNG")
    return bytes(data)
