"""The last seconds of the region, and the clip that is written of them."""

import stat
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from neurosono.engine.contracts.errors import OutputError
from neurosono.stream.keep.clips import Clips, clip_folder, delete_clips, write_clip
from neurosono.stream.keep.ring import Ring
from tests.support.clips import make_screen

STEP_NS = 40_000_000
PICTURE = make_screen(0)


def fill(ring: Ring, pictures: int, pixels: NDArray[np.uint8] = PICTURE) -> None:
    for index in range(pictures):
        ring.push(pixels, index * STEP_NS)


def test_it_holds_five_seconds() -> None:
    ring = Ring()
    fill(ring, 300)
    stills = ring.before(299 * STEP_NS)
    assert stills[-1].captured_ns - stills[0].captured_ns == 5_000_000_000
    assert ring.size_bytes == sum(len(still.jpeg) for still in stills)
    assert [s.captured_ns for s in ring.before(250 * STEP_NS)][-1] == 250 * STEP_NS


def test_it_never_holds_more_than_its_bytes() -> None:
    ring = Ring(limit_bytes=100_000)
    fill(ring, 100, np.random.default_rng(0).integers(0, 256, (200, 200), np.uint8))
    assert 0 < ring.size_bytes <= 100_000
    assert 0 < len(ring.before(99 * STEP_NS)) < 10
    tiny = Ring(limit_bytes=10)
    fill(tiny, 3)
    assert (tiny.size_bytes, tiny.before(99 * STEP_NS)) == (0, [])


def test_pictures_that_come_too_fast_are_thinned() -> None:
    ring = Ring()
    for index in range(120):
        ring.push(PICTURE, index * 16_666_667)
    assert len(ring.before(2_000_000_000)) == 60


@pytest.mark.parametrize("pixels", [PICTURE, PICTURE[..., 0].copy(), PICTURE[:151, :201].copy()])
def test_a_clip_shows_the_pictures_at_their_times(
    tmp_path: Path, pixels: NDArray[np.uint8]
) -> None:
    ring = Ring()
    fill(ring, 20, pixels)
    path = tmp_path / "clips" / "clip.mp4"
    write_clip(ring.before(19 * STEP_NS), path)
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    assert [round(frame.time * 1e9) for frame in frames] == [i * STEP_NS for i in range(20)]
    shown = cv2.cvtColor(frames[7].to_ndarray(format="bgr24"), cv2.COLOR_BGR2GRAY)
    grey = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    assert shown.shape == grey.shape
    assert float(np.mean(np.abs(shown.astype(int) - grey))) < 6
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["clip.mp4"]


def test_a_clip_has_one_size() -> None:
    ring = Ring()
    fill(ring, 10)
    ring.push(PICTURE[:100], 10 * STEP_NS)
    assert len(ring.before(10 * STEP_NS)) == 1


def test_clips_lie_beside_the_journal_and_go_with_their_exam(tmp_path: Path) -> None:
    journal = tmp_path / "journal.sqlite"
    with Clips(journal) as clips:
        clips.keep("exam", "nothing-seen", 0)
        for index in range(10):
            clips.see(PICTURE, index * STEP_NS)
        clips.keep("exam", "abc", 9 * STEP_NS)
    assert (clips.written, clips.lost) == (1, 1)
    assert [file.name for file in (clip_folder(journal) / "exam").iterdir()] == ["abc.mp4"]
    for folder in (clip_folder(journal), clip_folder(journal) / "exam"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    delete_clips(journal, ["exam", "another"])
    assert list(clip_folder(journal).iterdir()) == []


def test_a_clip_never_shows_the_exam_before(tmp_path: Path) -> None:
    with Clips(tmp_path / "journal.sqlite") as clips:
        clips.see(PICTURE, 0)
        clips.begin_exam()
        clips.keep("exam", "abc", STEP_NS)
    assert (clips.written, clips.lost) == (0, 1)


def test_a_clip_that_cannot_be_written_is_counted(tmp_path: Path) -> None:
    clip_folder(tmp_path / "journal.sqlite").write_text("in the way")
    ring = Ring()
    fill(ring, 2)
    with pytest.raises(OutputError, match="cannot write the clip"):
        write_clip(ring.before(STEP_NS), clip_folder(tmp_path / "journal.sqlite") / "a" / "b.mp4")
    with Clips(tmp_path / "journal.sqlite") as clips:
        clips.see(PICTURE, 0)
        clips.keep("exam", "abc", 0)
    assert clips.lost == 1
