"""The tables of an archive, written anew from its book, exam by exam.

`results.csv` and `results.parquet` name an exam by its number, so that they can be given away;
`exams.csv` and `failures.csv` say which file that is, and are private.
"""

import csv
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

from neurosono.archive.book import Book, Outcome
from neurosono.engine.contracts.errors import OutputError
from neurosono.engine.contracts.frame import SkipReason
from neurosono.engine.files import create_private

RESULTS, EXAMS, FAILURES = "results.csv", "exams.csv", "failures.csv"
PARQUET = "results.parquet"
PAGE = "index.html"

PARQUET_ROWS = 1024
"""Rows of the Parquet table in memory at once."""

WORDS = {"state", "prediction", "prediction_set", "engine", "failure"}
WHOLE = {"exam", "decoded", "sampled", "used", "left_out"}
"""Columns of text and of whole numbers; `alarm` and `complete` are true or false, all else real."""


FIGURES = (
    *("state", "prediction", "prediction_set", "alarm", "effective_frames"),
    *("decoded", "sampled", "used", "left_out"),
    *(f"skipped_{reason.value.replace('-', '_')}" for reason in SkipReason),
)
"""The columns of a row whatever the bundle's labels; then come theirs, and the engine's."""


def name_columns(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns that a worker fills."""
    kinds = ("p", "low", "high")
    return (*FIGURES, *(f"{kind}_{label}" for kind in kinds for label in labels), "engine")


@dataclass
class Tally:
    """What the tables hold, counted."""

    listed: int
    done: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    predictions: Counter[str] = field(default_factory=Counter)
    engines: Counter[str] = field(default_factory=Counter)
    frames: Counter[str] = field(default_factory=Counter)
    alarms: int = 0

    @property
    def failed(self) -> int:
        """How many exams failed."""
        return sum(self.failures.values())

    @property
    def is_whole(self) -> bool:
        """Whether every exam is done, and none failed."""
        return self.done == self.listed and not self.failed

    def add(self, outcome: Outcome) -> None:
        """Count one exam."""
        row = outcome.row
        self.done += 1
        if outcome.failure is not None:
            self.failures[outcome.failure] += 1
        if "state" in row:
            self.states[row["state"]] += 1
        if row.get("state") == "stable" and row.get("prediction"):
            self.predictions[row["prediction"]] += 1
        if "engine" in row:
            self.engines[row["engine"]] += 1
        self.alarms += bool(row.get("alarm"))
        for name in ("decoded", "sampled", "used"):
            self.frames[name] += row.get(name, 0)

    def describe(self) -> dict[str, Any]:
        """Return what `summary.json` says of it."""
        return {
            "failures": dict(sorted(self.failures.items())),
            "states": dict(sorted(self.states.items())),
            "stable_predictions": dict(sorted(self.predictions.items())),
            "alarms": self.alarms,
            "frames": dict(self.frames),
            "engines": dict(sorted(self.engines.items())),
        }


class _Results(Protocol):
    def write(self, row: dict[str, Any]) -> None: ...


def write_tables(out: Path, book: Book, labels: tuple[str, ...]) -> Tally:
    """Write every table of `book` into `out`, in the order of the exams; raises `OutputError`."""
    columns = ("exam", "complete", "failure", *name_columns(labels))
    tally = Tally(listed=book.count()[0])
    try:
        with ExitStack() as stack:
            results: list[_Results] = [
                _CsvResults(stack.enter_context(_open(out / RESULTS, 0o644)), columns)
            ]
            if (parquet := _open_parquet(out / PARQUET, columns, stack)) is not None:
                results.append(parquet)
            exams = csv.writer(stack.enter_context(_open(out / EXAMS, 0o600)))
            failures = csv.writer(stack.enter_context(_open(out / FAILURES, 0o600)))
            exams.writerow(("exam", "source"))
            failures.writerow(("exam", "source", "failure", "why"))
            for outcome, source in book.read():
                row: dict[str, Any] = {"exam": outcome.number, "failure": outcome.failure}
                row |= {"complete": outcome.failure is None, **outcome.row}
                for table in results:
                    table.write(row)
                exams.writerow((outcome.number, source))
                if outcome.failure is not None:
                    failures.writerow((outcome.number, source, outcome.failure, outcome.why))
                tally.add(outcome)
    except OSError as error:
        raise OutputError(
            f"cannot write the tables into {out}: {error.strerror}; free some space and give the "
            "same command again: what is judged is kept"
        ) from error
    return tally


@contextmanager
def _open(path: Path, mode: int) -> Iterator[IO[str]]:
    """Open a table aside; it gets its name once it is whole."""
    aside = path.with_name(f".{path.name}.partial")
    descriptor = create_private(aside)
    os.fchmod(descriptor, mode)
    # a file system holds any bytes in a name
    with open(descriptor, "w", newline="", encoding="utf-8", errors="backslashreplace") as file:  # noqa: PTH123
        yield file
    aside.replace(path)


class _CsvResults:
    def __init__(self, file: IO[str], columns: tuple[str, ...]) -> None:
        self._writer = csv.DictWriter(file, columns, restval="")
        self._writer.writeheader()

    def write(self, row: dict[str, Any]) -> None:
        said = {name: str(each).lower() for name, each in row.items() if isinstance(each, bool)}
        self._writer.writerow(row | said)


def load_parquet() -> bool:
    """Import what writes the Parquet table, a quarter of a second's work; False: it is not here."""
    try:
        import pyarrow
        import pyarrow.parquet  # noqa: F401
    except ModuleNotFoundError:
        return False
    return True


def _open_parquet(path: Path, columns: tuple[str, ...], stack: ExitStack) -> _Results | None:
    """Open the Parquet table, where pyarrow is installed."""
    if not load_parquet():
        return None
    import pyarrow
    from pyarrow import parquet

    schema = pyarrow.schema([(name, _find_type(pyarrow, name)) for name in columns])
    aside = path.with_name(f".{path.name}.partial")
    stack.callback(lambda: aside.replace(path) if results.whole else aside.unlink(missing_ok=True))
    writer = stack.enter_context(parquet.ParquetWriter(aside, schema))
    results = _ParquetResults(pyarrow, writer, schema)
    stack.push(results.finish)
    return results


class _ParquetResults:
    def __init__(self, pyarrow: Any, writer: Any, schema: Any) -> None:
        self._pyarrow, self._writer, self._schema = pyarrow, writer, schema
        self._rows: list[dict[str, Any]] = []
        self.whole = False

    def write(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        if len(self._rows) == PARQUET_ROWS:
            self._flush()

    def finish(self, error: object, *_: object) -> None:
        self.whole = error is None
        if self.whole:
            self._flush()

    def _flush(self) -> None:
        table = self._pyarrow.Table.from_pylist(self._rows, self._schema)
        self._writer.write_table(table)
        self._rows.clear()


def _find_type(pyarrow: Any, column: str) -> Any:
    if column in WORDS:
        return pyarrow.string()
    if column in ("complete", "alarm"):
        return pyarrow.bool_()
    whole = column in WHOLE or column.startswith("skipped_")
    return pyarrow.int64() if whole else pyarrow.float64()
