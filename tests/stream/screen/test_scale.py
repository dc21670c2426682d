"""The ruler is followed from picture to picture: a scale is right, or it is not known."""

from collections.abc import Iterator

import numpy as np
import pytest

from neurosono.engine.contracts.frame import Scaled, ScaleSource
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.stream.intake.evidence import EvidenceGate
from neurosono.stream.intake.intake import Intake
from neurosono.stream.intake.sampler import Sampler
from neurosono.stream.pictures.picture import Picture
from neurosono.stream.pictures.region import parse_region
from neurosono.stream.screen.follow import Screen
from neurosono.stream.screen.scale import READ_AGAIN, READ_EVERY, ScaleWatch
from tests.stream.screen.test_ruler import _draw_ground, _draw_ruler

SHALLOW, DEEP = 37.7, 26.0


def draw(spacing: float | None, seed: int = 1) -> np.ndarray:
    picture = _draw_ground(seed)
    if spacing is not None:
        _draw_ruler(picture, spacing)
    return picture


def show(watch: ScaleWatch, screens: list[np.ndarray], clip: int = 0) -> list[float | None]:
    return [watch.see(Picture(at, clip, at / 25, each)) for at, each in enumerate(screens)]


def test_the_first_picture_is_read_at_once_so_that_a_still_has_its_scale() -> None:
    assert show(ScaleWatch(), [draw(DEEP)]) == [pytest.approx(5 / DEEP, rel=0.004)]
    assert show(ScaleWatch(), [draw(None)]) == [None]


def test_a_change_of_depth_is_never_measured_with_the_old_scale() -> None:
    shallow, deep = draw(SHALLOW), draw(DEEP)
    found = show(ScaleWatch(), [shallow] * 5 + [deep] * 12)
    assert found[:5] == [pytest.approx(5 / SHALLOW, rel=0.004)] * 5
    assert found[5] is None
    later = [each for each in found[5:] if each is not None]
    assert later, "the new one is read"
    assert later == [pytest.approx(5 / DEEP, rel=0.004)] * len(later)
    assert all(each is not None for each in found[-6:])


def test_a_ruler_that_goes_takes_its_scale_along_and_one_that_comes_is_found() -> None:
    found = show(ScaleWatch(), [draw(DEEP)] * 3 + [draw(None)] * 6)
    assert found[3:] == [None] * 6
    found = show(ScaleWatch(), [draw(None)] * 2 + [draw(DEEP)] * (READ_AGAIN + 6))
    assert found[-1] == pytest.approx(5 / DEEP, rel=0.004)


def test_moving_speckle_changes_nothing_and_two_runs_agree() -> None:
    screens = [draw(DEEP, seed) for seed in range(12)] * 5
    assert len(screens) > READ_EVERY
    one, other = show(ScaleWatch(), screens), show(ScaleWatch(), screens)
    assert one == other
    assert one == [pytest.approx(5 / DEEP, rel=0.004)] * len(screens)


class Screens:
    description = "screens"

    def __init__(self, scale: Scaled) -> None:
        self._scale = scale

    def pictures(self) -> Iterator[Picture]:
        for at in range(2):
            yield Picture(at, at, at / 25, draw(DEEP, at), scale=self._scale)


@pytest.mark.parametrize(
    ("header", "user", "used"),
    [
        (5 / DEEP, None, "dicom"),
        (0.25, None, None),
        (0.25, 0.2, "user"),
        (None, None, "ruler"),
    ],
)
def test_a_ruler_that_contradicts_the_file_leaves_neither_until_the_user_chooses(
    header: float | None, user: float | None, used: str | None
) -> None:
    scale, asked = Scaled(), Scaled()
    if header is not None:
        scale = Scaled(mm_per_px=header, mm_per_px_from=ScaleSource.DICOM)
    if user is not None:
        asked = Scaled(mm_per_px=user, mm_per_px_from=ScaleSource.USER)
    intake = Intake(
        Screens(scale),
        screen=Screen(parse_region("200,40,500,500")),
        sampler=Sampler(every=1),
        gate=EvidenceGate(),
        spec=PreprocessingSpec(),
        stream_id="s",
        scale=asked,
        readers={"structures": PreprocessingSpec(size_px=96)},
    )
    for taken in intake.frames():
        frame = taken.read["structures"]
        assert frame.mm_per_px_from == used
        assert frame.contradicts == (used is None)
        told = set(frame.told_mm_per_px)
        assert told == {"ruler"} | ({"dicom"} if header else set()) | ({"user"} if user else set())
        assert frame.pixels is None or frame.pixels.shape == (96, 96)
        assert frame.region_px == (200, 40, 500, 500)
