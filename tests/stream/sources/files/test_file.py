import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from conftest import make_picture, mux_jpegs, write_clip

from neurosono.engine.contracts.errors import SourceBrokenError, SourceError
from neurosono.stream.pictures.picture import Picture
from neurosono.stream.sources import open_source
from neurosono.stream.sources.clock import ExamClock

# suffix: codec, pixel format, what the muxer is told
CONTAINERS = {
    "mp4": ("libx264", "yuv420p", {"movflags": "faststart"}),
    "mov": ("mjpeg", "yuvj420p", {"movflags": "faststart"}),
    "avi": ("mpeg4", "yuv420p", {}),
    "mkv": ("libx264", "yuv420p", {}),
    "mpeg": ("mpeg2video", "yuv420p", {}),
    "webm": ("libvpx", "yuv420p", {}),
    "gif": ("gif", "gray", {}),
    "ts": ("libx264", "yuv420p", {}),
}


def write_container(folder, suffix, **more):
    codec, pixel_format, options = CONTAINERS[suffix]
    return write_clip(
        folder / f"a.{suffix}", codec, pixel_format, container_options=options, **more
    )


def read(*arguments, **options) -> list[Picture]:
    return list(open_source([str(argument) for argument in arguments], **options).pictures())


def read_until_break(source) -> tuple[list[Picture], SourceBrokenError | None]:
    pictures: list[Picture] = []
    try:
        pictures.extend(source.pictures())  # keeps what came before an error
    except SourceBrokenError as error:
        return pictures, error
    return pictures, None


def levels(pictures):
    return [float(np.median(picture.pixels)) for picture in pictures]


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_every_container_gives_every_picture_in_order(tmp_path, suffix):
    path = write_container(tmp_path, suffix)
    source = open_source([str(path)])
    pictures = list(source.pictures())
    assert [picture.index for picture in pictures] == list(range(12))
    assert {picture.clip for picture in pictures} == {0}
    assert [picture.pts_s for picture in pictures] == pytest.approx([i / 25 for i in range(12)])
    assert levels(pictures) == pytest.approx([8 + 4 * i for i in range(12)], abs=8)
    assert levels(pictures) == sorted(levels(pictures))
    shape = (48, 64, 3) if suffix == "gif" else (48, 64)  # a palette says nothing of its colours
    assert {picture.pixels.shape for picture in pictures} == {shape}
    assert all(picture.pixels.dtype == np.uint8 for picture in pictures)
    assert source.description == f"1 clip ({suffix})"
    assert source.nominal_rate_hz == pytest.approx(25)
    assert source.repaired_timestamps == 0


def test_pixels_are_bgr_upright_and_exact(tmp_path):
    rng = np.random.default_rng(1)
    sent = [rng.integers(0, 256, (47, 63, 3)).astype(np.uint8) for _ in range(3)]
    pictures = read(write_clip(tmp_path / "a.mkv", pictures=sent))
    for picture, pixels in zip(pictures, sent, strict=True):
        np.testing.assert_array_equal(picture.pixels, pixels)
        assert picture.pixels.flags.c_contiguous


def test_limited_range_becomes_full_range(tmp_path):
    black_and_white = np.zeros((48, 64, 3), np.uint8)
    black_and_white[:, 32:] = 255
    (picture,) = read(write_clip(tmp_path / "a.mkv", "ffv1", "yuv444p", pictures=[black_and_white]))
    assert picture.pixels[:, :30].max() <= 1
    assert picture.pixels[:, 34:].min() >= 254


def test_several_clips_are_one_exam(tmp_path):
    first = write_container(tmp_path, "mp4")
    second = write_container(tmp_path, "avi")
    source = open_source([str(first), str(second)])
    pictures = list(source.pictures())
    assert [picture.index for picture in pictures] == list(range(24))
    assert [picture.clip for picture in pictures] == [0] * 12 + [1] * 12
    assert [picture.pts_s for picture in pictures] == pytest.approx([i / 25 for i in range(24)])
    assert source.description == "2 clips (mp4, avi)"


