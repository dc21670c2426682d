"""Up to a newer release and back to an older one, as `docs/operations.md` says."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import BundleError, InputError
from neurosono.stream.journal.journal import Journal
from neurosono.stream.journal.older import MIGRATIONS
from neurosono.stream.journal.schema import SCHEMA_VERSION, prepare
from tests.stream.journal.test_older import EXAM, make_older
from tests.support.records import make_exam, make_results

OLDER = 3
"""The version of a record as an older release wrote it."""


def read_exams(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM exam")]


def test_a_record_goes_up_and_its_copy_goes_back(tmp_path: Path) -> None:
    path, copy = tmp_path / "exams.sqlite", tmp_path / "before.sqlite"
    make_older(path, OLDER, make_results(make_exam(), 6))
    shutil.copy2(path, copy)
    with Journal.open(path) as journal, journal.read() as reader:
        assert [exam.exam_id for exam in reader.exams()] == [EXAM]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION
    # the older release refuses the newer record, and takes its copy as it was
    older = {version: step for version, step in MIGRATIONS.items() if version < OLDER}
    with pytest.raises(InputError, match="use the release that wrote it, or a newer one"):
        prepare(path, older, OLDER)
    prepare(copy, older, OLDER)
    assert read_exams(copy) == [EXAM]
    with Journal.open(path) as journal, journal.read() as reader:
        assert [exam.exam_id for exam in reader.exams()] == [EXAM], "refused is not harmed"


def test_a_bundle_of_before_opens_and_keeps_its_digest(bundle_root: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(bundle_root, old)
    manifest = json.loads((old / "manifest.json").read_text())
    assert "gate" not in manifest, "of before there was such a thing"
    assert "familiarity" not in manifest
    assert Bundle.load(old).manifest.digest == manifest["digest"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": "neurosono-bundle/99"}, "use the matching release"),
        ({"digest": "0" * 64}, "was altered"),
    ],
)
def test_a_bundle_that_says_more_than_we_know_is_refused(
    bundle_root: Path, tmp_path: Path, change: dict[str, str], said: str
) -> None:
    """A newer release's digest covers what this one does not know, so it cannot be ours."""
    newer = tmp_path / "newer"
    shutil.copytree(bundle_root, newer)
    path = newer / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"of_tomorrow": 1} | change))
    with pytest.raises(BundleError, match=said):
        Bundle.load(newer)
