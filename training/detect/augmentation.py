"""Another view of a square: turned, mirrored, larger or smaller, as another machine shows it.

Boxes and ellipses go along. The anatomy keeps its proportions to a few per cent. Machines differ in
their grey map, their gain along the depth, their resolution and their noise; so do views.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Floats, Pixels, Singles
from neurosono.engine.structures.ellipse import Ellipse
from neurosono.engine.structures.looks import closer_affine, glance_affine
from neurosono.training.detect.rows import Row


@dataclass(frozen=True)
class Strength:
    """How far a view may differ."""

    turn_deg: float = 25.0
    scale: float = 0.22
    squeeze: float = 0.04
    shift: float = 0.08
    mirror: float = 0.5
    gain: float = 0.25
    gamma: float = 0.35
    contrast: float = 0.4
    floor: float = 0.03
    depth: float = 0.35
    """Of a natural logarithm, from the middle of the view to its end."""
    coarser: float = 0.25
    """Share of views of another, lower resolution."""
    noise: float = 0.06
    hide: float = 0.3
    about: float = 0.1
    """Share of views that stand on their heads."""

    def times(self, much: float) -> "Strength":
        """Return how far a view may differ that differs `much` times as far, but for geometry."""
        greys = ("gain", "gamma", "contrast", "depth", "noise", "hide", "coarser")
        return replace(self, **{name: much * getattr(self, name) for name in greys})

    def closer(self) -> "Strength":
        """Return how far a closer look may differ: as far as a glance errs about a head."""
        return replace(self, turn_deg=14.0, scale=0.11, shift=0.045, about=0.0)


def augment(
    square: Pixels,
    row: Row,
    rng: np.random.Generator,
    strength: Strength,
    look_px: int | None = None,
    head: Ellipse | None = None,
) -> tuple[Pixels, Row]:
    """Return a view (L, L) uint8 and its row; structures that fall off it are left out.

    `look_px` is the view's side, the square's own by default; with `head` it is a closer look at
    that head, which is then turned and moved little.
    """
    side = look_px or square.shape[0]
    base = glance_affine(square.shape[0], side) if head is None else closer_affine(head, side)
    change = _draw_affine(side, rng, strength if head is None else strength.closer())
    matrix = change @ np.vstack([base, [0, 0, 1]])
    view = cv2.warpAffine(square, matrix, (side, side), flags=cv2.INTER_LINEAR)
    return _alter(np.asarray(view, np.uint8), rng, strength), _clip(row.mapped(matrix), side)


def _draw_affine(side: int, rng: np.random.Generator, strength: Strength) -> Floats:
    turn = np.radians(rng.normal(0, strength.turn_deg / 2)) + np.pi * (
        rng.random() < strength.about
    )
    scale = np.exp(rng.uniform(-strength.scale, strength.scale))
    squeeze = np.exp(rng.uniform(-strength.squeeze, strength.squeeze))
    flip = np.array([1 if rng.random() > strength.mirror else -1 for _ in range(2)])
    c, s = np.cos(turn), np.sin(turn)
    linear = np.array([[c, -s], [s, c]]) @ np.diag(flip * scale * np.array([squeeze, 1 / squeeze]))
    middle = np.full(2, (side - 1) / 2)
    moved = middle + rng.uniform(-strength.shift, strength.shift, 2) * side
    return np.column_stack([linear, moved - linear @ middle])


def _clip(row: Row, side: int) -> Row:
    """Leave out structures whose middle is off the square; say nothing of their kind any more."""
    inside = tuple(b for b in row.boxes if 0 <= b.box.cx < side and 0 <= b.box.cy < side)
    lost = {each.label for each in row.boxes} - {each.label for each in inside}
    known = tuple(name for name in row.known if name not in lost)
    return replace(row, boxes=inside, known=known)


def _alter(square: Pixels, rng: np.random.Generator, strength: Strength) -> Pixels:
    level = cv2.LUT(square, _draw_grey_map(rng, strength))
    if rng.random() < strength.coarser:
        side = square.shape[0]
        small = max(16, int(side * rng.uniform(0.45, 0.9)))
        level = cv2.resize(level, (small, small), interpolation=cv2.INTER_AREA)
        level = cv2.resize(level, (side, side), interpolation=cv2.INTER_LINEAR)
    level = level.astype(np.float32)
    if rng.random() < 0.3:
        level = cv2.GaussianBlur(level, (0, 0), float(rng.uniform(0.4, 1.1)))
    if rng.random() < 0.4:
        size = np.float32(rng.uniform(0, strength.noise))
        level = level * (1 + size * rng.standard_normal(level.shape, dtype=np.float32) * 2)
    if rng.random() < 0.4:
        level = level * _draw_depth_gain(level.shape[0], rng, strength)
    if rng.random() < strength.hide:
        _shade(np.asarray(level, np.float32), rng)
    return np.asarray(np.clip(level, 0, 255), np.uint8)


def _draw_grey_map(rng: np.random.Generator, strength: Strength) -> Pixels:
    """Return (256,) uint8, which never falls: gamma, contrast about the middle, floor and gain."""
    x = np.linspace(0, 1, 256) ** np.exp(rng.uniform(-strength.gamma, strength.gamma))
    steeper = x * x * (3 - 2 * x)
    x = x + rng.uniform(-strength.contrast, strength.contrast) * (steeper - x)
    floor = rng.uniform(0, strength.floor)
    x = (x - floor) / (1 - floor) * (1 + rng.uniform(-strength.gain, strength.gain))
    return np.asarray(np.clip(255 * x, 0, 255), np.uint8)


def _draw_depth_gain(side: int, rng: np.random.Generator, strength: Strength) -> Singles:
    """Return (S, 1) or (1, S): the gain's slide along one direction of the view."""
    along = np.linspace(-1, 1, side, dtype=np.float32)
    tilt, bend = rng.uniform(-strength.depth, strength.depth, 2)
    gain = np.exp(tilt * along + bend * (along**2 - 1 / 3)).astype(np.float32)
    found: Singles = gain[:, None] if rng.random() < 0.7 else gain[None, :]
    return found


def _shade(level: Singles, rng: np.random.Generator) -> None:
    """Darken a stripe as a shadow does, or black a box out as letters are."""
    side = level.shape[0]
    if rng.random() < 0.5:
        along = np.arange(side, dtype=np.float32)
        wide = rng.uniform(0.02, 0.1) * side
        fall = rng.uniform(0.2, 0.8) * np.exp(-(((along - rng.uniform(0, side)) / wide) ** 2))
        level *= (1 - fall).astype(np.float32)[None, :]
        return
    w, h = (rng.uniform(0.05, 0.2, 2) * side).astype(int)
    x, y = int(rng.integers(0, side - w)), int(rng.integers(0, side - h))
    level[y : y + h, x : x + w] = 0
