"""Places with a colon in their name, and places that may not be entered."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from neurosono.stream.keep.clips import write_clip as write_kept
from neurosono.stream.keep.ring import Still
from neurosono.stream.overlay.video import VideoWriter
from neurosono.stream.phantom.cohort import write_cohort
from neurosono.stream.replay.options import ReplayOptions
from neurosono.stream.replay.run import replay
from neurosono.stream.sources import open_source
from tests.support.clips import write_clip
from tests.support.commands import COMMAND, TIMEOUT_S, count_pictures


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a relative folder whose name FFmpeg would take for a protocol."""
    monkeypatch.chdir(tmp_path)
    folder = Path("exam:3")
    folder.mkdir()
    return folder


def test_every_film_is_written_and_read_below_a_colon(here: Path) -> None:
    writer = VideoWriter(here / "2026-11-27T09:24.mp4", (96, 128), 25.0)
    for index in range(3):
        writer.write(np.full((96, 128, 3), 40 * index, np.uint8), index / 25)
    writer.close()
    found = [here / "2026-11-27T09:24.mp4"]
    write_cohort(here / "c:d", exams=1, seed=1, labels=("normal",), seconds=0.2)
    found += (here / "c:d").rglob("*.mp4")
    jpeg = cv2.imencode(".jpg", np.zeros((48, 64), np.uint8))[1].tobytes()
    write_kept([Still(at, jpeg, 48, 64) for at in (0, 40_000_000)], here / "k:1.mp4")
    found.append(here / "k:1.mp4")
    assert len(found) == 3
    for path in found:
        assert len(list(open_source([str(path)]).pictures())) >= 2
    assert count_pictures(found[0].absolute()) == 3


def test_a_replay_goes_where_it_was_told(here: Path, bundle_root: Path) -> None:
    write_clip((here / "a:b.mp4").absolute(), pictures=6)
    options = ReplayOptions(
        bundle=str(bundle_root), sources=(str(here / "a:b.mp4"),), out=Path("out:1")
    )
    assert replay(options)["complete"] is True
    assert count_pictures(Path("out:1/overlay.mp4").absolute()) == 6


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """Return a folder that may not be entered."""
    folder = tmp_path / "locked"
    folder.mkdir(mode=0)
    yield folder
    folder.chmod(0o700)


def run_without_rights(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a user to whom permissions apply: root goes without its overriding."""
    rights = "-dac_override,-dac_read_search"
    before = ["setpriv", "--bounding-set", rights] if os.geteuid() == 0 else []
    if before and shutil.which("setpriv") is None:
        pytest.skip("root may enter everything, and there is no setpriv")
    command = [*before, *COMMAND, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


@pytest.mark.parametrize(
    "words",
    [
        ["replay", "{}/a.mp4", "--out", "{}-out"],
        ["replay", "phantom:normal", "--bundle", "{}/b", "--out", "{}-out"],
        ["replay", "phantom:normal", "--out", "{}/out"],
        ["replay", "a" * 4000, "--out", "{}-out"],
        ["doctor", "--bundle", "{}/b"],
        ["train", "prepare", "{}/data", "--out", "{}-cache"],
    ],
)
def test_what_may_not_be_entered_is_one_sentence(words: list[str], locked: Path) -> None:
    done = run_without_rights(*(word.format(locked) for word in words))
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "ermission" in done.stderr or "too long" in done.stderr