def test_a_source_can_be_read_twice(tmp_path):
    source = open_source([str(write_container(tmp_path, "mpeg"))])
    first, second = list(source.pictures()), list(source.pictures())
    assert [p.pts_s for p in first] == [p.pts_s for p in second]
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)


def test_a_variable_rate_is_kept(tmp_path):
    pts_ms = [0, 40, 120, 130, 3900, 3910]
    path = write_clip(tmp_path / "a.mkv", pictures=6, pts_ms=pts_ms)
    source = open_source([str(path)])
    assert [p.pts_s for p in source.pictures()] == pytest.approx([t / 1000 for t in pts_ms])
    assert source.repaired_timestamps == 0


def test_time_starts_at_zero(tmp_path):
    path = write_clip(tmp_path / "a.mkv", pictures=3, pts_ms=[5000, 5040, 5080])
    assert [p.pts_s for p in read(path)] == pytest.approx([0, 0.04, 0.08])


def test_backward_timestamps_are_repaired_and_counted(tmp_path):
    path = mux_jpegs(tmp_path / "a.mkv", [(0, 0), (1, 1), (5, 2), (3, 3), (4, 4), (6, 5), (7, 6)])
    source = open_source([str(path)])
    pictures = list(source.pictures())
    assert len(pictures) == 7
    assert source.repaired_timestamps == 1
    steps = np.diff([picture.pts_s for picture in pictures])
    assert steps.min() > 0
    assert levels(pictures) == sorted(levels(pictures))


def stamp(raw, interval_s=1.0):
    clock = ExamClock()
    clock.begin_clip(interval_s)
    return [clock.stamp(time) for time in raw], clock.repaired


@pytest.mark.parametrize(
    ("raw", "expected", "repaired"),
    [
        ([3, 4, 6], [0, 1, 3], 0),
        ([0, None, 2, 3], [0, 1, 2, 3], 1),
        ([None, 7, 8], [0, 1, 2], 1),
        ([None, None, None], [0, 1, 2], 3),
        ([0, 1, 1, 3], [0, 1, 2, 3], 1),
        ([0, 1, 0.5, 3, 4.5], [0, 1, 2, 3, 4.5], 1),
        ([0, 1, 100, 3, 4], [0, 1, 2, 3, 4], 1),
        ([50, 51, 0, 0.5, 1.5], [0, 1, 2, 2.5, 3.5], 1),
        ([0, 1, 100, 100.5, 102], [0, 1, 2, 2.5, 4], 1),
        ([0, 1, 20.5], [0, 1, 20.5], 0),
        ([0, float("nan"), 2], [0, 1, 2], 1),
    ],
)
def test_clock(raw, expected, repaired):
    assert stamp(raw) == (pytest.approx(expected), repaired)


def test_clock_takes_a_freeze_of_nine_seconds_and_mends_one_of_eleven():
    assert stamp([0, 0.04, 9.04], 0.04) == (pytest.approx([0, 0.04, 9.04]), 0)
    assert stamp([0, 0.04, 11.04], 0.04) == (pytest.approx([0, 0.04, 0.08]), 1)


def test_clock_goes_on_over_clips():
    clock = ExamClock()
    times = []
    for interval_s, raw in ((0.5, [0.0]), (0.04, [9.0, 9.04]), (1.0, [4.0])):
        clock.begin_clip(interval_s)
        times += [clock.stamp(time) for time in raw]
    assert times == pytest.approx([0, 0.5, 0.54, 0.58])


