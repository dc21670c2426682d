"""Clips that were joined end to end, and other files that hold more than their first part."""

import struct
import zlib

import av
import cv2
import numpy as np
import pytest
from conftest import make_picture, write_clip

from neurosono.engine.contracts.errors import SourceBrokenError, SourceError
from neurosono.stream.sources import open_source
from neurosono.stream.sources.left_out import Reason, count_reasons

LOSSY = {"codec_options": {"crf": "10"}}
CONTAINERS = {
    "mp4": ("libx264", "yuv420p", LOSSY),
    "mov": ("libx264", "yuv420p", LOSSY),
    "ts": ("libx264", "yuv420p", LOSSY | {"format": "mpegts"}),
    "m2ts": ("libx264", "yuv420p", LOSSY | {"format": "mpegts"}),
    "mkv": ("ffv1", "bgr0", {}),
    "webm": ("libvpx", "yuv420p", {}),
    "avi": ("mjpeg", "yuvj420p", {}),
    "flv": ("flv1", "yuv420p", {"format": "flv"}),
    "wmv": ("wmv2", "yuv420p", {"format": "asf"}),
    "gif": ("gif", "rgb8", {}),
    "h264": ("libx264", "yuv420p", LOSSY | {"format": "h264"}),
    "mpg": ("mpeg2video", "yuv420p", {"format": "mpeg"}),
    "ivf": ("libvpx", "yuv420p", {"format": "ivf"}),
    "apng": ("apng", "rgb24", {"format": "apng"}),
    "fragmented.mp4": (
        *("libx264", "yuv420p"),
        LOSSY | {"options": {"movflags": "frag_keyframe+empty_moov"}},
    ),
}


def write(path, kind, first, count=12):
    codec, pixel_format, options = CONTAINERS[kind]
    pictures = [make_picture(index) for index in range(first, first + count)]
    return write_clip(path, codec, pixel_format, pictures=pictures, **options)


@pytest.mark.parametrize("kind", CONTAINERS)
def test_joined_clips_are_read_to_the_last(tmp_path, kind):
    suffix = kind.split(".")[-1]
    one, other = (write(tmp_path / f"{first}.{suffix}", kind, first) for first in (0, 12))
    joined = tmp_path / f"joined.{suffix}"
    joined.write_bytes(one.read_bytes() + other.read_bytes() + one.read_bytes())
    alone = list(open_source([str(one)]).pictures())
    source = open_source([str(joined)])
    pictures = list(source.pictures())
    assert len(pictures) == 3 * len(alone) == 36
    means = [float(each.pixels[-8:, -8:].mean()) for each in pictures]
    expected = [8 + 4 * index for index in (*range(24), *range(12))]
    assert means == pytest.approx(expected, abs=9)
    steps = np.diff([each.pts_s for each in pictures])
    assert steps.min() > 0
    assert pictures[-1].pts_s == pytest.approx(35 / 25, abs=0.1)


def test_old_quicktime_without_a_head_is_joined_too(tmp_path):
    data = write(tmp_path / "a.mov", "mov", 0).read_bytes()
    assert data[4:8] == b"ftyp"
    head = int.from_bytes(data[:4], "big")
    bare = struct.pack(">I4s", head, b"free") + data[8:]  # offsets stay as they are
    (tmp_path / "b.mov").write_bytes(bare + bare)
    assert len(list(open_source([str(tmp_path / "b.mov")]).pictures())) == 24


def test_a_joined_clip_that_is_cut_says_so(tmp_path):
    one, other = (write(tmp_path / f"{first}.mkv", "mkv", first) for first in (0, 12))
    (tmp_path / "c.mkv").write_bytes(one.read_bytes() + other.read_bytes()[:-400])
    source = open_source([str(tmp_path / "c.mkv")])
    with pytest.raises(SourceBrokenError, match="breaks at its picture") as broken:
        list(source.pictures())
    assert 12 <= broken.value.frame < 24


def test_lost_packets_are_still_a_break(tmp_path):
    rng = np.random.default_rng(1)
    pictures = [rng.integers(0, 255, (48, 64, 3), dtype=np.uint8) for _ in range(30)]
    path = write_clip(
        *(tmp_path / "a.ts", "libx264", "yuv420p"), pictures=pictures, format="mpegts", **LOSSY
    )
    data = path.read_bytes()
    at = len(data) // 188 * 3 // 4 * 188
    path.write_bytes(data[:at] + data[at + 5 * 188 :])
    with pytest.raises(SourceBrokenError):
        list(open_source([str(path)]).pictures())


@pytest.mark.parametrize("suffix", ["mjpeg", "mjpg", "jpg", ""])
@pytest.mark.parametrize("padding", [b"", b"\0", b"\r\n"])
def test_jpegs_one_after_the_other_are_a_clip(tmp_path, suffix, padding):
    encoded = [cv2.imencode(".jpg", make_picture(index))[1].tobytes() for index in range(12)]
    path = tmp_path / f"clip.{suffix}"
    path.write_bytes(padding.join(encoded) + padding)
    source = open_source([str(path)])
    assert source.description == "1 clip (mjpeg)"
    pictures = list(source.pictures())
    assert [p.pts_s for p in pictures] == pytest.approx([index / 25 for index in range(12)])
    path.write_bytes(b"".join(encoded)[:-300])
    with pytest.raises(SourceBrokenError):
        list(open_source([str(path)]).pictures())


