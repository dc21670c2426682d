"""What was compiled of an engine and kept: hashed when it is new, dropped once nobody needs it."""

import os
import time
from pathlib import Path

import pytest

from neurosono.engine.contracts.manifest import BundleFile, EngineEntry
from neurosono.engine.kept import UNUSED_S, keeping

ENTRY = EngineEntry("openvino", "int8", 1, (BundleFile("model.xml", "0" * 64),))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def keep(content: bytes | None, name: str = "a.blob") -> list[str]:
    """Open an engine, which writes `content` meanwhile; returns what it found kept."""
    with keeping(ENTRY, "here") as folder:
        assert folder is not None
        found = sorted(path.name for path in folder.glob("*.blob"))
        if content is not None:
            (folder / name).write_bytes(content)
    return found


def test_what_was_written_is_found_again_also_where_it_was_written_anew() -> None:
    assert keep(b"compiled") == []
    assert keep(None) == ["a.blob"]
    assert keep(b"compiled anew") == ["a.blob"]
    assert keep(None) == ["a.blob"]
    assert keep(b"another", "b.blob") == ["a.blob"]
    assert keep(None) == ["a.blob", "b.blob"]


def test_what_somebody_else_wrote_goes() -> None:
    keep(b"compiled")
    with keeping(ENTRY, "here") as folder:
        assert folder is not None
    for altered in (b"comPiled", b"compiled and more"):
        (folder / "a.blob").write_bytes(altered)
        assert keep(None) == []
        assert keep(b"compiled") == []
    (folder / "c.blob").write_bytes(b"never noted")
    assert keep(None) == ["a.blob"]


def test_what_nobody_takes_up_goes_once_something_new_is_kept(tmp_path: Path) -> None:
    keep(b"compiled")
    old = tmp_path / "neurosono" / "engines" / "other" / "settings"
    old.mkdir(parents=True)
    long_ago_s = time.time() - UNUSED_S - 60
    os.utime(old, (long_ago_s, long_ago_s))
    keep(None)
    assert old.exists()
    keep(b"compiled anew")
    assert not old.exists()
