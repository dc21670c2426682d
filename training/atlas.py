"""Real ventriculomegaly as tables that training reads: within one atlas, and against normals."""

import csv
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.labels import NORMAL_LABEL
from neurosono.engine.files import writing

TABLE_NAME = "atlas.csv"
COLUMNS = ("file", "pseudo_case", "source", "finding", "group")
FINDING = "ventriculomegaly"
OTHER = "other-finding"
ATLAS = "atlas"

WIDE_BY_DEFINITION = ("colpocephaly", "hydranencephaly")
"""Findings with wide ventricles, neither the one class nor the other."""

Line = dict[str, str]


def write_tables(data: Path, out: Path) -> dict[str, dict[str, int]]:
    """Write `within-atlas.csv`, `against-normals.csv` and `normals.csv`; return what they count.

    A patient is a case: finding and week. Raises `InputError` where the atlas cannot be read,
    `OutputError` where `out` is there or cannot be written.
    """
    originals = _read_originals(data)
    wide = [(line, FINDING) for line in originals if FINDING in line["finding"]]
    others = [
        (line, OTHER)
        for line in originals
        if line["source"] == ATLAS
        and FINDING not in line["finding"]
        and line["finding"] not in WIDE_BY_DEFINITION
    ]
    normal = [(line, NORMAL_LABEL) for line in originals if line["finding"] == NORMAL_LABEL]
    tables = {
        "within-atlas.csv": [*wide, *others],
        "against-normals.csv": [*wide, *normal],
        "normals.csv": normal,
    }
    with writing(out, "name a new folder"):
        out.mkdir(parents=True)
        for name, rows in tables.items():
            _write(out / name, data, rows)
    return {name: dict(Counter(label for _, label in rows)) for name, rows in tables.items()}


def _read_originals(data: Path) -> list[Line]:
    """Return one line of each original, the first."""
    path = data / TABLE_NAME
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        found: dict[str, Line] = {}
        for line in lines:
            found.setdefault(line["group"], {name: line[name] for name in COLUMNS})
    except (OSError, KeyError, csv.Error, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} is no atlas's table ({error!r}): it has the columns {', '.join(COLUMNS)}"
        ) from error
    return list(found.values())


def _write(path: Path, data: Path, rows: Iterable[tuple[Line, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("path", "patient", "label"))
        for line, label in rows:
            table.writerow((str((data / line["file"]).absolute()), line["pseudo_case"], label))
