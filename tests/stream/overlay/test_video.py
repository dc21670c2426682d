"""The overlay as a file: every canvas in it, at its own time, or no file at all."""

import itertools
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from neurosono.engine.contracts.errors import InputError, OutputError
from neurosono.stream.overlay.video import TICKS_HZ, VideoWriter
from tests.support.disks import disk_with

CANVAS_PX = (96, 128)


def canvas(level: int) -> NDArray[np.uint8]:
    return np.full((*CANVAS_PX, 3), level, dtype=np.uint8)


def noise(seed: int, canvas_px: tuple[int, int] = CANVAS_PX) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (*canvas_px, 3), dtype=np.uint8)


def write(path: Path, times_s: list[float], rate_hz: float = 25.0) -> None:
    writer = VideoWriter(path, CANVAS_PX, rate_hz)
    for place, pts_s in enumerate(times_s):
        writer.write(canvas(20 + 8 * (place % 25)), pts_s)
    writer.close()


def read(path: Path) -> tuple[list[float], list[NDArray[np.uint8]]]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    times_s = [float(frame.pts * frame.time_base) for frame in frames]
    return times_s, [frame.to_ndarray(format="bgr24") for frame in frames]


def boxes(path: Path) -> list[bytes]:
    content, at, names = path.read_bytes(), 0, []
    while at < len(content):
        names.append(content[at + 4 : at + 8])
        at += int.from_bytes(content[at : at + 4], "big")
    assert at == len(content), "the last box is cut short"
    return names


@pytest.mark.parametrize("count", [1, 2, 3, 60])
def test_every_canvas_is_a_frame_in_order(tmp_path: Path, count: int) -> None:
    write(tmp_path / "overlay.mp4", [place / 25 for place in range(count)])
    times_s, pictures = read(tmp_path / "overlay.mp4")
    assert times_s == pytest.approx([place / 25 for place in range(count)])
    for place, picture in enumerate(pictures):
        assert np.abs(picture.astype(int) - (20 + 8 * (place % 25))).max() <= 4
    assert [path.name for path in tmp_path.iterdir()] == ["overlay.mp4"]


