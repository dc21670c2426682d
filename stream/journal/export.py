"""An exam's record as a file for other programs: JSON whole, CSV or Parquet a row a result."""

import base64
import csv
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from neurosono.engine.contracts.errors import InputError, OutputError
from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.contracts.result import ExamSnapshot
from neurosono.stream.journal.describe import describe_record
from neurosono.stream.journal.journal import Journal
from neurosono.stream.journal.reader import KeyFrame, Reader, Recorded
from neurosono.stream.journal.times import name_time
from neurosono.stream.view.summary import name_values

SCHEMA = "neurosono-record/1"
FORMATS = ("json", "csv", "parquet")
PARQUET_MISSING = (
    "Parquet needs pyarrow: install it with `pip install neurosono[parquet]`, or export CSV"
)
ROWS_A_GROUP = 10_000
"""Rows held in memory at a time while Parquet is written: about 10 MB."""


def export_exam(
    journal: Journal, exam_id: str, out: Path, kind: str, *, pictures: bool = False
) -> None:
    """Write an exam to `out`, private to the user, whole or not at all.

    `pictures` puts the kept frames' PNG files into JSON, as base64. Raises `InputError` for an
    unknown format or one whose package is missing, `OutputError` where `out` cannot be written.
    """
    if kind not in FORMATS:
        raise InputError(f"the format must be one of {list(FORMATS)}, found {kind!r}")
    if pictures and kind != "json":
        raise InputError(f"pictures go into JSON only, not into {kind}")
    with journal.read() as reader:
        name = reader.exam(exam_id).exam_id
        if kind == "json":
            _write_aside(out, lambda file: _write_json(file, reader, name, pictures))
        elif kind == "csv":
            _write_aside(out, lambda file: _write_csv(file, reader, name))
        else:
            write = _prepare_parquet(reader, name)
            _write_aside(out, lambda file: write(Path(file.name)))


