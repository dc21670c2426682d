"""A whole exam by `neurosono.judge`, held against the replay that users run."""

import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import neurosono
from neurosono.stream.sources import open_source
from tests.support.clips import make_screen, write_clip
from tests.support.commands import PHANTOM, read_lines, read_record, run


def describe(result: neurosono.FrameResult) -> dict[str, Any]:
    return {
        "seq": result.seq,
        "pts_s": result.pts_s,
        "probabilities": result.probabilities,
        "used": result.used,
        "skip_reason": result.skip_reason,
        "disagreement": result.raw.disagreement,
        "mm_per_px": result.mm_per_px,
        "mm_per_px_from": result.mm_per_px_from,
    }


def assert_same(
    results: list[neurosono.FrameResult], out: Path, *, but: tuple[str, ...] = ()
) -> None:
    """Check a list of results against a replay's files, to the last bit, all `but` some fields."""
    names = [name for name in describe(results[0]) if name not in but]
    found = [{name: describe(each)[name] for name in names} for each in results]
    assert found == [{name: line[name] for name in names} for line in read_lines(out)]
    record, exam = read_record(out), results[-1].exam
    told = exam.to_json()
    assert {name: record[name] for name in told} == told
    assert exam.used == record["frames"]["used"]
    assert exam.skipped == record["frames"]["skipped"]


def test_a_named_source_gives_a_replays_results(
    replayed: Path, opened: neurosono.OpenBundle
) -> None:
    results = [result for _, result in neurosono.judge(PHANTOM, opened)]
    assert any(not each.used for each in results)  # or the comparison would say less
    assert_same(results, replayed)


def test_so_do_the_same_pictures_from_a_program(
    replayed: Path, opened: neurosono.OpenBundle
) -> None:
    arrays = (picture.pixels for picture in open_source([PHANTOM]).pictures())
    results = [result for _, result in neurosono.judge(arrays, opened)]
    assert_same(results, replayed, but=("mm_per_px", "mm_per_px_from"))  # arrays tell no scale


def test_a_list_of_clips_is_one_exam(
    bundle_root: Path, opened: neurosono.OpenBundle, tmp_path: Path
) -> None:
    clips = [write_clip(tmp_path / f"clip{n}.mp4", pictures=12, seed=n) for n in range(2)]
    out = tmp_path / "out"
    done = run("replay", *clips, "--bundle", bundle_root, "--out", out, "--every", "4")
    assert done.returncode == 0, done.stderr
    assert_same([result for _, result in neurosono.judge(clips, opened, every=4)], out)


def test_pictures_hold_the_region_of_their_own_frame(opened: neurosono.OpenBundle) -> None:
    painted = 0
    for picture, result in neurosono.judge("phantom:normal?seed=1&seconds=1", opened, cam_hz=1000):
        assert picture.seq == result.seq
        assert picture.pixels.shape[0] < 600  # what lies around the ultrasound is cut away
        heatmap = result.paint(picture)
        assert (heatmap is None) == (result.class_maps is None)
        if heatmap is not None:
            painted += 1
            assert heatmap.shape == (*picture.region.shape[:2], 3)
    assert painted > 5


def test_a_map_is_not_painted_over_another_frame(opened: neurosono.OpenBundle) -> None:
    pairs = list(neurosono.judge("phantom:normal?seed=1&seconds=1", opened, cam_hz=1000))
    with pytest.raises(neurosono.InputError, match="is not the frame"):
        pairs[-1][1].paint(pairs[-2][0])


def test_before_the_first_used_frame_the_exam_says_nothing(opened: neurosono.OpenBundle) -> None:
    nothing = [np.zeros((240, 320), np.uint8)] * 10
    results = [result for _, result in neurosono.judge(nothing, opened)]
    assert len(results) == 10
    for result in results:
        assert not result.used
        assert result.probabilities is None
        assert result.exam.prediction is None
        assert all(math.isnan(result.exam[label]) for label in opened.labels)