@pytest.mark.parametrize(
    ("degrees", "flips", "shape", "corner"),
    [
        (90, {}, (64, 48), (-1, 0)),  # FFmpeg turns counterclockwise
        (180, {}, (48, 64), (-1, -1)),
        (-90, {}, (64, 48), (0, -1)),
        (0, {"hflip": True}, (48, 64), (0, -1)),
        (0, {"vflip": True}, (48, 64), (-1, 0)),
        (90, {"hflip": True}, (64, 48), None),
    ],
)
def test_rotated_video_is_turned_upright(tmp_path, degrees, flips, shape, corner):
    path = write_clip(
        tmp_path / "a.mov",
        "mjpeg",
        "yuvj420p",
        prepare=lambda stream: stream.set_display_rotation(degrees, **flips),
    )
    picture = read(path)[0]
    assert picture.pixels.shape == shape
    bright = {
        where
        for where in ((0, 0), (0, -1), (-1, 0), (-1, -1))
        if picture.pixels[where].mean() > 200
    }
    assert len(bright) == 1
    if corner is not None:
        assert bright == {corner}


def test_a_clear_pixel_aspect_is_made_square(tmp_path):
    def set_aspect(ratio):
        def prepare(stream):
            stream.codec_context.sample_aspect_ratio = ratio

        return prepare

    for ratio, shape in (
        (Fraction(2), (48, 128)),
        (Fraction(1, 2), (96, 64)),
        (Fraction(99, 100), (48, 64)),
        (Fraction(50), (48, 64)),
    ):
        path = write_clip(tmp_path / "a.mkv", "libx264", "yuv420p", prepare=set_aspect(ratio))
        assert read(path)[0].pixels.shape == shape, ratio


def test_odd_sizes(tmp_path):
    pictures = [make_picture(index, 61, 45) for index in range(4)]
    path = write_clip(tmp_path / "a.mp4", "libx264", "yuv444p", pictures=pictures)
    assert [picture.pixels.shape for picture in read(path)] == [(45, 61)] * 4


def test_ten_bits_become_eight(tmp_path):
    path = write_clip(tmp_path / "a.mkv", "ffv1", "yuv420p10le")
    pictures = read(path)
    assert pictures[0].pixels.dtype == np.uint8
    assert levels(pictures) == pytest.approx([8 + 4 * i for i in range(12)], abs=2)


@pytest.mark.parametrize("pixel_format", ["gray", "gray10le", "gray16le"])
def test_grey_video_stays_grey(tmp_path, pixel_format):
    path = write_clip(tmp_path / "a.mkv", "ffv1", pixel_format)
    pictures = read(path)
    assert pictures[0].pixels.shape == (48, 64)
    assert levels(pictures) == pytest.approx([8 + 4 * i for i in range(12)], abs=2)


def test_a_picture_with_a_little_colour_keeps_it(tmp_path):
    plain = np.full((48, 64, 3), 90, np.uint8)
    marked = plain.copy()
    marked[20:30, 20:30] = (30, 90, 160)
    path = write_clip(
        tmp_path / "a.mp4",
        "libx264",
        "yuv420p",
        pictures=[plain, marked],
        source_format="bgr24",
        codec_options={"crf": "5"},
    )
    grey, coloured = read(path)
    assert grey.pixels.shape == (48, 64)
    assert int(grey.pixels[5, 5]) == pytest.approx(90, abs=2)
    assert coloured.whole().shape == (48, 64, 3)
    blue, green, red = coloured.whole()[25, 25].astype(int)
    assert blue + 25 < green < red - 25


def test_what_is_clear_lies_over_black(tmp_path):
    sent = np.full((48, 64, 4), 200, np.uint8)
    sent[:, :20, 3], sent[:, 20:40, 3], sent[:, 40:, 3] = 0, 128, 255
    path = write_clip(tmp_path / "a.mkv", "ffv1", "bgra", pictures=[sent], source_format="bgra")
    (picture,) = read(path)
    assert picture.pixels.shape == (48, 64, 3)
    assert [int(picture.pixels[5, x, 1]) for x in (5, 30, 60)] == [0, 100, 200]