def columns(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns of CSV and Parquet."""
    return (
        *("seq", "stream", "wall_time", "monotonic_ns", "captured_ns", "pts_s"),
        *("used", "skip_reason", "judged", "disagreement", "gate", "unfamiliarity", "plane"),
        *(f"p_{label}" for label in labels),
        *(f"exam_p_{label}" for label in labels),
        *(f"exam_mean_{label}" for label in labels),
        *("exam_state", "exam_set", "exam_used", "exam_effective_frames", "exam_alarm"),
        *("exam_carried_by", "exam_ensemble_frames", "stage_ms", "notice"),
    )


def _rows(reader: Reader, exam_id: str, labels: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    for recorded in reader.results(exam_id):
        result, exam = recorded.result, recorded.result.exam
        nothing = [None] * len(labels)
        frame = nothing if result.probabilities is None else result.probabilities.tolist()
        known = name_values(labels, exam.probabilities) is not None
        calibrated = exam.probabilities if known else nothing
        mean = calibrated if exam.mean is None else exam.mean
        yield (
            *(result.seq, result.stream_id, name_time(recorded.wall_ns), recorded.monotonic_ns),
            *(result.captured_ns, result.pts_s, result.used),
            None if result.skip_reason is None else str(result.skip_reason),
            *(recorded.judged, result.disagreement),
            *(result.gate, result.unfamiliarity, result.plane),
            *(*frame, *map(_plain, calibrated), *map(_plain, mean)),
            *(str(exam.state), "|".join(exam.prediction_set), exam.used, exam.effective_frames),
            *(exam.alarm, *_name_carrier(exam), json.dumps(result.stage_ms), NOTICE),
        )


def _name_carrier(exam: ExamSnapshot) -> tuple[str | None, int | None]:
    carried = exam.carried
    return (None, None) if carried is None else (str(carried.by), carried.judged)


def _plain(value: Any) -> float | None:
    return None if value is None else float(value)


def _write_csv(file: IO[str], reader: Reader, exam_id: str) -> None:
    labels = reader.exam(exam_id).labels
    writer = csv.writer(file)
    writer.writerow(columns(labels))
    writer.writerows(_rows(reader, exam_id, labels))


def _write_json(file: IO[str], reader: Reader, exam_id: str, pictures: bool) -> None:
    """Write the whole exam, a line a result, so that an hour of it is never in memory at once."""
    labels = reader.exam(exam_id).labels
    head = describe_record(reader, exam_id) | {
        "schema": SCHEMA,
        "about": reader.exam(exam_id).about,
        "events": [asdict(event) for event in reader.events(exam_id)],
        "key_frames": [_describe_key_frame(key, pictures) for key in reader.key_frames(exam_id)],
    }
    file.write(json.dumps(head, indent=1)[:-2] + ',\n "results": [')
    between = "\n"
    for recorded in reader.results(exam_id):
        file.write(between + json.dumps(_describe_result(labels, recorded), allow_nan=False))
        between = ",\n"
    file.write("\n]}\n")


def _describe_key_frame(key: KeyFrame, pictures: bool) -> dict[str, Any]:
    said = asdict(key)
    for name in ("picture", "heatmap"):
        data = said.pop(name)
        if pictures:
            said[f"{name}_png"] = None if data is None else base64.b64encode(data).decode()
    return said


def _describe_result(labels: tuple[str, ...], recorded: Recorded) -> dict[str, Any]:
    result, exam = recorded.result, recorded.result.exam
    return {
        "seq": result.seq,
        "stream": result.stream_id,
        "wall_ns": recorded.wall_ns,
        "monotonic_ns": recorded.monotonic_ns,
        "captured_ns": result.captured_ns,
        "pts_s": result.pts_s,
        "used": result.used,
        "skip_reason": result.skip_reason,
        "judged": recorded.judged,
        "probabilities": name_values(labels, result.probabilities),
        "members": _list(result.member_probabilities),
        "disagreement": result.disagreement,
        "gate": result.gate,
        "unfamiliarity": result.unfamiliarity,
        "plane": result.plane,
        "ensemble": None
        if result.ensemble is None
        else {"seq": result.ensemble.seq, "members": _list(result.ensemble.probabilities)},
        "exam": {
            "probabilities": name_values(labels, exam.probabilities),
            "set": list(exam.prediction_set),
            "state": str(exam.state),
            "used": exam.used,
            "effective_frames": exam.effective_frames,
            "mean": name_values(labels, exam.probabilities if exam.mean is None else exam.mean),
            "alarm": exam.alarm,
            "carried": msgspec.to_builtins(exam.carried),
        },
        "stage_ms": result.stage_ms,
    }


def _list(members: NDArray[np.float32] | None) -> list[Any] | None:
    return None if members is None else members.tolist()


def _prepare_parquet(reader: Reader, exam_id: str) -> Callable[[Path], None]:
    try:
        pa, pq = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise InputError(PARQUET_MISSING) from error
    labels = reader.exam(exam_id).labels
    kinds = {
        **dict.fromkeys(("seq", "monotonic_ns", "captured_ns", "exam_used"), pa.int64()),
        "exam_carried_by": pa.string(),
        "exam_ensemble_frames": pa.int64(),
        **dict.fromkeys(("used", "judged", "exam_alarm"), pa.bool_()),
        **dict.fromkeys(
            ("stream", "wall_time", "skip_reason", "plane", "exam_state", "exam_set", "stage_ms"),
            pa.string(),
        ),
        "notice": pa.string(),
    }
    fields = [(name, kinds.get(name, pa.float64())) for name in columns(labels)]
    schema = pa.schema(fields, metadata={"notice": NOTICE, "exam": exam_id, "schema": SCHEMA})

    def write(path: Path) -> None:
        rows: list[tuple[Any, ...]] = []
        with pq.ParquetWriter(path, schema) as writer:
            for row in _rows(reader, exam_id, labels):
                rows.append(row)
                if len(rows) == ROWS_A_GROUP:
                    writer.write_table(_build_table(pa, schema, rows))
                    rows = []
            writer.write_table(_build_table(pa, schema, rows))

    return write


def _build_table(pa: Any, schema: Any, rows: list[tuple[Any, ...]]) -> Any:
    arrays = [
        pa.array([row[at] for row in rows], type=field.type) for at, field in enumerate(schema)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _write_aside(out: Path, write: Callable[[IO[str]], None]) -> None:
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", newline="", dir=out.parent, prefix=f".{out.name}.", delete=False
        ) as file:
            try:
                write(file)
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).replace(out)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise OutputError(
            f"cannot write {out}: {error.strerror}; free some space or choose another --out"
        ) from error
