"""What the overlay shows, and what it must never show."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from msgspec import structs
from numpy.typing import NDArray

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.frame import SkipReason
from neurosono.engine.contracts.labels import DEFAULT_LABELS
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.engine.contracts.result import ExamSnapshot, ExamState, Result
from neurosono.stream.overlay import canvas as overlay_module
from neurosono.stream.overlay.canvas import (
    LARGEST_REGION_PX,
    AiState,
    Heatmap,
    Overlay,
    OverlayState,
)
from neurosono.stream.overlay.layout import Box, arrange
from neurosono.stream.view import palette

SPEC = PreprocessingSpec()
SIZES_PX = [(480, 640), (1080, 1920), (96, 128), (40, 60), (400, 1200), (900, 200), (301, 403)]
NOT_ON = [AiState.OFF, AiState.STARTING, AiState.NO_SIGNAL]


def noise(shape: tuple[int, ...], seed: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(1, 256, shape, dtype=np.uint8)


def exam(
    probabilities: tuple[float, ...] = (0.05, 0.1, 0.7, 0.1, 0.05),
    chosen: tuple[str, ...] = ("holoprosencephaly",),
    state: ExamState = ExamState.STABLE,
) -> ExamSnapshot:
    mean = np.array(probabilities)
    low, high = np.clip(mean - 0.04, 0, 1), np.clip(mean + 0.04, 0, 1)
    return ExamSnapshot(mean, low, high, chosen, state, used=20, effective_frames=9.5)


def result(snapshot: ExamSnapshot | None = None, pts_s: float = 1.0) -> Result:
    return Result("s", seq=7, captured_ns=0, pts_s=pts_s, exam=snapshot or exam())


def heatmap(pts_s: float = 1.0, label: str = "holoprosencephaly", seed: int = 5) -> Heatmap:
    cam = np.zeros((7, 7), dtype=np.float32)
    cam[2:5, 2:5] = 1.0
    return Heatmap(cam, noise((480, 640), seed), label, seq=7, pts_s=pts_s)


def state(ai: AiState = AiState.ON, **said: Any) -> OverlayState:
    known: dict[str, Any] = {"decoded": 90, "sampled": 9, "used": 7, "pts_s": 1.0}
    return OverlayState(ai=ai, **(known | said))


def draw(shown: OverlayState, pixels: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    overlay = Overlay((480, 640), DEFAULT_LABELS, SPEC)
    return overlay.draw(noise((480, 640)) if pixels is None else pixels, shown).copy()


def cut(canvas: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    return canvas[box.y : box.bottom, box.x : box.right]


LAYOUT = arrange((480, 640), len(DEFAULT_LABELS))


def has_colour(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> bool:
    return bool(np.any(np.all(picture == np.array(colour, dtype=np.uint8), axis=-1)))


def bar_length_px(canvas: NDArray[np.uint8], place: int) -> int:
    box = LAYOUT.inside.bars[place]
    below_name = canvas[box.y + math.ceil(LAYOUT.unit_px) : box.bottom, box.x : box.right]
    colour = np.array(palette.class_colour(place), dtype=np.uint8)
    columns = np.flatnonzero(np.any(np.all(below_name == colour, axis=-1), axis=0))
    return int(columns.max()) + 1 if columns.size else 0


@pytest.mark.parametrize("size_px", SIZES_PX)
@pytest.mark.parametrize("channels", [(), (3,)])
def test_the_region_is_copied_pixel_by_pixel(
    size_px: tuple[int, int], channels: tuple[int, ...]
) -> None:
    pixels = noise((*size_px, *channels))
    overlay = Overlay(size_px, DEFAULT_LABELS, SPEC)
    box = arrange(size_px, 5).region
    for ai in AiState:
        canvas = overlay.draw(pixels, state(ai, result=result(), heatmap=heatmap()))
        assert canvas.shape == (*overlay.canvas_px, 3)
        expected = pixels if channels else np.stack([pixels] * 3, axis=-1)
        np.testing.assert_array_equal(cut(canvas, box), expected)


def test_a_region_of_another_size_fits_into_the_same_canvas() -> None:
    overlay = Overlay((480, 640), DEFAULT_LABELS, SPEC)
    for size_px in ((240, 320), (480, 480), (1000, 300), (3, 5), (1080, 1920), (480, 640)):
        canvas = overlay.draw(np.full(size_px, 200, dtype=np.uint8), state())
        area = cut(canvas, LAYOUT.area)
        assert canvas.shape == (*overlay.canvas_px, 3)
        rows, columns = np.nonzero(area.min(axis=-1) == 200)
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert height / width == pytest.approx(size_px[0] / size_px[1], rel=0.01)
        assert height in {480, LAYOUT.area.h} or width in {640, LAYOUT.area.w}
        assert np.count_nonzero(area) == height * width * 3, "bars around it must be black"


def test_a_tiny_first_region_is_not_enlarged_and_a_later_large_one_uses_the_room() -> None:
    overlay = Overlay((40, 60), DEFAULT_LABELS, SPEC)
    area = arrange((40, 60), 5).area
    small = cut(overlay.draw(np.full((40, 60), 200, np.uint8), state()), area)
    assert np.count_nonzero(small.min(axis=-1) == 200) == 40 * 60
    large = cut(overlay.draw(np.full((600, 800), 200, np.uint8), state()), area)
    assert np.ptp(np.nonzero(large.min(axis=-1) == 200)[1]) + 1 == area.w


def test_a_region_too_large_for_video_is_shown_smaller() -> None:
    overlay = Overlay((5000, 6000), DEFAULT_LABELS, SPEC)
    canvas = overlay.draw(np.full((5000, 6000), 200, np.uint8), state())
    height, width = canvas.shape[:2]
    assert height % 2 == width % 2 == 0
    assert height / 16 * (width / 16) < 36_864, "macroblocks of H.264's level 5.1"
    shown = np.count_nonzero(canvas.min(axis=-1) == 200)
    assert 0.99 * LARGEST_REGION_PX < shown <= LARGEST_REGION_PX


@pytest.mark.parametrize("ai", NOT_ON)
def test_without_ai_no_result_and_no_heatmap_is_drawn(ai: AiState) -> None:
    told = draw(state(ai, ai_reason="it died", result=result(), heatmap=heatmap()))
    untold = draw(state(ai, ai_reason="it died"))
    np.testing.assert_array_equal(told, untold)
    for place in range(len(DEFAULT_LABELS)):
        assert not has_colour(cut(told, LAYOUT.panel), palette.class_colour(place)) or (
            ai is AiState.NO_SIGNAL and palette.class_colour(place) == palette.AMBER
        )
        assert bar_length_px(told, place) == 0


def test_every_state_of_the_ai_looks_different_and_off_frames_the_picture() -> None:
    chips = [cut(draw(state(ai)), LAYOUT.inside.ai).tobytes() for ai in AiState]
    assert len(set(chips)) == len(AiState)
    left_of_picture = Box(0, 0, LAYOUT.region.x, LAYOUT.panel.h)
    assert has_colour(cut(draw(state(AiState.OFF)), left_of_picture), palette.VERMILLION)
    assert not np.any(cut(draw(state(AiState.ON)), left_of_picture))


def test_going_off_and_on_again_leaves_nothing_of_either() -> None:
    overlay = Overlay((480, 640), DEFAULT_LABELS, SPEC)
    pixels = noise((480, 640, 3))
    on, off = state(result=result(), heatmap=heatmap()), state(AiState.OFF, ai_reason="it died")
    first_on = overlay.draw(pixels, on).copy()
    first_off = overlay.draw(pixels, off).copy()
    np.testing.assert_array_equal(overlay.draw(pixels, on), first_on)
    np.testing.assert_array_equal(overlay.draw(pixels, off), first_off)
    np.testing.assert_array_equal(first_off, draw(off, pixels))


def test_bars_are_as_long_as_the_probabilities() -> None:
    canvas = draw(state(result=result(exam((0.1, 0.2, 0.4, 0.25, 0.05)))))
    for place, probability in enumerate((0.1, 0.2, 0.4, 0.25, 0.05)):
        expected = probability * LAYOUT.inside.bars[place].w
        assert bar_length_px(canvas, place) == pytest.approx(expected, abs=2)


def test_before_the_first_evidence_there_are_no_bars() -> None:
    nothing = exam((np.nan,) * 5, DEFAULT_LABELS, ExamState.COLLECTING)
    canvas = draw(state(result=result(nothing)))
    assert all(bar_length_px(canvas, place) == 0 for place in range(5))


@pytest.mark.parametrize("silent", [ExamState.COLLECTING, ExamState.UNFAMILIAR])
def test_an_exam_that_says_nothing_yet_shows_no_figure_and_no_bar(silent: ExamState) -> None:
    one, other = exam((0.1, 0.2, 0.4, 0.25, 0.05), state=silent), exam(state=silent)
    canvas = draw(state(result=result(one)))
    assert all(bar_length_px(canvas, place) == 0 for place in range(5))
    leading = exam((0.1, 0.2, 0.6, 0.05, 0.05), state=silent)
    np.testing.assert_array_equal(canvas, draw(state(result=result(leading))))
    if silent is ExamState.COLLECTING:
        assert int(np.argmax(other.probabilities)) == 2, "what the next line rests on"
        turned = draw(state(result=result(exam((0.4, 0.2, 0.1, 0.25, 0.05), state=silent))))
        assert np.any(canvas != turned), "what it leans to is shown"


def test_the_winner_is_marked_only_when_it_is_in_the_set_and_enough_is_collected() -> None:
    row = LAYOUT.inside.bars[2]

    def marked(snapshot: ExamSnapshot) -> bool:
        return has_colour(cut(draw(state(result=result(snapshot))), row), palette.RAISED)

    assert marked(exam())
    assert not marked(exam(chosen=("normal",)))
    assert not marked(exam(state=ExamState.COLLECTING))
    in_set, outside = (
        draw(state(result=result(exam()))),
        draw(state(result=result(exam(chosen=())))),
    )
    assert np.any(cut(in_set, row) != cut(outside, row))


def test_the_interval_moves_the_whisker() -> None:
    wide = structs.replace(exam(), high=np.array([0.9] * 5))
    row = LAYOUT.inside.bars[0]
    narrow_row = cut(draw(state(result=result())), row)
    wide_row = cut(draw(state(result=result(wide))), row)
    reach = [
        np.flatnonzero(np.any(np.all(r[-10:] == 255, axis=-1), axis=0)).max()
        for r in (narrow_row, wide_row)
    ]
    assert reach[0] == pytest.approx(0.09 * row.w, abs=3)
    assert reach[1] == pytest.approx(0.9 * row.w, abs=3)


def test_a_result_of_other_classes_is_refused() -> None:
    with pytest.raises(InputError, match=r"\(5,\), found \(2,\)"):
        draw(state(result=result(exam((0.5, 0.5), ()))))


@pytest.mark.parametrize("pixels_shape", [(480, 640), (600, 800, 3), (100, 700)])
def test_the_heatmap_fades_and_is_gone_at_500_ms(pixels_shape: tuple[int, ...]) -> None:
    well = LAYOUT.inside.well
    heat = dataclasses.replace(heatmap(pts_s=1.0), pixels=noise(pixels_shape))
    empty = draw(state(pts_s=1.0))

    def strength(age_s: float) -> float:
        with_it = draw(state(pts_s=1.0 + age_s, heatmap=heat))
        return float(np.abs(cut(with_it, well).astype(int) - palette.WELL).mean())

    blank = float(np.abs(cut(empty, well).astype(int) - palette.WELL).mean())
    ages = [strength(age) for age in (0.0, 0.1, 0.25, 0.4, 0.49)]
    assert ages == sorted(ages, reverse=True)
    assert ages[2] == pytest.approx(ages[0] / 2, rel=0.05), "it fades linearly"
    assert strength(0.5) == strength(3.0) == pytest.approx(blank)
    for gone_s in (0.5, 0.501, 7.0):
        shown = draw(state(pts_s=1.0 + gone_s, heatmap=heat))
        np.testing.assert_array_equal(shown, draw(state(pts_s=1.0 + gone_s)))


def test_a_heatmap_of_a_frame_not_yet_shown_is_not_drawn() -> None:
    np.testing.assert_array_equal(draw(state(heatmap=heatmap(pts_s=1.2))), draw(state()))


def test_the_heatmap_lies_over_its_own_frame_not_over_the_one_shown() -> None:
    well = LAYOUT.inside.well
    shown = state(heatmap=heatmap())
    one, other = draw(shown, noise((480, 640), 1)), draw(shown, noise((480, 640), 2))
    np.testing.assert_array_equal(cut(one, well), cut(other, well))
    own = draw(state(heatmap=heatmap(seed=6)), noise((480, 640), 1))
    assert np.any(cut(own, well) != cut(one, well))


def test_a_new_heatmap_replaces_the_last_one() -> None:
    overlay = Overlay((480, 640), DEFAULT_LABELS, SPEC)
    overlay.draw(noise((480, 640)), state(heatmap=heatmap(seed=5)))
    second = overlay.draw(noise((480, 640)), state(heatmap=heatmap(seed=6)))
    np.testing.assert_array_equal(second, draw(state(heatmap=heatmap(seed=6))))


@pytest.mark.parametrize("size_px", [(480, 640), (40, 60), (1080, 1920)])
def test_the_notice_is_on_every_canvas(
    size_px: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    footer = arrange(size_px, 5).footer
    pixels = noise(size_px)
    with_it = Overlay(size_px, DEFAULT_LABELS, SPEC)
    monkeypatch.setattr(overlay_module, "NOTICE", "")
    without = Overlay(size_px, DEFAULT_LABELS, SPEC).draw(pixels, state())
    assert cut(without, footer).max() < 64, "the strip is empty without the sentence"
    for ai in AiState:
        strip = cut(with_it.draw(pixels, state(ai)), footer)
        assert np.count_nonzero(strip.max(axis=-1) > 160) > 150, "it is well to be read"
        last_column = np.flatnonzero(np.any(strip != cut(without, footer), axis=(0, 2))).max()
        assert last_column < footer.w - 4, "the sentence is not cut off"


@pytest.mark.parametrize("reason", list(SkipReason))
def test_a_skipped_frame_says_why_and_bears_no_mark(reason: SkipReason) -> None:
    line = LAYOUT.inside.shown
    skipped = draw(state(result=result(), skip_reason=reason))
    others = [draw(state(skip_reason=other)) for other in SkipReason if other is not reason]
    assert has_colour(cut(skipped, line), palette.SAND)
    assert all(np.any(cut(skipped, line) != cut(other, line)) for other in others)
    assert not has_colour(skipped[:, : LAYOUT.panel.x], palette.SKY)


def test_a_used_frame_is_marked_around_the_region_only_while_it_is_shown() -> None:
    black = np.zeros((480, 640), dtype=np.uint8)
    around = slice(0, LAYOUT.panel.x)
    used = draw(state(result=result(pts_s=1.0)), black)
    assert has_colour(used[:, around], palette.SKY)
    next_one = draw(state(result=result(pts_s=1.0), pts_s=1.04), black)
    assert not has_colour(next_one[:, around], palette.SKY)


@pytest.mark.parametrize("count", ["decoded", "sampled", "used", "dropped"])
def test_every_count_is_shown(count: str) -> None:
    box = LAYOUT.inside.counts
    one, other = draw(state(**{count: 11})), draw(state(**{count: 12}))
    assert np.any(cut(one, box) != cut(other, box))


def test_negative_counts_are_refused() -> None:
    with pytest.raises(InputError, match="must not be negative"):
        state(dropped=-1)


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((4, 4), np.float32), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4), np.uint8)],
)
def test_what_is_no_picture_is_refused(wrong: NDArray[Any]) -> None:
    with pytest.raises(InputError, match="a region must be"):
        draw(state(), wrong)


def test_an_overlay_of_nothing_or_of_an_immortal_heatmap_is_refused() -> None:
    with pytest.raises(InputError, match="height and a width"):
        Overlay((0, 640), DEFAULT_LABELS, SPEC)
    with pytest.raises(InputError, match=r"up to 0\.5 s"):
        Overlay((480, 640), DEFAULT_LABELS, SPEC, heatmap_life_s=2.0)


@pytest.mark.parametrize("size_px", SIZES_PX)
def test_a_canvas_shows_nothing_of_the_pictures_before(size_px: tuple[int, int]) -> None:
    random = np.random.default_rng(11)
    pixels, old = noise(size_px), Overlay(size_px, DEFAULT_LABELS, SPEC)
    maps = [heatmap(0.9), heatmap(1.0, "normal", seed=6), heatmap(1.0, "no such class"), None]
    for step in range(60):
        shares = random.dirichlet(np.ones(5))
        snapshot = exam(
            tuple(shares) if step % 7 else (math.nan,) * 5,
            tuple(random.choice(DEFAULT_LABELS, random.integers(1, 6), replace=False)),
            random.choice(list(ExamState)),
        )
        shown = state(
            random.choice([AiState.ON, AiState.ON, AiState.ON, *NOT_ON]),
            ai_reason=str(random.choice(["", "the engine gives no sign of life"])),
            result=random.choice([result(snapshot), None]),
            heatmap=maps[random.integers(4)],
            skip_reason=random.choice([None, *SkipReason]),
            used=int(random.integers(0, 10 ** random.integers(1, 12))),
            dropped=int(random.integers(0, 3)),
            pts_s=float(random.choice([1.0, 1.1, 1.3])),
            engine=str(random.choice(["openvino int8 x3", "torch f32 x1 on a device"])),
        )
        fresh = Overlay(size_px, DEFAULT_LABELS, SPEC)
        np.testing.assert_array_equal(old.draw(pixels, shown), fresh.draw(pixels, shown))
