"""The example programs, run as a reader would run them."""

import csv
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

import neurosono
from neurosono.stream.sources import open_source
from tests.support.clips import write_clip

EXAMPLES = Path(__file__).parents[2] / "examples"

Run = Callable[..., list[str]]


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return what runs an example by its name and returns the lines that it printed."""

    def run(name: str, *arguments: str | Path) -> list[str]:
        path = EXAMPLES / f"{name}.py"
        monkeypatch.setattr(sys, "argv", [str(path), *map(str, arguments)])
        runpy.run_path(str(path), run_name="__main__")
        return capsys.readouterr().out.splitlines()

    return run


def test_every_example_is_short_and_is_run_here() -> None:
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    assert names == {"archive", "camera", "clip", "own_network", "stills"}
    for name in names:
        assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) <= 45


def test_a_clip(example: Run) -> None:
    said = example("clip", "phantom:rachischisis?seed=3&seconds=2")
    *_, (_, last) = neurosono.judge("phantom:rachischisis?seed=3&seconds=2")
    assert said[0].startswith(f"{last.exam.state}, {last.exam.used} frames used")
    for label, line in zip(last.labels, said[1:6], strict=True):
        assert label in line
        assert neurosono.percentage(last.exam[label]) in line
    assert said[6] == neurosono.NOTICE


def test_a_folder_of_stills(example: Run, tmp_path: Path) -> None:
    stills = tmp_path / "stills"
    stills.mkdir()
    screens = [picture.pixels for picture in open_source(["phantom:normal?seed=2"]).pictures()]
    for number in (20, 40):
        cv2.imwrite(str(stills / f"{number}.png"), screens[number])
    cv2.imwrite(str(stills / "60.png"), np.zeros((300, 400), np.uint8))
    (stills / "80.txt").write_text("no picture")
    said = example("stills", stills, tmp_path / "heatmaps")
    assert [line[:4].strip() for line in said[:4]] == ["0", "1", "2", "3"]
    assert "skipped: " in said[2]
    assert "left out: " in said[3]
    judged = [number for number in (0, 1) if "%" in said[number]]
    assert judged, said
    painted = sorted(path.stem for path in (tmp_path / "heatmaps").iterdir())
    assert painted == [f"{number:04}" for number in judged]


def test_a_camera_of_ones_own(example: Run, tmp_path: Path) -> None:
    said = example("camera", write_clip(tmp_path / "camera.mp4", pictures=20))
    assert " s  collecting  " in said[0]
    assert said[-1] == neurosono.NOTICE


def test_a_camera_that_is_not_there(example: Run, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no camera"):
        example("camera", tmp_path / "none")


def test_a_network_of_ones_own(example: Run) -> None:
    said = example("own_network", "phantom:normal?seed=2&seconds=1")
    assert "'symmetric': " in said[0]
    assert "'asymmetric': " in said[0]
    assert int(said[1].split()[0]) > 0


def test_an_archive(example: Run, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    (archive / "b").mkdir(parents=True)
    write_clip(archive / "a.mp4", pictures=15)
    write_clip(archive / "b" / "1.mp4", pictures=10)
    write_clip(archive / "b" / "2.mp4", pictures=10, seed=2)
    (archive / "c.mp4").write_bytes(b"no clip")
    table = tmp_path / "results.csv"
    example("archive", archive, table)
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["exam"] for row in rows] == ["a.mp4", "b", "c.mp4"]
    assert [int(row["used"]) + int(row["skipped"]) for row in rows[:2]] == [3, 4]
    assert [bool(row["error"]) for row in rows] == [False, False, True]
    assert rows[2]["prediction"] == ""
