"""From entries to rows: what the journal's writer does inside a transaction."""

import json
import sqlite3
from typing import Any

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from neurosono.engine.contracts.result import Result
from neurosono.stream.journal.entry import Entry, EntryKind, pack_json, unpack_kept
from neurosono.stream.journal.words import STATUS_OF_VERDICT
from neurosono.stream.processes.wire import unpack

PNG_LEVEL = 3
"""zlib's level: speckle hardly shrinks any further, and 1 costs a tenth more of the disk."""

INSERT_RESULT = "INSERT INTO result VALUES (NULL" + ", ?" * 27 + ")"


class Applier:
    """Writes entries into the tables of one connection; begins and ends no transaction itself."""

    def __init__(self, connection: sqlite3.Connection, writer: str) -> None:
        """`writer` is the name of the notebook that the entries come from."""
        self._connection, self._writer = connection, writer
        self._exams: dict[str, tuple[int, tuple[str, ...]]] = {}
        self._streams: dict[tuple[int, str], int] = {}

    def forget(self) -> None:
        """Drop the row numbers that were learnt: their transaction was undone."""
        self._exams.clear()
        self._streams.clear()

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
            case EntryKind.EVENT:
                found = _read_json(entry)
                self._insert_event(entry, found["name"], found["fields"])
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
                self._insert_event(entry, "resumed", _read_json(entry))

    def _begin(self, entry: Entry) -> None:
        self._connection.execute(
            "INSERT INTO exam (name, about, writer, begun_ns, begun_wall_ns) VALUES (?,?,?,?,?)",
            (entry.exam_id, _text(entry), self._writer, entry.monotonic_ns, entry.wall_ns),
        )

    def _insert_result(self, entry: Entry) -> None:
        result = unpack(entry.body).message
        if not isinstance(result, Result):
            raise ValueError(f"an entry holds a {type(result).__name__} instead of a result")
        exam, labels = self._find_exam(entry.exam_id)
        snapshot = result.exam
        chosen = sum(1 << labels.index(label) for label in snapshot.prediction_set)
        row = (
            exam,
            self._find_stream(exam, result.stream_id),
            result.seq,
            entry.monotonic_ns,
            entry.wall_ns,
            result.captured_ns,
            result.pts_s,
            int(entry.flag),
            None if result.skip_reason is None else str(result.skip_reason),
            _blob(result.member_probabilities, "<f4"),
            _blob(result.probabilities, "<f8"),
            result.disagreement,
            pack_json({k: round(v, 3) for k, v in result.stage_ms.items()}).decode(),
            _blob(np.stack((snapshot.probabilities, snapshot.low, snapshot.high)), "<f8"),
            chosen,
            str(snapshot.state),
            snapshot.used,
            snapshot.effective_frames,
            pack_json(snapshot.skipped).decode(),
            *(result.gate, result.unfamiliarity, result.plane),
            *(_blob(snapshot.mean, "<f8"), int(snapshot.alarm)),
            *_describe_pair(result),
        )
        self._connection.execute(INSERT_RESULT, row)

    def _insert_event(self, entry: Entry, name: str, fields: dict[str, Any]) -> None:
        exam, _ = self._find_exam(entry.exam_id)
        self._connection.execute(
            "INSERT INTO event (exam, monotonic_ns, wall_ns, name, fields) VALUES (?,?,?,?,?)",
            (exam, entry.monotonic_ns, entry.wall_ns, name, pack_json(fields).decode()),
        )

    def _keep(self, entry: Entry) -> None:
        meta, pictures = unpack_kept(entry.body)
        exam, _ = self._find_exam(entry.exam_id)
        blobs = [_encode_png(picture) for picture in pictures] + [None]
        self._connection.execute(
            "INSERT INTO key_frame (name, exam, stream, seq, monotonic_ns, wall_ns, reason, label, "
            "picture, heatmap) VALUES (?,?,?,?,?,?,?,?,?,?)",
            (
                *(meta["name"], exam, meta["stream"], meta["seq"]),
                *(entry.monotonic_ns, entry.wall_ns, meta["reason"], meta["label"]),
                *blobs[:2],
            ),
        )
        said = {"key_frame": meta["name"], "reason": meta["reason"], "seq": meta["seq"]}
        self._insert_event(entry, "kept", said)

    def _review(self, entry: Entry) -> None:
        said = _read_json(entry)
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
        self._insert_event(entry, "reviewed", said)

    def _find_exam(self, name: str) -> tuple[int, tuple[str, ...]]:
        if name not in self._exams:
            row = self._connection.execute(
                "SELECT id, about FROM exam WHERE name = ?", (name,)
            ).fetchone()
            if row is None:
                raise ValueError(f"no exam {name}")
            self._exams[name] = int(row[0]), tuple(json.loads(row[1])["labels"])
        return self._exams[name]

    def _find_stream(self, exam: int, name: str) -> int:
        if (exam, name) not in self._streams:
            self._connection.execute(
                "INSERT OR IGNORE INTO stream (exam, name) VALUES (?, ?)", (exam, name)
            )
            row = self._connection.execute(
                "SELECT id FROM stream WHERE exam = ? AND name = ?", (exam, name)
            ).fetchone()
            self._streams[exam, name] = int(row[0])
        return self._streams[exam, name]


def _describe_pair(result: Result) -> tuple[int | None, bytes | None, str | None]:
    """Return the three columns of a student beside its ensemble, all None without one."""
    answer, carried = result.ensemble, result.exam.carried
    return (
        None if answer is None else answer.seq,
        None if answer is None else _blob(answer.probabilities, "<f4"),
        None if carried is None else msgspec.json.encode(carried).decode(),
    )


def _text(entry: Entry) -> str:
    return str(entry.body, "utf-8")


def _read_json(entry: Entry) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_text(entry))
    return found


def _blob(array: NDArray[Any] | None, dtype: str) -> bytes | None:
    return None if array is None else np.ascontiguousarray(array, dtype=dtype).tobytes()


def _encode_png(picture: NDArray[np.uint8]) -> bytes:
    made, data = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL])
    if not made:
        raise ValueError("a picture could not be written as PNG")
    return bytes(data)