def test_a_change_of_size_in_the_middle(tmp_path):
    small = write_container(tmp_path, "ts").read_bytes()
    big = write_container(tmp_path, "ts", pictures=[make_picture(i, 96, 80) for i in range(12)])
    (tmp_path / "both.ts").write_bytes(small + big.read_bytes())
    source = open_source([str(tmp_path / "both.ts")])
    pictures = list(source.pictures())
    assert [p.pixels.shape for p in pictures] == [(48, 64)] * 12 + [(80, 96)] * 12
    assert np.diff([p.pts_s for p in pictures]).min() > 0
    assert source.repaired_timestamps == 0


def test_sound_beside_the_pictures_is_no_trouble(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream("aac", rate=16000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        silence.sample_rate = 16000
        for index in range(10):
            silence.pts = index * 1024
            container.mux(sound.encode(silence))
            frame = av.VideoFrame.from_ndarray(make_picture(index), format="bgr24")
            container.mux(video.encode(frame))
        container.mux(sound.encode())
        container.mux(video.encode())
    assert len(read(path)) == 10


@pytest.mark.parametrize("share", [0.5, 0.9])
@pytest.mark.parametrize("suffix", CONTAINERS)
def test_a_cut_clip_keeps_its_good_pictures_and_is_broken(tmp_path, suffix, share, noisy_pictures):
    path = write_container(tmp_path, suffix, pictures=noisy_pictures)
    whole = read(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    kept, broken = read_until_break(open_source([str(path)]))
    assert broken is not None
    assert broken.frame == len(kept)
    assert f"frame {len(kept)} of the exam" in str(broken)
    assert 0 < len(kept) < 50
    for mine, original in zip(kept, whole, strict=False):
        np.testing.assert_array_equal(mine.pixels, original.pixels)
        assert mine.pts_s == pytest.approx(original.pts_s)


def test_a_cut_in_the_second_clip_counts_over_the_exam(tmp_path, noisy_pictures):
    whole = write_container(tmp_path, "avi")
    cut = write_container(tmp_path, "mkv", pictures=noisy_pictures)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    with pytest.raises(SourceBrokenError, match=r"clip 2 of 3 \(mkv\)") as broken:
        read(whole, cut, whole)
    assert 12 < broken.value.frame < 62


@pytest.mark.parametrize("suffix", ["mp4", "ts"])
def test_damage_in_the_middle_breaks_at_the_same_picture_every_time(
    tmp_path, suffix, noisy_pictures
):
    path = write_container(tmp_path, suffix, pictures=noisy_pictures)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(byte ^ 0x5A for byte in data[middle : middle + 400])
    path.write_bytes(data)
    breaks = set()
    for frame_threads in (True, False) * 3:
        with pytest.raises(SourceBrokenError) as broken:
            read(path, frame_threads=frame_threads)
        breaks.add(broken.value.frame)
    assert len(breaks) == 1
    assert 5 < breaks.pop() < 45


def test_a_lost_index_loses_no_picture(tmp_path):
    path = write_container(tmp_path, "avi")
    data = path.read_bytes()
    path.write_bytes(data[: data.rfind(b"idx1")])
    assert len(read(path)) == 12


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("empty.mp4", b"", "empty"),
        ("text.mp4", b"this is no video at all, but words\n" * 50, "Invalid data"),
        (
            "list.mp4",
            b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\na.ts\n#EXT-X-ENDLIST\n",
            "Inv",
        ),
        ("noise.mpeg", bytes(range(256)) * 40, "Invalid data"),
        ("no_suffix", b"words", "Invalid data"),
    ],
)
def test_what_is_no_video_is_refused_at_once(tmp_path, name, content, why):
    write_container(tmp_path, "ts")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=why) as refused:
        open_source([str(tmp_path / name)])
    assert refused.value.exit_code == 2
    assert "\n" not in str(refused.value)


def test_missing_things_are_refused(tmp_path):
    with pytest.raises(SourceError, match="there is no"):
        open_source([str(tmp_path / "absent.mp4")])
    with pytest.raises(SourceError, match="there is no"):
        open_source([""])
    with pytest.raises(SourceError, match="no source"):
        open_source([])
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(SourceError, match="not a plain file"):
        open_source([str(tmp_path / "pipe.mp4")])


