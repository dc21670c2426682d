"""The truth beside a phantom's picture: where its structures stand, checked against its pixels."""

import hashlib
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.structures.boxes import RotatedBox
from neurosono.engine.structures.names import FALX, OTHER_HEAD, PLANES, STRUCTURES
from neurosono.stream.phantom.bmode import Pose
from neurosono.stream.phantom.canvas import CANVAS_PX, HALF_EXTENT, Canvas, arc
from neurosono.stream.phantom.cohort import write_cohort
from neurosono.stream.phantom.exam import PhantomFrame, PhantomSpec, exam_frames
from neurosono.stream.phantom.head import size_ventricles, widest_ventricle_mm
from neurosono.stream.phantom.patient import draw_patient
from neurosono.stream.phantom.probe import Geometry
from neurosono.stream.phantom.sweep import border_plane, plane_name
from neurosono.stream.phantom.truth import name_also, name_plane

SPEC = PhantomSpec("normal", seed=1, seconds=6.0, fps=4.0, width_px=640, height_px=480)
GOLDEN_PATH = Path(__file__).parents[2] / "golden" / "phantom.npz"
GROWN = 4
"""A seed whose fetus is large enough for the widest ventricles."""


def _digest(spec: PhantomSpec, structures: bool) -> str:
    found = hashlib.sha256()
    for frame in exam_frames(spec, structures):
        found.update(frame.pixels.tobytes())
    return found.hexdigest()


@pytest.mark.parametrize("label", ["normal", "rachischisis", "encephalocele"])
def test_telling_the_truth_changes_no_pixel(label: str) -> None:
    spec = replace(SPEC, label=label, width_px=400, height_px=300, seconds=3.0)
    assert _digest(spec, structures=True) == _digest(spec, structures=False)


@pytest.mark.parametrize("label", ["normal", "rachischisis", "anencephaly"])
def test_pictures_stay_what_bundles_were_trained_on(label: str, refresh_golden: bool) -> None:
    """Averaged over blocks, and allowed two grey levels: processors round speckle differently."""
    spec = replace(SPEC, label=label, seed=7, seconds=4.0, fps=1.0, width_px=400, height_px=300)
    small = np.stack(
        [
            cv2.resize(frame.pixels[..., 1], (50, 38), interpolation=cv2.INTER_AREA)
            for frame in exam_frames(spec)
        ]
    )
    if refresh_golden:
        held = dict(np.load(GOLDEN_PATH)) if GOLDEN_PATH.is_file() else {}
        np.savez_compressed(GOLDEN_PATH, **{**held, label: small})
    golden = np.load(GOLDEN_PATH)[label].astype(np.int16)
    assert np.abs(golden - small).max() <= 2


def test_an_outline_goes_the_way_of_the_picture() -> None:
    """A shape is drawn, scanned through the probe's own maps, and lies where its outline says."""
    for mirrored, flipped in ((False, False), (True, False), (False, True), (True, True)):
        geometry = Geometry(40.0, 0.6, 90.0, (60, 40, 500, 380), 1.2, flipped)
        pose = Pose(4.0, 48.0, 0.7, 24.0, mirrored)
        shape = arc((0.3, -0.2), (0.7, 0.25), turn=0.4, n=60)
        canvas = Canvas((0.0, -9.0))
        canvas.fill(shape, (255, 255, 0, 0))
        canvas.mark("lv", shape)
        along, across = pose.to_slice(*geometry.polar_mm)
        scale = np.float32(CANVAS_PX / (2 * HALF_EXTENT))
        u, v = (along + np.float32(HALF_EXTENT)) * scale, (across + np.float32(HALF_EXTENT)) * scale
        polar = cv2.remap(canvas.pixels[..., 0].copy(), u, v, cv2.INTER_LINEAR)
        x, y, w, h = geometry.region
        seen = np.zeros((480, 640), bool)
        seen[y : y + h, x : x + w] = geometry.convert(polar) > 127
        outline = geometry.to_screen(pose.to_probe(canvas.marks[0].outline))
        told = np.zeros((480, 640), np.uint8)
        cv2.fillPoly(told, [np.rint(outline).astype(np.int32)], (1,))
        both = (seen & (told > 0)).sum() / (seen | (told > 0)).sum()
        assert both > 0.95, (mirrored, flipped)


def _frames(spec: PhantomSpec, plane: str) -> list[PhantomFrame]:
    return [f for f in exam_frames(spec, True) if f.truth is not None and f.truth.plane == plane]


def test_fluid_is_dark_and_bone_is_bright_where_the_truth_says() -> None:
    frames = _frames(replace(SPEC, seed=GROWN, ventricle_mm=18.0), "trans-ventricular")
    assert frames
    for frame in frames:
        truth = frame.truth
        assert truth is not None
        assert truth.head is not None
        grey = cv2.cvtColor(frame.pixels, cv2.COLOR_BGR2GRAY)
        masks = {each.label: each.mask(640, 480) for each in truth.structures if each.visible > 0.9}
        inner = np.rint(truth.head.points()).astype(int)
        inner = inner[(inner >= 0).all(1) & (inner[:, 0] < 640) & (inner[:, 1] < 480)]
        bone = cv2.dilate(grey, np.ones((9, 9)))[inner[:, 1], inner[:, 0]]
        assert np.median(bone) > 1.5 * grey[masks["lv"]].mean()
        fluid = masks["lv"] & ~masks["choroid-plexus"]
        assert grey[masks["choroid-plexus"]].mean() > 1.2 * grey[fluid].mean()


