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

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.files import writing
from neurosono.stream.journal.describe import describe_record
from neurosono.stream.journal.journal import Journal
from neurosono.stream.journal.reader import KeyFrame, Reader, Recorded
from neurosono.stream.journal.times import name_time
from neurosono.stream.view.summary import describe_result

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


COLUMNS = (
    ("seq", "int64"),
    ("stream", "string"),
    ("wall_time", "string"),
    ("monotonic_ns", "int64"),
    ("captured_ns", "int64"),
    ("pts_s", "float64"),
    ("used", "bool_"),
    ("skip_reason", "string"),
    ("judged", "bool_"),
    ("disagreement", "float64"),
    ("gate", "float64"),
    ("unfamiliarity", "float64"),
    ("plane", "string"),
    ("strangeness", "float64"),
)
"""Columns of CSV and Parquet that stand before the classes', under the names of the description."""
CLASS_COLUMNS = (
    ("p_", "probabilities"),
    ("exam_p_", "exam.probabilities"),
    ("exam_mean_", "exam.mean"),
)
LAST_COLUMNS = (
    ("exam_state", "string", "exam.state"),
    ("exam_set", "string", "exam.set"),
    ("exam_used", "int64", "exam.used"),
    ("exam_effective_frames", "float64", "exam.effective_frames"),
    ("exam_alarm", "bool_", "exam.alarm"),
    ("exam_carried_by", "string", "exam.carried.by"),
    ("exam_ensemble_frames", "int64", "exam.carried.judged"),
    ("stage_ms", "string", "stage_ms"),
    ("readings", "string", "readings"),
    ("notice", "string", "notice"),
)


def columns(labels: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    """Return the columns of CSV and Parquet: the kind of each, and where its value is described."""
    return {
        **{name: (kind, name) for name, kind in COLUMNS},
        **{
            f"{prefix}{label}": ("float64", f"{place}/{label}")
            for prefix, place in CLASS_COLUMNS
            for label in labels
        },
        **{name: (kind, place) for name, kind, place in LAST_COLUMNS},
    }


def _rows(reader: Reader, exam_id: str, labels: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    places = [place for _, place in columns(labels).values()]
    for recorded in reader.results(exam_id):
        said = _describe_result(reader, exam_id, labels, recorded) | {
            "wall_time": name_time(recorded.wall_ns),
            "notice": NOTICE,
        }
        yield tuple(_find(said, place) for place in places)


def _find(said: Any, place: str) -> Any:
    """Return what stands at `place`, None where a part of it is None; lists and dicts as text."""
    way, _, label = place.partition("/")
    for name in (*way.split("."), *([label] if label else [])):
        said = None if said is None else said[name]
    if isinstance(said, list):
        return "|".join(said)
    return json.dumps(said) if isinstance(said, dict) else said


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
        file.write(
            between
            + json.dumps(_describe_result(reader, exam_id, labels, recorded), allow_nan=False)
        )
        between = ",\n"
    file.write("\n]}\n")


def _describe_key_frame(key: KeyFrame, pictures: bool) -> dict[str, Any]:
    said = asdict(key)
    for name in ("picture", "heatmap"):
        data = said.pop(name)
        if pictures:
            said[f"{name}_png"] = None if data is None else base64.b64encode(data).decode()
    return said


def _describe_result(
    reader: Reader, exam_id: str, labels: tuple[str, ...], recorded: Recorded
) -> dict[str, Any]:
    result = recorded.result
    readings = reader.readings(exam_id, (result.stream_id, result.seq))
    return describe_result(labels, result) | {
        "readings": {each.reader: each.describe() for each in readings},
        "wall_ns": recorded.wall_ns,
        "monotonic_ns": recorded.monotonic_ns,
        "judged": recorded.judged,
    }


def _prepare_parquet(reader: Reader, exam_id: str) -> Callable[[Path], None]:
    try:
        pa, pq = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise InputError(PARQUET_MISSING) from error
    labels = reader.exam(exam_id).labels
    fields = [(name, getattr(pa, kind)()) for name, (kind, _) in columns(labels).items()]
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
    with (
        writing(out, "free some space or choose another --out"),
        tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", newline="", dir=out.parent, prefix=f".{out.name}.", delete=False
        ) as file,
    ):
        try:
            write(file)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(out)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