def test_uneven_times_are_kept(tmp_path: Path) -> None:
    times_s = [0.0, 0.04, 0.1, 0.1034, 1.0, 1.5, 7.25]
    write(tmp_path / "overlay.mp4", times_s)
    found, _ = read(tmp_path / "overlay.mp4")
    assert found == pytest.approx(times_s, abs=1 / TICKS_HZ)
    with av.open(str(tmp_path / "overlay.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.duration is not None
        assert float(stream.duration * stream.time_base) == pytest.approx(7.25 + 0.04, abs=0.001)


def test_times_that_do_not_rise_lose_no_frame(tmp_path: Path) -> None:
    write(tmp_path / "overlay.mp4", [0.0, 0.0, 0.0, 0.2, 0.1, 0.3])
    times_s, _ = read(tmp_path / "overlay.mp4")
    assert len(times_s) == 6
    assert all(later > earlier for earlier, later in itertools.pairwise(times_s))
    assert times_s[-1] == pytest.approx(0.3)


def test_a_browser_can_play_it(tmp_path: Path) -> None:
    write(tmp_path / "overlay.mp4", [0.0, 0.04, 0.08])
    with av.open(str(tmp_path / "overlay.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.frames == 3
    names = boxes(tmp_path / "overlay.mp4")
    assert names.index(b"moov") < names.index(b"mdat"), "it must play before it is all there"
    assert b"avc1" in (tmp_path / "overlay.mp4").read_bytes()


def test_colours_come_back(tmp_path: Path) -> None:
    colours = [(94, 0, 213), (233, 180, 86), (66, 228, 240), (27, 21, 17)]
    writer = VideoWriter(tmp_path / "overlay.mp4", CANVAS_PX, 25.0)
    for place, colour in enumerate(colours):
        writer.write(canvas(0) + np.array(colour, dtype=np.uint8), place / 25)
    writer.close()
    for picture, colour in zip(read(tmp_path / "overlay.mp4")[1], colours, strict=True):
        assert np.abs(picture[48, 64].astype(int) - colour).max() <= 6


def test_the_canvas_may_be_drawn_anew_after_each_call(tmp_path: Path) -> None:
    buffer = canvas(0)
    writer = VideoWriter(tmp_path / "overlay.mp4", CANVAS_PX, 25.0)
    for place, level in enumerate((40, 120, 200)):
        buffer[:] = level
        writer.write(buffer, place / 25)
    writer.close()
    levels = [round(float(picture.mean())) for picture in read(tmp_path / "overlay.mp4")[1]]
    assert levels == pytest.approx([40, 120, 200], abs=3)


def test_nothing_stands_under_the_name_before_it_is_closed(tmp_path: Path) -> None:
    target = tmp_path / "overlay.mp4"
    target.write_bytes(b"an older one")
    writer = VideoWriter(target, CANVAS_PX, 25.0)
    writer.write(canvas(50), 0.0)
    assert target.read_bytes() == b"an older one"
    writer.close()
    writer.close()
    assert len(read(target)[0]) == 1


def test_giving_up_leaves_nothing(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "overlay.mp4", CANVAS_PX, 25.0)
    writer.write(canvas(50), 0.0)
    writer.abort()
    writer.abort()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OutputError, match="already closed"):
        writer.write(canvas(50), 0.04)


def test_a_video_of_nothing_is_no_file(tmp_path: Path) -> None:
    VideoWriter(tmp_path / "overlay.mp4", CANVAS_PX, 25.0).close()
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file or directory"):
        VideoWriter(tmp_path / "nowhere" / "overlay.mp4", CANVAS_PX, 25.0)
    (tmp_path / "a_file").write_text("text")
    with pytest.raises(OutputError, match="Not a directory"):
        VideoWriter(tmp_path / "a_file" / "overlay.mp4", CANVAS_PX, 25.0)


@pytest.mark.parametrize("count", [3, 80])
def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, count: int) -> None:
    writer = VideoWriter(tmp_path / "overlay.mp4", CANVAS_PX, 25.0)

    def fill() -> None:
        for place in range(count):
            writer.write(noise(place), place / 25)
        writer.close()

    with (
        disk_with(20_000),
        pytest.raises(OutputError, match=r"cannot write .*overlay\.mp4: .*room$"),
    ):
        fill()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("canvas_px", "rate_hz"), [((95, 128), 25.0), ((96, 127), 25.0), ((96, 128), 0.0)]
)
def test_what_no_player_takes_is_refused(
    tmp_path: Path, canvas_px: tuple[int, int], rate_hz: float
) -> None:
    with pytest.raises(InputError):
        VideoWriter(tmp_path / "overlay.mp4", canvas_px, rate_hz)
    assert list(tmp_path.iterdir()) == []


def test_another_canvas_than_agreed_is_refused_and_the_rest_is_kept(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "overlay.mp4", CANVAS_PX, 25.0)
    writer.write(canvas(50), 0.0)
    with pytest.raises(InputError, match=r"\(96, 128, 3\)"):
        writer.write(noise(0, (96, 130)), 0.04)
    with pytest.raises(InputError, match="time in seconds"):
        writer.write(canvas(50), float("nan"))
    writer.close()
    assert len(read(tmp_path / "overlay.mp4")[0]) == 1


@pytest.mark.parametrize("rate_hz", [0.5, 23.976, 59.94, 240.0])
def test_odd_rates_are_taken(tmp_path: Path, rate_hz: float) -> None:
    times_s = [place / rate_hz for place in range(5)]
    write(tmp_path / "overlay.mp4", times_s, rate_hz)
    assert read(tmp_path / "overlay.mp4")[0] == pytest.approx(times_s, abs=1 / TICKS_HZ)
