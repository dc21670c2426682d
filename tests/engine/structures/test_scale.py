"""Millimetres per pixel: believed in turn, and not at all where two contradict."""

import pytest

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.frame import Scaled, ScaleSource
from neurosono.engine.structures.scale import choose_scale as choose


def choose_scale(dicom: float | None = None, **told: float) -> Scaled:
    if dicom is None:
        return choose(**told)
    return choose(source=Scaled(mm_per_px=dicom, mm_per_px_from=ScaleSource.DICOM), **told)


def test_without_any_there_is_none_and_nothing_to_choose() -> None:
    scale = choose_scale()
    assert (scale.mm_per_px, scale.mm_per_px_from, scale.contradicts) == (None, None, False)


@pytest.mark.parametrize(
    ("told", "source"),
    [
        ({"ruler": 0.15}, "ruler"),
        ({"dicom": 0.15}, "dicom"),
        ({"dicom": 0.15, "ruler": 0.153}, "dicom"),
        ({"user": 0.15, "dicom": 0.3, "ruler": 0.1}, "user"),
    ],
)
def test_the_most_trusted_is_used(told: dict[str, float], source: str) -> None:
    scale = choose_scale(**told)
    assert (scale.mm_per_px, scale.mm_per_px_from) == (0.15, source)
    assert scale.told_mm_per_px == told
    assert not scale.contradicts


def test_a_ruler_that_contradicts_dicom_leaves_neither_until_the_user_chooses() -> None:
    told = {"dicom": 0.15, "ruler": 0.156}
    scale = choose_scale(**told)
    assert scale.mm_per_px is None
    assert scale.contradicts
    assert scale.told_mm_per_px == told
    assert choose_scale(user=0.156, **told).mm_per_px == 0.156


@pytest.mark.parametrize("name", ["user", "dicom", "ruler"])
def test_a_scale_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="millimetres per pixel"):
        choose_scale(**{name: 15.0})


def test_a_senders_own_scale_stands_where_a_files_does() -> None:
    sender = Scaled(mm_per_px=0.2, mm_per_px_from=ScaleSource.OPENIGTLINK)
    assert choose(source=sender).mm_per_px_from is ScaleSource.OPENIGTLINK
    assert choose(source=sender, ruler=0.3).contradicts
