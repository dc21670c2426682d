"""A live session without a single picture says why, and does not end as if it were well."""

import json
from pathlib import Path

import pytest

from tests.support.commands import run


@pytest.mark.parametrize("page", ["--page", "--no-page"])
def test_a_source_that_never_comes_up(page: str, bundle_root: Path, tmp_path: Path) -> None:
    report = tmp_path / "r.json"
    words = ("live", "http://127.0.0.1:9/x", "--bundle", bundle_root, page, "--seconds", "8")
    done = run(*words, "--journal", tmp_path / "j.db", "--json", report)
    said = " ".join(done.stderr.split())
    assert done.returncode == 1, said
    assert "no picture ever came from the source: Connection refused" in said
    assert json.loads(report.read_text())["session"]["source_said"] == "Connection refused"
    assert ("NO SIGNAL: no picture comes" in said) == (page == "--page")
