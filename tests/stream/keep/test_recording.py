"""Films of an exam: whole up to two seconds before whatever ended them, and never in the way."""

import stat
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.manifest import Manifest
from neurosono.engine.contracts.notice import NOTICE
from neurosono.stream.keep import recording
from neurosono.stream.keep.film import Film
from neurosono.stream.keep.recording import (
    Recorder,
    Segment,
    delete_recordings,
    recording_folder,
)
from neurosono.stream.view.state import AiState, OverlayState
from tests.support.commands import wait_until
from tests.support.disks import disk_with

EXAM = "20260314-091700-abcdef"
SECOND_NS = 1_000_000_000
FRAME_NS = SECOND_NS // 25
STATE = OverlayState(AiState.STARTING, "the engine is loading")


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return Bundle.load("demo").manifest


def draw(number: int, height: int = 120, width: int = 160) -> NDArray[np.uint8]:
    """Return a soft picture whose level tells its number."""
    level = 40 + (number * 7) % 160
    return np.full((height, width), level, dtype=np.uint8)


def film(recorder: Recorder, pictures: list[NDArray[np.uint8]], exam_id: str = EXAM) -> None:
    """Hand all pictures over at the pace of the recorder's own thread."""
    for number, region in enumerate(pictures):
        wait_until(lambda n=number: recorder.failure or recorder.pictures >= n)
        recorder.take(exam_id, region, number * FRAME_NS, STATE)


def decode(path: Path) -> list[tuple[float, NDArray[np.uint8]]]:
    with av.open(str(path)) as container:
        return [
            (float(frame.time or 0.0), frame.to_ndarray(format="gray"))
            for frame in container.decode(video=0)
        ]


def test_a_clean_film_is_the_region_at_its_own_times(tmp_path: Path, manifest: Manifest) -> None:
    regions = [draw(number, 121, 161) for number in range(12)]
    with Recorder(tmp_path, Film.CLEAN, manifest) as recorder:
        film(recorder, regions)
    path = tmp_path / EXAM / "0001-clean.mp4"
    shown = decode(path)
    assert len(shown) == 12 == recorder.pictures
    for number, (at_s, pixels) in enumerate(shown):
        assert at_s == pytest.approx(number / 25, abs=1e-3)
        assert pixels.shape == (120, 160)  # H.264 knows even sides only
        assert abs(float(pixels.mean()) - float(regions[number].mean())) < 4
    with av.open(str(path)) as container:
        assert container.metadata["comment"] == NOTICE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_an_overlay_film_shows_what_the_ai_says(tmp_path: Path, manifest: Manifest) -> None:
    with Recorder(tmp_path, Film.OVERLAY, manifest) as recorder:
        film(recorder, [draw(0, 240, 320)] * 3)
    shown = decode(tmp_path / EXAM / "0001-overlay.mp4")
    assert len(shown) == 3
    height, width = shown[0][1].shape
    assert width > 320, "the panel stands beside the region"
    assert height >= 240


@pytest.mark.parametrize("cut_s", [1.7, 3.0, 5.9])
def test_a_power_cut_costs_at_most_two_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut_s: float
) -> None:
    """What stood on the disk at the last sync is all that a power cut leaves."""
    path = tmp_path / "film.mp4"
    on_disk = b""

    def sync(descriptor: int) -> None:
        nonlocal on_disk
        on_disk = path.read_bytes()

    monkeypatch.setattr(recording.os, "fdatasync", sync)
    segment = Segment(path, (120, 160), 0)
    for number in range(round(cut_s * 25)):
        canvas = np.repeat(draw(number)[..., None], 3, axis=2)
        segment.write(canvas, number * FRAME_NS)
    left = tmp_path / "left.mp4"
    left.write_bytes(on_disk)
    segment.drop()
    assert decode(left)[-1][0] > cut_s - 2.0


def test_an_exam_that_is_taken_up_again_gets_a_second_film(
    tmp_path: Path, manifest: Manifest
) -> None:
    with Recorder(tmp_path, Film.CLEAN, manifest) as recorder:
        film(recorder, [draw(0)])
    first = (tmp_path / EXAM / "0001-clean.mp4").read_bytes()
    with Recorder(tmp_path, Film.CLEAN, manifest) as recorder:
        film(recorder, [draw(1), draw(2, 90, 120)])
    assert (tmp_path / EXAM / "0001-clean.mp4").read_bytes() == first
    names = ["0001-clean.mp4", "0002-clean.mp4", "0003-clean.mp4"]
    assert recorder.describe()["files"] == names
    assert sorted(each.name for each in (tmp_path / EXAM).iterdir()) == names


def test_another_size_and_another_exam_begin_another_file(
    tmp_path: Path, manifest: Manifest
) -> None:
    with Recorder(tmp_path, Film.CLEAN, manifest) as recorder:
        film(recorder, [draw(0), draw(1), draw(2, 90, 120)])
        wait_until(lambda: recorder.pictures == 3)
        recorder.take("20260314-101700-abcdef", draw(3), 4 * FRAME_NS, STATE)
    names = sorted(str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*.mp4"))
    assert names == [
        f"{EXAM}/0001-clean.mp4",
        f"{EXAM}/0002-clean.mp4",
        "20260314-101700-abcdef/0003-clean.mp4",
    ]


def test_a_full_disk_ends_the_film_aloud_and_nothing_else(
    tmp_path: Path, manifest: Manifest
) -> None:
    rng = np.random.default_rng(0)
    noisy = [rng.integers(0, 255, (240, 320), dtype=np.uint8) for _ in range(30)]
    with disk_with(32 * 1024), Recorder(tmp_path, Film.CLEAN, manifest) as recorder:
        film(recorder, noisy)
        told = recorder.describe()
    assert told["on"] is False
    assert "recording stopped" in told["reason"]
    assert "File too large" in told["reason"]


def test_a_slow_encoder_costs_pictures_of_the_film_and_no_time(
    tmp_path: Path, manifest: Manifest
) -> None:
    with Recorder(tmp_path, Film.OVERLAY, manifest) as recorder:
        for number in range(200):
            recorder.take(EXAM, draw(number, 480, 640), number * FRAME_NS, STATE)
    assert recorder.dropped > 0
    assert recorder.pictures + recorder.dropped == 200
    assert len(decode(tmp_path / EXAM / "0001-overlay.mp4")) == recorder.pictures


def test_films_go_with_their_exam(tmp_path: Path) -> None:
    journal = tmp_path / "exams.db"
    kept = recording_folder(journal) / "one"
    gone = recording_folder(journal) / "two"
    for each in (kept, gone):
        each.mkdir(parents=True)
        (each / "0001-clean.mp4").touch()
    delete_recordings(journal, ["two", "never-there"])
    assert kept.exists()
    assert not gone.exists()
