"""Which files of a folder of real ultrasound show what, whose they are, and what is owed for them.

Read from a TOML file, so that labels given by eye stand in one place that can be reviewed.
"""

import csv
import fnmatch
import re
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from neurosono.engine.contracts.errors import InputError

SOURCES_PATH = Path(__file__).parents[1] / "gates"
LEFT_OUT = "left-out"


@dataclass(frozen=True)
class SourceRule:
    """Files by pattern, first rule wins.

    `files` are patterns of paths inside the folder; `label` is head, spine, other, or left-out.
    `database` and the groups of the pattern `patient` name the patient: two folders of one database
    share its patients; without a pattern each file is a patient. `every` keeps one picture in N of
    a clip; `screen` takes the whole picture as well, interface and all, where it is no head.
    `table` is a CSV inside the folder whose columns `path` and `machine` say which scanner a file
    is of; files with a `copy_of` stand there twice and are left out.
    """

    name: str
    files: tuple[str, ...]
    label: str
    database: str = ""
    patient: str = ""
    every: int = 1
    screen: bool = False
    table: str = ""
    attribution: str = ""

    def __post_init__(self) -> None:
        if self.label not in ("head", "spine", "other", LEFT_OUT):
            raise InputError(f"source {self.name}: no label {self.label!r}")
        if self.every < 1 or not self.files:
            raise InputError(f"source {self.name} needs files, and every of at least 1")

    def matches(self, path: str) -> bool:
        """Return whether the path, inside the folder, is one of this source's."""
        return any(fnmatch.fnmatchcase(path, pattern) for pattern in self.files)

    def patient_of(self, path: str) -> str:
        """Return the patient's name, unique over all sources."""
        if not self.patient:
            return f"{self.database or self.name}:{path}"
        found = re.search(self.patient, path)
        if found is None:
            raise InputError(f"source {self.name}: no patient in {path!r} by {self.patient!r}")
        return f"{self.database or self.name}:{'-'.join(filter(None, found.groups()))}"


def load_rules(where: str | Path) -> tuple[SourceRule, ...]:
    """Read the rules, a TOML file or shipped ones by name; raises `InputError`."""
    path = Path(where)
    shipped = SOURCES_PATH / f"{where}.toml"
    path = shipped if not path.exists() and shipped.exists() else path
    known = {each.name for each in fields(SourceRule)}
    try:
        found: list[dict[str, Any]] = tomllib.loads(path.read_text())["source"]
        rules = []
        for each in found:
            if unknown := sorted(set(each) - known):
                raise InputError(f"{path}: a source has no {unknown}, only {sorted(known)}")
            rules.append(SourceRule(**{**each, "files": tuple(each["files"])}))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"gate sources {path} cannot be read: {error!r}") from error
    return tuple(rules)


@dataclass(frozen=True)
class SourceFile:
    """A file to learn from: its path inside the folder, its rule, its scanner ("": not known)."""

    path: str
    rule: SourceRule
    machine: str = ""


def find_files(root: Path, rules: tuple[SourceRule, ...]) -> list[SourceFile]:
    """Return each file of `root` that a rule takes, in the order of the paths."""
    if not root.is_dir():
        raise InputError(f"no folder {root}: name the folder of real ultrasound")
    tables = {rule.table: _read_table(root / rule.table) for rule in rules if rule.table}
    found = []
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        name = path.relative_to(root).as_posix()
        rule = next((rule for rule in rules if rule.matches(name)), None)
        if rule is None or rule.label == LEFT_OUT:
            continue
        line = tables.get(rule.table, {}).get(name, {})
        if not line.get("copy_of"):
            found.append(SourceFile(name, rule, line.get("machine", "")))
    if not found:
        raise InputError(f"no file of {root} is named by the sources: see `--sources`")
    return found


def _read_table(path: Path) -> dict[str, dict[str, str]]:
    try:
        with path.open(newline="") as file:
            return {line["path"]: line for line in csv.DictReader(file)}
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"the sources' table {path} cannot be read: {error!r}") from error