def test_a_clip_without_its_index_is_refused(tmp_path, noisy_pictures):
    path = write_clip(tmp_path / "a.mp4", "libx264", "yuv420p", pictures=noisy_pictures)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SourceError, match="Invalid data"):
        open_source([str(path)])


def test_nothing_is_begun_if_one_of_many_cannot_be_used(tmp_path):
    good = write_container(tmp_path, "avi")
    (tmp_path / "bad.mkv").write_bytes(b"words")
    with pytest.raises(SourceError, match=r"bad\.mkv"):
        open_source([str(good), str(tmp_path / "bad.mkv")])


def test_sound_alone_is_refused(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=16000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        silence.sample_rate = 16000
        container.mux(sound.encode(silence))
        container.mux(sound.encode())
    with pytest.raises(SourceError, match="no video stream"):
        open_source([str(path)])


def test_an_unknown_codec_is_refused(tmp_path):
    path = write_clip(tmp_path / "a.mkv", "libx264", "yuv420p")
    path.write_bytes(path.read_bytes().replace(b"V_MPEG4/ISO/AVC", b"V_MPEG4/ISO/XYZ"))
    with pytest.raises(SourceError, match="no decoder"):
        open_source([str(path)])


def test_names_are_not_repeated(tmp_path, noisy_pictures):
    path = tmp_path / "Jane_Doe_1990.mkv"
    write_container(tmp_path, "mkv", pictures=noisy_pictures).rename(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    source = open_source([str(path)])
    assert "Doe" not in source.description
    with pytest.raises(SourceBrokenError) as broken:
        list(source.pictures())
    assert "Doe" not in str(broken.value)


def test_an_early_stop_closes_the_file(tmp_path):
    path = write_container(tmp_path, "mp4")
    pictures = open_source([str(path)]).pictures()
    next(pictures)
    assert str(path) in _open_files()
    pictures.close()
    assert str(path) not in _open_files()


def _open_files():
    links = Path("/proc/self/fd")
    if not links.exists():
        pytest.skip("this system does not list open files under /proc")
    return {str(link.readlink()) for link in links.iterdir() if link.is_symlink()}


def test_a_clip_imports_nothing_heavy(tmp_path):
    path = write_container(tmp_path, "mp4")
    code = (
        "import sys\nfrom neurosono.stream.sources import open_source\n"
        f"assert sum(1 for _ in open_source([{str(path)!r}]).pictures()) == 12\n"
        "print([m for m in ('torch','zmq','typer','pydicom','gdcm','PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def count_plainly(path):
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("folder", "least"),
    [("pocus_lung_videos", 20), ("itkpocus_phantom", 2), ("fetal_heart_result_videos", 1)],
)
def test_real_clips_decode_to_the_end(real_data, folder, least):
    clips = [
        path
        for path in sorted((real_data / folder).rglob("*"))
        if path.suffix in {".mp4", ".mov", ".mpeg"}
    ]
    assert len(clips) >= least
    for path in clips:
        source = open_source([str(path)])
        times = [picture.pts_s for picture in source.pictures()]
        assert len(times) == count_plainly(path), path.name
        assert np.diff(times).min() > 0, path.name
        assert source.repaired_timestamps == 0, path.name


@pytest.mark.realdata
def test_real_clips_cut_in_the_middle_are_broken(real_data, tmp_path):
    for path in sorted((real_data / "pocus_lung_videos").glob("Reg_pat2*.mpeg"))[:3]:
        data = path.read_bytes()
        (tmp_path / "cut.mpeg").write_bytes(data[: len(data) // 2])
        with pytest.raises(SourceBrokenError) as broken:
            read(tmp_path / "cut.mpeg")
        assert 0.2 < broken.value.frame / count_plainly(path) < 0.8
