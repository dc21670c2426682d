from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurosono.engine.contracts.cache import Cache, CachedFrame, CacheWriter, pseudonym
from neurosono.engine.contracts.errors import InputError, OutputError
from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from tests.support.disks import disk_with

SPEC = PreprocessingSpec(size_px=32, resize_px=32)


def _row(number: int, label: str = "a", patient: str = "p", **more: Any) -> CachedFrame:
    path = f"{label}/{patient}/c.mp4"
    return CachedFrame(path, label, patient, patient, 0, number, 0.1, **more)


def _write(root: Path, rows: list[CachedFrame], **how: Any) -> Cache:
    with CacheWriter(root, ("a", "b"), SPEC, 3, "source") as writer:
        for number, row in enumerate(rows):
            writer.add(np.full((32, 32), number, dtype=np.uint8), row)
        return writer.finish(**how)


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    about = {"gestational_weeks": 64 / 3, "site": "Sankt Anna, \u00c5rhus", "plane": "thalami"}
    rows = [_row(0, **about), _row(3), _row(0, "b", 'q,"x\ny')]
    written = _write(tmp_path / "c", rows)
    cache = Cache.load(tmp_path / "c")
    assert cache.rows == tuple(rows)
    assert cache.frames.shape == (3, 32, 32)
    assert cache.frames[:, 5, 5].tolist() == [0, 1, 2]
    assert (cache.spec, cache.every, cache.digest) == (SPEC, 3, written.digest)
    assert cache.targets.tolist() == [0, 0, 1]
    assert cache.label_of_patient == {"p": "a", 'q,"x\ny': "b"}
    assert cache.rows_of(["p"]).tolist() == [0, 1]
    assert cache.summary["classes"]["a"] == {"patients": 1, "frames": 2}
    assert cache.summary["sites"][about["site"]] == {"patients": 1, "frames": 1}
    assert cache.summary["sites"][""] == {"patients": 2, "frames": 2}
    assert cache.summary["notice"] == NOTICE


@pytest.mark.parametrize("name", ["frames.npy", "index.csv"])
def test_an_altered_cache_is_refused(tmp_path: Path, name: str) -> None:
    _write(tmp_path / "c", [_row(0), _row(0, "b", "q")])
    path = tmp_path / "c" / name
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"altered|not readable"):
        Cache.load(tmp_path / "c")


def test_a_missing_part_and_another_schema_are_refused(tmp_path: Path) -> None:
    _write(tmp_path / "c", [_row(0), _row(0, "b", "q")])
    summary = tmp_path / "c" / "cache.json"
    summary.write_text(summary.read_text().replace("cache/2", "cache/1"))
    said = "must have schema neurosono-cache/2, found 'neurosono-cache/1': make it again with"
    with pytest.raises(InputError, match=said):
        Cache.load(tmp_path / "c")
    with pytest.raises(InputError, match="no whole frame cache"):
        Cache.load(tmp_path / "nowhere")


def test_a_patient_under_two_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"two labels, a \(a/p/c.mp4\) and b \(b/p/c.mp4\)"):
        _write(tmp_path / "c", [_row(0), _row(0, "b", "p")])


def test_nothing_is_left_after_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="must be"),
        CacheWriter(tmp_path / "c", ("a", "b"), SPEC, 1, "") as writer,
    ):
        writer.add(np.zeros((8, 8), dtype=np.uint8), _row(0))
    with pytest.raises(InputError, match="no frame carried evidence"):
        _write(tmp_path / "c", [])
    assert list(tmp_path.iterdir()) == []


def test_notes_and_what_a_check_finds_are_in_the_summary(tmp_path: Path) -> None:
    def check(cache: Cache) -> dict[str, int]:
        assert cache.summary["note"] == 1
        assert not (tmp_path / "c").exists(), "it is not in its place before it is checked"
        return {"found": len(cache.rows)}

    cache = _write(tmp_path / "c", [_row(0), _row(0, "b", "q")], notes={"note": 1}, check=check)
    assert (cache.summary["note"], cache.summary["found"]) == (1, 2)
    assert Cache.load(cache.root).digest == cache.digest


def test_a_label_that_the_cache_has_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="label must be one of"):
        _write(tmp_path / "c", [_row(0, "c")])


def test_a_disk_without_room_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    with disk_with(20_000), pytest.raises(OutputError, match="free some space"):
        _write(tmp_path / "c", [_row(number) for number in range(40)])
    assert list(tmp_path.iterdir()) == []


def test_an_occupied_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="there already"):
        _write(tmp_path, [_row(0)])


def test_pseudonyms_differ_by_name_and_salt() -> None:
    names = {pseudonym(name, salt) for name in ("x", "y") for salt in ("1", "2")}
    assert len(names) == 4
    assert pseudonym("x", "1") in names
