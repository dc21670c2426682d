"""Bringing up the journals of older releases, a version at a time."""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
import numpy as np

from neurosono.engine.contracts.arrays import Singles
from neurosono.engine.contracts.codec import encode
from neurosono.engine.contracts.errors import InputError, NeurosonoError
from neurosono.engine.contracts.frame import SkipReason
from neurosono.engine.contracts.pair import Carried, EnsembleAnswer
from neurosono.engine.contracts.result import ExamSnapshot, ExamState, Result

Migrations = Mapping[int, Callable[[sqlite3.Connection], None]]


def _add_the_gate(connection: sqlite3.Connection) -> None:
    """Version 2: what the gate said, the plain mean beside the calibrated one, and the alarm."""
    for column in (
        "gate REAL",
        "unfamiliarity REAL",
        "plane TEXT",
        "exam_mean BLOB",
        "exam_alarm INTEGER NOT NULL DEFAULT 0",
    ):
        connection.execute(f"ALTER TABLE result ADD COLUMN {column}")


def _add_the_ensemble(connection: sqlite3.Connection) -> None:
    """Version 3: what the ensemble beside a student has said, and which of them carries."""
    for column in ("ensemble_seq INTEGER", "ensemble_members BLOB", "exam_carried TEXT"):
        connection.execute(f"ALTER TABLE result ADD COLUMN {column}")


def _gather_results(connection: sqlite3.Connection) -> None:
    """Version 4: a result is one blob, as it travels, beside the columns that queries use."""
    connection.execute("DROP INDEX IF EXISTS result_of_exam")
    connection.execute("DROP INDEX IF EXISTS result_of_stream")
    connection.execute("ALTER TABLE result RENAME TO older")
    connection.execute(
        "CREATE TABLE result (id INTEGER PRIMARY KEY, "
        "exam INTEGER NOT NULL REFERENCES exam ON DELETE CASCADE, "
        "monotonic_ns INTEGER NOT NULL, wall_ns INTEGER NOT NULL, judged INTEGER NOT NULL, "
        "skip_reason TEXT, said BLOB NOT NULL) STRICT"
    )
    connection.executemany("INSERT INTO result VALUES (?,?,?,?,?,?,?)", _read_older(connection))
    connection.execute("DROP TABLE older")
    connection.execute("DROP TABLE stream")
    connection.execute("CREATE INDEX result_of_exam ON result (exam, skip_reason)")


def _add_readings(connection: sqlite3.Connection) -> None:
    """Version 5: what bundles beside the first say of a frame."""
    connection.execute(
        "CREATE TABLE reading (id INTEGER PRIMARY KEY, "
        "exam INTEGER NOT NULL REFERENCES exam ON DELETE CASCADE, stream TEXT NOT NULL, "
        "seq INTEGER NOT NULL, reader TEXT NOT NULL, skip_reason TEXT, said BLOB NOT NULL) STRICT"
    )
    connection.execute("CREATE INDEX reading_of_exam ON reading (exam, stream, seq)")


MIGRATIONS: Migrations = {
    1: _add_the_gate,
    2: _add_the_ensemble,
    3: _gather_results,
    4: _add_readings,
}
"""From version n to n + 1; each runs in a transaction of its own."""


def _read_older(connection: sqlite3.Connection) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of version 3 as those of version 4, their numbers kept."""
    labels = {
        number: tuple(json.loads(about)["labels"])
        for number, about in connection.execute("SELECT id, about FROM exam")
    }
    found = connection.execute(
        "SELECT older.*, stream.name AS stream_id FROM older "
        "JOIN stream ON stream.id = older.stream ORDER BY older.id"
    )
    names = [column[0] for column in found.description]
    for values in found:
        row = dict(zip(names, values, strict=True))
        kept = (row["id"], row["exam"], row["monotonic_ns"], row["wall_ns"], row["judged"])
        try:
            said = encode(_build_result(row, labels[row["exam"]]))
        except (NeurosonoError, msgspec.MsgspecError, ValueError, TypeError, KeyError) as error:
            raise InputError(
                f"the journal's result {row['id']} is not readable ({error}): move the journal "
                "away to keep it, and begin another"
            ) from error
        yield (*kept, row["skip_reason"], said)


def _build_result(row: Mapping[str, Any], labels: tuple[str, ...]) -> Result:
    """Return the result in a row of version 3, whose arrays are little-endian.

    `exam_arrays` is float64 `(3, C)`: probabilities, low, high; `exam_set` has bit i set where
    label i is in the prediction set; NULL `ensemble_members` beside an `ensemble_seq`: its engine
    failed.
    """
    probabilities, low, high = np.frombuffer(row["exam_arrays"], "<f8").reshape(3, len(labels))
    mean, carried, reason = row["exam_mean"], row["exam_carried"], row["skip_reason"]
    members = _read_members(row["members"], labels)
    answer = None
    if row["ensemble_seq"] is not None:
        said = _read_members(row["ensemble_members"], labels)
        answer = EnsembleAnswer(row["ensemble_seq"], said)
    exam = ExamSnapshot(
        probabilities=probabilities,
        low=low,
        high=high,
        prediction_set=tuple(
            label for bit, label in enumerate(labels) if row["exam_set"] >> bit & 1
        ),
        state=ExamState(row["exam_state"]),
        used=row["exam_used"],
        effective_frames=row["exam_effective"],
        skipped=json.loads(row["exam_skipped"]),
        mean=None if mean is None else np.frombuffer(mean, "<f8"),
        alarm=bool(row["exam_alarm"]),
        carried=None if carried is None else msgspec.json.decode(carried, type=Carried),
    )
    frame = row["probabilities"]
    return Result(
        stream_id=row["stream_id"],
        seq=row["seq"],
        captured_ns=row["captured_ns"],
        pts_s=row["pts_s"],
        exam=exam,
        skip_reason=None if reason is None else SkipReason(reason),
        probabilities=None if frame is None else np.frombuffer(frame, "<f8"),
        member_probabilities=members,
        disagreement=row["disagreement"],
        stage_ms=json.loads(row["stage_ms"]),
        gate=row["gate"],
        unfamiliarity=row["unfamiliarity"],
        plane=row["plane"],
        ensemble=answer,
    )


def _read_members(blob: bytes | None, labels: tuple[str, ...]) -> Singles | None:
    return None if blob is None else np.frombuffer(blob, "<f4").reshape(-1, len(labels))
