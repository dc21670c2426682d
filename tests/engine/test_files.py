"""A file is whole or absent."""

import stat
from pathlib import Path

import pytest

from neurosono.engine.contracts.errors import OutputError
from neurosono.engine.files import making_folder, write_whole


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


def test_of_two_that_make_one_folder_the_first_is_whole_and_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    with pytest.raises(OSError, match="not empty"), making_folder(out) as one:  # noqa: PT012
        (one / "a").touch()
        with making_folder(out) as other:
            (other / "b").touch()
        assert (one / "a").is_file()
    assert [path.name for path in out.parent.rglob("*")] == ["out", "b"]


def test_a_folder_that_was_not_made_whole_is_gone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(OSError, match="full"), making_folder(tmp_path / "out") as made:
        raise OSError(f"no room in {made.name}, the disk is full")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    with making_folder(tmp_path / "out") as made:
        (made / "a").touch()
    assert (tmp_path / "out" / "a").is_file()