@pytest.mark.parametrize("comment_bytes", [0, 300, 70_000])
def test_an_animated_png_is_a_clip_wherever_it_says_so(tmp_path, comment_bytes):
    data = write(tmp_path / "a.apng", "apng", 0).read_bytes()
    text = b"Comment\0" + b"x" * comment_bytes
    chunk = struct.pack(">I", len(text)) + b"tEXt" + text
    chunk += struct.pack(">I", zlib.crc32(b"tEXt" + text))
    path = tmp_path / "late.png"
    path.write_bytes(data[:33] + chunk + data[33:])
    source = open_source([str(path)])
    assert source.description == "1 clip (apng)"
    assert len(list(source.pictures())) == 12


def write_two(path, sizes, default=None):
    """Write a file of two streams; the first is a grey card."""
    with av.open(str(path), "w") as container:
        streams = []
        for number, (width, height) in enumerate(sizes):
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            if default is not None:
                stream.disposition = int(number == default)
            streams.append(stream)
        for index in range(10):
            for number, stream in enumerate(streams):
                picture = np.full((48, 64, 3), 128, np.uint8) if not number else make_picture(index)
                frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
                frame.pts = index
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("sizes", "default", "width"),
    [
        (((64, 48), (128, 96)), None, 128),
        (((64, 48), (128, 96)), 0, 128),
        (((64, 48), (64, 48)), 1, 64),
        (((128, 96), (64, 48)), 1, 64),
        (((128, 96), (64, 48)), None, 128),
    ],
)
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_of_several_streams_the_chosen_or_the_largest_is_read_and_told(
    tmp_path, sizes, default, width, suffix
):
    source = open_source([str(write_two(tmp_path / f"a.{suffix}", sizes, default))])
    pictures = list(source.pictures())
    assert {p.pixels.shape[1] for p in pictures} == {width}
    assert (np.ptp([p.pixels.mean() for p in pictures]) > 5) == (
        width != sizes[0][0] or default == 1
    )
    assert count_reasons(source.left_out) == {str(Reason.SECOND_STREAM): 1}


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp"])
def test_bytes_behind_a_still_are_told_and_pictures_there_are_a_break(tmp_path, suffix):
    data = cv2.imencode(f".{suffix}", make_picture(3))[1].tobytes()
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(data + b"\xff\xda words of a maker")
    source = open_source([str(path)])
    assert len(list(source.pictures())) == 1
    assert count_reasons(source.left_out) == {str(Reason.TRAILING): 1}
    film = write(tmp_path / "v.mp4", "mp4", 0).read_bytes()
    path.write_bytes(data + film)
    pictures = open_source([str(path)]).pictures()
    next(pictures)
    with pytest.raises(SourceBrokenError, match="behind its end"):
        next(pictures)


def test_sound_and_covers_are_no_second_stream(tmp_path):
    source = open_source([str(write(tmp_path / "a.mp4", "mp4", 0))])
    assert source.left_out == ()


def test_tiles_are_not_taken_for_pictures(tmp_path):
    (tmp_path / "a.heic").write_bytes(struct.pack(">I", 24) + b"ftypheic" + bytes(400))
    with pytest.raises(SourceError, match="tiles"):
        open_source([str(tmp_path / "a.heic")])


@pytest.mark.parametrize("b_frames", ["0", "3"])
def test_avi_has_each_picture_at_its_time(tmp_path, b_frames):
    path = write_clip(
        *(tmp_path / "a.avi", "libx264", "yuv420p"),
        pictures=50,
        codec_options={"bf": b_frames, "crf": "18"},
    )
    source = open_source([str(path)])
    pictures = list(source.pictures())
    assert [p.pts_s for p in pictures] == pytest.approx([index / 25 for index in range(50)])
    assert source.repaired_timestamps == 0


@pytest.mark.parametrize("kind", ["mp4", "avi", "gif", "apng"])
def test_what_lies_behind_a_clip_is_told_and_a_clip_there_is_a_break(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    data = write(path, kind, 0).read_bytes()
    path.write_bytes(data + b"words of a maker " * 9)
    source = open_source([str(path)])
    assert len(list(source.pictures())) == 12
    assert count_reasons(source.left_out) == {str(Reason.TRAILING): 1}
    other = write(tmp_path / "b.mkv", "mkv", 0).read_bytes()
    path.write_bytes(data + other)
    with pytest.raises(SourceBrokenError, match="another file lies behind its end") as broken:
        list(open_source([str(path)]).pictures())
    assert broken.value.frame == 12
    path.write_bytes(data)
    assert open_source([str(path)]).left_out == ()