def test_times_are_the_callers(opened: neurosono.OpenBundle) -> None:
    given = [
        neurosono.Picture(index=7, clip=0, pts_s=index**2 / 10, decoded=make_screen(index))
        for index in range(10)
    ]
    results = [result for _, result in neurosono.judge(given, opened)]
    assert [each.pts_s for each in results] == [index**2 / 10 for index in range(10)]
    at_10_hz = neurosono.judge([make_screen(n) for n in range(10)], opened, pictures_hz=10)
    assert [result.pts_s for _, result in at_10_hz] == pytest.approx([n / 10 for n in range(10)])


def test_how_large_a_pixel_is_comes_with_the_result(
    opened: neurosono.OpenBundle, region: NDArray[np.uint8]
) -> None:
    header = neurosono.Scaled(mm_per_px=0.25, mm_per_px_from=neurosono.ScaleSource.DICOM)
    given = [neurosono.Picture(0, 0, 0.0, make_screen(0), scale=header), make_screen(1)]
    for user, expected in (
        (None, [(0.25, "dicom"), (None, None)]),
        (0.125, [(0.125, "user"), (0.125, "user")]),
    ):
        results = [result for _, result in neurosono.judge(given, opened, mm_per_px=user)]
        assert [(each.mm_per_px, each.mm_per_px_from) for each in results] == expected
    answer = opened.judge(region, mm_per_px=0.2)
    assert (answer.mm_per_px, answer.mm_per_px_from) == (0.2, "user")
    assert opened.judge(region).mm_per_px is None


@pytest.mark.parametrize("bad", [0.0, -0.1, 20.0, math.nan, math.inf])
def test_what_is_no_scale_is_refused_at_once(
    bad: float, opened: neurosono.OpenBundle, region: NDArray[np.uint8]
) -> None:
    for ask in (
        lambda: neurosono.judge(PHANTOM, opened, mm_per_px=bad),
        lambda: opened.judge(region, mm_per_px=bad),
        lambda: neurosono.live("loop:phantom:normal", mm_per_px=bad),
    ):
        with pytest.raises(neurosono.InputError, match="millimetres per pixel must be"):
            ask()


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (np.zeros((240, 320), np.float32), "picture 9 must be .* found .240, 320. float32"),
        (np.zeros((240, 320, 4), np.uint8), "picture 9 must be"),
        (np.zeros((0, 320), np.uint8), "picture 9 must be"),
        ("no picture", "picture 9 must be"),
        (neurosono.Picture(0, 0, 0.0, make_screen(0)), "times must rise"),
    ],
)
def test_a_picture_that_is_none_breaks_the_source(
    bad: Any, words: str, opened: neurosono.OpenBundle
) -> None:
    def pictures() -> Iterator[Any]:
        yield from (make_screen(index) for index in range(9))
        yield bad

    judged: list[int] = []
    with pytest.raises(neurosono.SourceBrokenError, match=words) as raised:
        judged.extend(result.seq for _, result in neurosono.judge(pictures(), opened))
    assert judged == list(range(9))
    assert raised.value.frame == 9


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ([], "no source was given"),
        ("no/such/clip.mp4", "there is no"),
        (Path("no/such/clip.mp4"), "there is no"),
        (np.zeros((240, 320), np.uint8), "not a sequence of pictures"),
        (np.zeros((240, 320, 3), np.uint8), "not a sequence of pictures"),
        (["clip.mp4", np.zeros((240, 320), np.uint8)], "one kind"),
        (7, "a path, a source or an iterable"),
    ],
)
def test_what_is_no_source_is_refused_at_once(
    source: Any, words: str, opened: neurosono.OpenBundle
) -> None:
    with pytest.raises(neurosono.InputError, match=words):
        neurosono.judge(source, opened)


