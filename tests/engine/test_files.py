"""A file is whole or absent."""

import stat
from pathlib import Path

import pytest

from neurosono.engine.contracts.errors import OutputError
from neurosono.engine.files import write_whole


def test_a_file_is_replaced_whole_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a longer text that was there before")
    write_whole(path, "ä", mode=0o600)
    assert path.read_text(encoding="utf-8") == "ä"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*taken.*; do this$"):
        write_whole(tmp_path / "taken", "x", advice="do this")
    with pytest.raises(UnicodeEncodeError):
        write_whole(tmp_path / "new", "\ud800")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
