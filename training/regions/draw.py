"""A pair as the network learns from it: crops about jittered true boxes, or about found ones."""

from dataclasses import replace

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Pixels, Singles
from neurosono.engine.regions.names import REGIONS, regions_of
from neurosono.engine.regions.view import CONTEXT, view_plane
from neurosono.engine.structures.boxes import Found, RotatedBox
from neurosono.engine.structures.ellipse import Ellipse
from neurosono.training.regions.data import Pair, PairData, PairRow
from neurosono.training.regions.recipe import WHOLE, WHOLE_PX, PairRecipe

Given = tuple[Pixels, Singles]
"""Crops (R, S, S) uint8 and context (R, CONTEXT) float32 of one woman."""

_MISSED = 0.06
"""A share of boxes that is left out while learning: a detector misses some."""
_HEAD_JITTER, _BOX_JITTER = 0.03, 0.08
"""Standard deviations: of the head's place and size over its length, of a box's over its own."""
_TURN_DEG = 3.0
_NOISE = 4.0
"""Levels of 255, one standard deviation."""
_SURE = (0.35, 0.95)
"""Scores that found boxes have, drawn for true ones."""


def draw_pair(data: PairData, pair: Pair, recipe: PairRecipe, rng: np.random.Generator) -> Given:
    """Return one view of a pair to learn from."""
    parts = []
    for plane in recipe.planes:
        number = int(rng.choice(pair.rows[plane]))
        square = np.array(data.frames[number])
        if recipe.arm == WHOLE:
            crops, context = see_whole(square, plane, rng)
        else:
            crops, context = _see(square, data.rows[number], plane, recipe, rng)
        parts.append((shade(crops, rng), context))
    return _join(parts)


def _see(
    square: Pixels, row: PairRow, plane: str, recipe: PairRecipe, rng: np.random.Generator
) -> Given:
    head, boxes = choose_boxes(row, recipe.found, rng)
    view = view_plane(square, head, boxes, plane, mirrored=bool(rng.random() < 0.5))
    return view.crops, view.context


def draw_other(
    data: PairData, pair: Pair, plane: str, recipe: PairRecipe, rng: np.random.Generator
) -> Given:
    """Return a picture that is not of `plane`, seen as if it were: what its likeness must tell."""
    numbers = [n for name, rows in pair.rows.items() if name != plane for n in rows]
    number = int(rng.choice([*numbers, *pair.others]))
    square = np.array(data.frames[number])
    crops, context = _see(square, data.rows[number], plane, recipe, rng)
    return shade(crops, rng), context


def judge_pair(data: PairData, pair: Pair, recipe: PairRecipe) -> Given | None:
    """Return a pair as an exam sees it: the best frames, with what the detector found on them.

    None where no head was found on one of them: an exam would wait for that plane.
    """
    parts = []
    for plane, number in pair.best(data.rows).items():
        if plane not in recipe.planes:
            continue
        square, seen = np.array(data.frames[number]), data.rows[number].seen
        if recipe.arm == WHOLE:
            parts.append(see_whole(square, plane, None))
        elif seen.head is None:
            return None
        else:
            view = view_plane(square, seen.head, seen.boxes, plane)
            parts.append((view.crops, view.context))
    return _join(parts)


def choose_boxes(
    row: PairRow, found: float, rng: np.random.Generator
) -> tuple[Ellipse, tuple[Found, ...]]:
    """Return head and boxes: in a share `found` of times the detector's, else true and jittered."""
    seen, truth = row.seen, row.truth
    if truth.head is None or (seen.head is not None and rng.random() < found):
        assert seen.head is not None, "a picture without a true head teaches only with a found one"
        return jitter_head(seen.head, rng, 0.5), seen.boxes
    kept = [each for each in row.true_boxes() if rng.random() >= _MISSED]
    return jitter_head(truth.head, rng), tuple(jitter_box(each, rng) for each in kept)


def jitter_head(head: Ellipse, rng: np.random.Generator, share: float = 1.0) -> Ellipse:
    """Return a head's ellipse a little elsewhere, larger or smaller, and turned."""
    dx, dy, grow, squash = rng.normal(0, _HEAD_JITTER * share, 4)
    a = head.a * float(np.exp(grow))
    b = min(a, head.b * float(np.exp(grow + squash)))
    turn = float(rng.normal(0, _TURN_DEG * share))
    return Ellipse(head.cx + 2 * a * dx, head.cy + 2 * a * dy, a, b, head.angle_deg + turn)


def jitter_box(found: Found, rng: np.random.Generator) -> Found:
    """Return a box a little elsewhere and of another size, with a score as a detector gives."""
    box = found.box
    dx, dy, wider, higher = rng.normal(0, _BOX_JITTER, 4)
    size = float(np.sqrt(box.w * box.h))
    moved = RotatedBox(
        box.cx + size * dx,
        box.cy + size * dy,
        box.w * float(np.exp(wider)),
        box.h * float(np.exp(higher)),
        box.angle_deg + float(rng.normal(0, _TURN_DEG)),
    )
    return replace(found, score=float(rng.uniform(*_SURE)), box=moved)


def shade(crops: Pixels, rng: np.random.Generator) -> Pixels:
    """Return crops (R, S, S) uint8 of one picture with another gain and contrast, and noise."""
    gamma, gain = np.exp(rng.normal(0, [0.15, 0.12]))
    levels = (255 * gain * (np.arange(256) / 255) ** gamma).astype(np.float32)
    noise = rng.standard_normal(crops.shape, dtype=np.float32) * _NOISE
    shaded = levels[crops] + noise * (crops > 0)
    return np.asarray(np.clip(shaded, 0, 255), np.uint8)


def see_whole(square: Pixels, plane: str, rng: np.random.Generator | None) -> Given:
    """Return a whole picture as one crop, moved and turned where there is an `rng`."""
    side = square.shape[0]
    turn, grow, dx, dy = (0.0, 1.0, 0.0, 0.0)
    if rng is not None:
        turn, grow = float(rng.normal(0, 8)), float(np.exp(rng.normal(0, 0.06)))
        dx, dy = rng.normal(0, 0.03 * side, 2)
    affine = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), turn, grow)
    affine[:, 2] += (dx, dy)
    small = cv2.warpAffine(square, affine, (side, side), flags=cv2.INTER_LINEAR)
    small = cv2.resize(small, (WHOLE_PX, WHOLE_PX), interpolation=cv2.INTER_AREA)
    if rng is not None and rng.random() < 0.5:
        small = small[:, ::-1]
    context = np.zeros((1, CONTEXT), np.float32)
    context[0, CONTEXT - len(REGIONS) + REGIONS.index(regions_of(plane)[0])] = 1
    return np.ascontiguousarray(small)[None].astype(np.uint8), context


def _join(parts: list[Given]) -> Given:
    crops, context = zip(*parts, strict=True)
    return np.concatenate(crops), np.concatenate(context)