def test_a_broken_clip_keeps_what_came_before(opened: neurosono.OpenBundle, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mkv", pictures=40)
    whole = [result for _, result in neurosono.judge(clip, opened)]
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    kept: list[neurosono.FrameResult] = []
    with pytest.raises(neurosono.SourceBrokenError):
        kept.extend(result for _, result in neurosono.judge(clip, opened))
    assert 5 < len(kept) < len(whole)
    assert [describe(each) for each in kept] == [describe(each) for each in whole[: len(kept)]]


def test_an_exam_that_was_left_disturbs_no_other(opened: neurosono.OpenBundle) -> None:
    whole = [describe(result) for _, result in neurosono.judge(PHANTOM, opened)]
    for _ in range(3):
        pairs = neurosono.judge(PHANTOM, opened)
        for _, result in pairs:
            if result.seq == 20:
                break
        del pairs
    one, other = neurosono.judge(PHANTOM, opened), neurosono.judge(PHANTOM, opened)
    both = [(describe(a), describe(b)) for (_, a), (_, b) in zip(one, other, strict=True)]
    assert both == [(each, each) for each in whole]


class Pale:
    """A backend that a caller wrote: as sure of a class as the picture is bright."""

    name, precision, members = "pale", "f64", 1

    def infer(self, grey: NDArray[np.uint8]) -> neurosono.Inference:
        bright = (grey.mean((1, 2)) / 255).astype(np.float32)
        probabilities = np.stack([bright, 1 - bright], 1)[:, None]
        maps = np.repeat(grey[:, None, None, ::32, ::32] / np.float32(255), 2, 2)
        return neurosono.Inference(probabilities, maps, bright[:, None, None])


def test_a_network_of_ones_own_judges_an_exam(region: NDArray[np.uint8]) -> None:
    mine = neurosono.wrap_network(Pale(), ("bright", "dark"), intended_use="tests")
    assert (mine.labels, mine.intended_use) == (("bright", "dark"), "tests")
    results = [result for _, result in neurosono.judge("phantom:normal?seed=2&seconds=1", mine)]
    used = [each.probabilities["bright"] for each in results if each.probabilities]
    assert used
    assert results[-1].exam["bright"] == pytest.approx(float(np.mean(used)))
    assert set(mine.judge(region).class_maps or ()) == {"bright", "dark"}


def test_a_network_with_other_classes_is_refused() -> None:
    with pytest.raises(neurosono.InputError, match=r"\(M, 3\)"):
        neurosono.wrap_network(Pale(), ("one", "two", "three"))


def test_the_door_is_quick_and_starts_nothing() -> None:
    code = """
import sys
import neurosono
heavy = {"numpy", "cv2", "av", "zmq", "openvino", "torch", "pydicom", "starlette"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
assert set(neurosono.__all__) <= set(dir(neurosono))
for name in neurosono.__all__:
    getattr(neurosono, name)
import subprocess
def refuse(*_, **__): raise AssertionError("a process was started")
subprocess.Popen.__init__ = refuse
last = [result for _, result in neurosono.judge("phantom:rachischisis?seed=3&seconds=1")][-1]
assert last.exam.used and last.exam.prediction in last.labels
assert not {"torch", "torchvision", "nncf"} & set(sys.modules)
assert __import__("multiprocessing").active_children() == []
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'judgement'"):
        _ = neurosono.judgement  # type: ignore[attr-defined]


@pytest.mark.realdata
@pytest.mark.parametrize(
    "name",
    ["dicom_us/test_files/examples_ybr_color.dcm", "pocus_lung_videos/Pneu_prospective_file3.mp4"],
)
def test_real_ultrasound_gets_a_replays_results(
    name: str, real_data: Path, bundle_root: Path, opened: neurosono.OpenBundle, tmp_path: Path
) -> None:
    done = run(
        "replay", real_data / name, "--bundle", bundle_root, "--out", tmp_path, "--every", "5"
    )
    assert done.returncode == 0, done.stderr
    results = [result for _, result in neurosono.judge(real_data / name, opened, every=5)]
    assert_same(results, tmp_path)
