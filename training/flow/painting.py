"""Flow painted over grey pictures as scanners colour it, with the truth of where it is."""

import cv2
import numpy as np
from numpy.typing import NDArray

from neurosono.engine.contracts.arrays import Flags, Floats, Pixels, Singles

Field = Singles
Stop = tuple[int, int, int]

WARM: tuple[tuple[Stop, ...], ...] = (
    ((0, 0, 90), (0, 0, 255), (0, 200, 255)),
    ((0, 0, 60), (0, 60, 255), (120, 255, 255)),
    ((30, 30, 80), (20, 60, 230)),
    ((20, 10, 60), (0, 80, 255), (0, 255, 255)),
    ((10, 10, 110), (30, 20, 220), (60, 90, 255)),
    ((40, 48, 60), (65, 185, 255)),
)
COLD: tuple[tuple[Stop, ...], ...] = (
    ((90, 0, 0), (255, 0, 0), (255, 220, 0)),
    ((70, 0, 0), (255, 60, 0), (255, 255, 160)),
    ((80, 40, 20), (230, 80, 10)),
    ((60, 0, 10), (255, 90, 0), (255, 255, 0)),
    ((120, 20, 10), (220, 50, 20), (255, 140, 60)),
    ((60, 48, 40), (255, 175, 65)),
)
POWER: tuple[tuple[Stop, ...], ...] = (
    ((0, 0, 60), (0, 60, 200), (0, 160, 255), (0, 255, 255)),
    ((40, 0, 60), (120, 0, 200), (160, 120, 255)),
    ((0, 0, 80), (0, 80, 255), (150, 240, 255)),
)
"""Blue, green and red from slow to fast: towards, away, and the power alone, as scanners map it."""
MOVING = 0.16
"""Of the fastest: slower is not coloured."""


def spread(stops: tuple[Stop, ...]) -> Floats:
    """Return a map of 128 colours through its stops, `(128, 3)`."""
    at, here = np.linspace(0, 1, len(stops)), np.linspace(0, 1, 128)
    return np.stack([np.interp(here, at, [stop[c] for stop in stops]) for c in range(3)], 1)


def paint_flow(picture: Pixels, rng: np.random.Generator) -> Flags:
    """Colour some flow in a box of the picture, `(h, w, 3)` BGR, in place; return where it is."""
    height, width = picture.shape[:2]
    w, h = (int(side * rng.uniform(0.15, 0.6)) for side in (width, height))
    x, y = int(rng.uniform(0, 1) * (width - w)), int(rng.uniform(0, 1) * (height - h))
    speed = _speeds(h, w, rng)
    shown = (speed > MOVING) & _within(h, w, rng)
    part = picture[y : y + h, x : x + w]
    if rng.random() < 0.6:  # echoes have the right of way
        shown &= part.max(axis=2) < rng.integers(60, 200)
    steps = (np.clip(speed, 0, 1) * 127).astype(np.intp)
    colours = _colour(steps, _grow(rng, h, w, 3), rng)
    part[shown] = colours[shown].astype(np.uint8)
    truth = np.zeros((height, width), dtype=np.bool_)
    truth[y : y + h, x : x + w] = shown
    if rng.random() < 0.7:
        line = ((90, 220, 220), (255, 255, 255), (80, 255, 80))[int(rng.integers(3))]
        lean = int(w * rng.uniform(-0.12, 0.12))
        corners = np.array([[x + lean, y], [x + w - lean, y], [x + w, y + h], [x, y + h]], np.int32)
        cv2.polylines(picture, [corners], True, line, 1, cv2.LINE_AA)
    return truth


def _grow(rng: np.random.Generator, h: int, w: int, cells: int) -> Field:
    few = rng.standard_normal((cells, cells)).astype(np.float32)
    return np.asarray(cv2.resize(few, (w, h), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def _speeds(h: int, w: int, rng: np.random.Generator) -> Field:
    """Return speeds, 0 to 1: vessels, chambers, or the sparkle of turbulence, never flat."""
    kind = rng.integers(3)
    if kind == 0:
        course = _grow(rng, h, w, int(rng.integers(3, 9)))
        speed = np.asarray(np.clip(1 - np.abs(course) / rng.uniform(0.12, 0.5), 0, 1), np.float32)
    elif kind == 1:
        speed = _chambers(h, w, rng)
    else:
        sparkle = _grow(rng, h, w, int(rng.integers(4, 14))) * rng.uniform(0.4, 1.2)
        speed = np.asarray(np.clip(sparkle, 0, 1.4), np.float32)
    uneven = speed * np.clip(0.75 + 0.35 * _grow(rng, h, w, 5), 0.2, 1.3)
    grain = rng.normal(0, rng.uniform(0.01, 0.15), (max(2, h // 2), max(2, w // 2)))
    return np.asarray(uneven + cv2.resize(grain, (w, h)) * (speed > 0), dtype=np.float32)


def _chambers(h: int, w: int, rng: np.random.Generator) -> Field:
    sheet = np.zeros((h, w), np.float32)
    for _ in range(rng.integers(1, 5)):
        middle = (int(rng.uniform(0.15, 0.85) * w), int(rng.uniform(0.15, 0.85) * h))
        axes = (int(rng.uniform(5, 0.25 * w + 6)), int(rng.uniform(4, 0.15 * h + 5)))
        cv2.ellipse(sheet, middle, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
    soft = cv2.GaussianBlur(sheet, (0, 0), float(rng.uniform(1.5, 5)))
    return np.asarray(soft * rng.uniform(0.6, 1.2), dtype=np.float32)


def _within(h: int, w: int, rng: np.random.Generator) -> Flags:
    """Return a box that leans outwards, as a curved probe's does."""
    lean = rng.uniform(0, 0.12) * (1 - np.arange(h) / max(1, h))[:, None]
    across = (np.arange(w) / max(1, w))[None, :]
    return np.asarray((across >= lean) & (across <= 1 - lean))


def _colour(steps: NDArray[np.intp], way: Field, rng: np.random.Generator) -> Floats:
    kind = rng.integers(4)
    if kind == 0:
        return spread(POWER[int(rng.integers(len(POWER)))])[steps]
    k = int(rng.integers(len(WARM)))
    warm, cold = spread(WARM[k])[steps], spread(COLD[k])[steps]
    if kind == 1:
        return warm if rng.random() < 0.5 else cold
    return np.asarray(np.where((way > 0)[..., None], warm, cold))