def test_every_plane_carries_what_it_must() -> None:
    found: dict[str, set[str]] = {}
    for seed in range(4):
        for frame in exam_frames(replace(SPEC, seed=seed, fps=2.0), True):
            assert frame.truth is not None
            assert frame.truth.plane in PLANES
            labels = {each.label for each in frame.truth.structures}
            assert labels <= set(STRUCTURES)
            found.setdefault(frame.truth.plane, set()).update(labels)
            assert (frame.truth.head is not None) or not labels
    assert {"lv", "choroid-plexus", "falx"} <= found["trans-ventricular"]
    assert "thalami" in found["trans-thalamic"]
    assert {"cerebellum", "cisterna-magna"} <= found["trans-cerebellum"]
    assert not found["spine"]


@pytest.mark.parametrize(
    ("level", "named", "also"),
    [
        (0.42, "trans-ventricular", ()),
        (0.53, "trans-ventricular", ("other-head",)),
        (0.60, "other-head", ("trans-ventricular",)),
        (0.64, "other-head", ()),
        (0.18, "other-head", ("trans-thalamic",)),
        (-0.19, "other-head", ()),
        (-0.3, "trans-cerebellum", ("other-head",)),
    ],
)
def test_at_the_end_of_a_planes_reach_a_slice_is_both(
    level: float, named: str, also: tuple[str, ...]
) -> None:
    plane = name_plane("head", plane_name("head", level), "bmode", vault=True)
    assert plane == named
    assert name_also(plane, border_plane("head", level)) == also
    assert border_plane("face", level) is None


def test_only_a_head_is_told_as_either_of_two() -> None:
    either = 0
    for seed in range(4):
        for frame in exam_frames(replace(SPEC, seed=seed, fps=2.0), True):
            truth = frame.truth
            assert truth is not None
            assert truth.to_dict()["also"] == list(truth.also)
            if truth.also:
                either += 1
                assert truth.head is not None
                assert (truth.plane == OTHER_HEAD) != (truth.also == (OTHER_HEAD,))
    assert either > 0


def test_a_falx_is_marked_as_a_band() -> None:
    unit_mm = draw_patient(SPEC.namespace, SPEC.seed, SPEC.patient).unit_mm
    widths = []
    for frame in exam_frames(replace(SPEC, fps=1.0, width_px=1280, height_px=960), True):
        assert frame.truth is not None
        widths += [
            each.thickness_px * frame.truth.mm_per_px / unit_mm
            for each in frame.truth.structures
            if each.label == FALX
        ]
    assert widths
    assert widths == pytest.approx([0.12] * len(widths), rel=0.15)


@pytest.mark.parametrize("width_mm", [5.0, 12.0, 20.0])
def test_ventricles_are_as_wide_as_asked(width_mm: float) -> None:
    spec = replace(SPEC, seed=GROWN, ventricle_mm=width_mm, fps=2.0)
    widths = [f.truth.atrial_width_mm for f in _frames(spec, "trans-ventricular") if f.truth]
    assert widths
    assert max(w for w in widths if w is not None) == pytest.approx(width_mm, rel=0.1)


def test_a_head_too_small_for_its_ventricles_is_refused() -> None:
    small = replace(draw_patient("single", 1, 0), bpd_mm=30.0)
    assert widest_ventricle_mm(small) == pytest.approx(12.6)
    with pytest.raises(InputError, match=r"30 mm wide, holds ventricles up to 12\.6 mm"):
        size_ventricles(small, 14.0)


@pytest.mark.parametrize("width_mm", [4.9, 20.1, float("nan")])
def test_ventricles_beyond_belief_are_refused(width_mm: float) -> None:
    with pytest.raises(InputError, match="5 to 20 mm"):
        replace(SPEC, ventricle_mm=width_mm)


def test_a_spectrum_shows_the_truth_made_small() -> None:
    for seed in range(6):
        frames = list(exam_frames(replace(SPEC, seed=seed, seconds=20.0, fps=2.0), True))
        for before, frame in pairwise(frames):
            if frame.kind != "spectrum" or before.kind != "bmode" or not before.truth:
                continue
            if before.truth.head is None or frame.truth is None or frame.truth.head is None:
                continue
            x, y, w, h = frame.region
            assert frame.truth.mm_per_px > 1.5 * before.truth.mm_per_px
            assert x < frame.truth.head.cx < x + w
            assert y < frame.truth.head.cy < y + h
            return
    pytest.fail("no exam showed a spectrum of a head")


def test_a_cohort_writes_its_truth_beside_its_clips(tmp_path: Path) -> None:
    rows = write_cohort(
        tmp_path / "cohort",
        exams=2,
        seed=3,
        labels=("normal", "anencephaly"),
        seconds=1.0,
        structures=True,
        ventricle_mm=(5.0, 20.0),
    )
    for row in rows:
        told = json.loads(
            (tmp_path / "cohort" / row.path).with_suffix(".structures.json").read_text()
        )
        assert told["schema"] == "neurosono-phantom-structures/1"
        assert [each["index"] for each in told["frames"]] == list(range(25))
        assert 5 <= told["ventricle_mm"] <= 20
        for frame in told["frames"]:
            assert frame["mm_per_px"] > 0
            for each in frame["structures"]:
                box = RotatedBox(*(each[name] for name in ("cx", "cy", "w", "h", "angle_deg")))
                low, high = box.corners().min(0), box.corners().max(0)
                outline = np.array(each["outline"])
                assert (outline > low - 1).all()
                assert (outline < high + 1).all()
    with pytest.raises(InputError, match="from narrow to wide"):
        write_cohort(tmp_path / "bad", exams=1, seed=3, ventricle_mm=(9.0, 6.0))
