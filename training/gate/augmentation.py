"""Random views of a gate's squares: nothing about size, stretch, border or codec may tell a source.

The real sources come stretched to squares, letterboxed, compressed and cropped each in its own way,
and all heads of one kind came the same way: the gate must learn anatomy, so every square is drawn
with every such habit. OpenCV on single squares: half a millisecond each.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Pixels

LIT_LEVEL = 8
"""Grey levels over which a pixel is no border."""


@dataclass(frozen=True)
class Strength:
    """How far the views go: logarithms of zoom and stretch, shares of the side, degrees, chances.

    Heads of 11 to 14 weeks lie small in the picture and any way round: some views of all do.
    Chosen by eye, so that every head still is one; not tuned.
    """

    zoom: tuple[float, float] = (-0.35, 0.4)
    stretch: float = 0.38
    shift: float = 0.1
    small: float = 0.25
    small_zoom: tuple[float, float] = (-1.0, -0.35)
    rotation_deg: float = 25.0
    turned: float = 0.25
    upside_down: float = 0.08
    cut: float = 0.35
    worn: float = 0.3
    written: float = 0.25
    lifted: float = 0.2
    gained: float = 0.5
    mapped: float = 0.5
    equalised: float = 0.12


def augment(square: Pixels, rng: np.random.Generator, strength: Strength) -> Pixels:
    """Return a random view of an `(S, S)` uint8 square."""
    view = _warp(square, rng, strength)
    if rng.random() < strength.cut:
        view = _cut(view, rng)
    view = _change_gain(view, rng, strength)
    view = _change_tone(view, rng, strength.lifted)
    view = _wear(view, rng, strength.worn)
    if rng.random() < strength.written:
        view = _write(view, rng)
    return view


def find_box(square: Pixels) -> tuple[int, int, int, int]:
    """Return `x, y, w, h` of what is lit; the whole square where nothing is."""
    lit = np.argwhere(square > LIT_LEVEL)
    if len(lit) == 0:
        return 0, 0, square.shape[1], square.shape[0]
    (top, left), (bottom, right) = lit.min(0), lit.max(0)
    return int(left), int(top), int(right - left + 1), int(bottom - top + 1)


def _warp(square: Pixels, rng: np.random.Generator, strength: Strength) -> Pixels:
    side = square.shape[0]
    x, y, w, h = find_box(square)
    is_small, is_turned = (rng.random() < each for each in (strength.small, strength.turned))
    zoom = math.exp(rng.uniform(*(strength.small_zoom if is_small else strength.zoom)))
    stretch = math.exp(rng.uniform(-1, 1) * strength.stretch / 2)
    angle = math.radians(rng.uniform(-1, 1) * (180.0 if is_turned else strength.rotation_deg))
    flip_x = -1.0 if rng.random() < 0.5 else 1.0
    flip_y = -1.0 if rng.random() < strength.upside_down else 1.0
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    scale = np.diag([flip_x * zoom * stretch, flip_y * zoom / stretch])
    matrix = turn @ scale
    centre = np.array([x + w / 2, y + h / 2])
    to = side / 2 + rng.uniform(-1, 1, 2) * strength.shift * side
    offset = to - matrix @ centre
    return np.asarray(
        cv2.warpAffine(square, np.column_stack([matrix, offset]), (side, side)), dtype=np.uint8
    )


def _cut(view: Pixels, rng: np.random.Generator) -> Pixels:
    """Black out what another probe or another crop would not show."""
    side = view.shape[0]
    mask = np.zeros_like(view)
    kind = rng.integers(3)
    if kind == 0:  # a crop
        low = rng.uniform(0, 0.16, 2) * side
        high = side - rng.uniform(0, 0.16, 2) * side
        cv2.rectangle(mask, low.astype(int).tolist(), high.astype(int).tolist(), 255, -1)
    elif kind == 1:  # a sector
        apex = (int(side * rng.uniform(0.4, 0.6)), int(-side * rng.uniform(0.05, 0.7)))
        reach = int((side - apex[1]) * rng.uniform(0.9, 1.1))
        half = rng.uniform(28, 50)
        cv2.ellipse(mask, apex, (reach, reach), 0, 90 - half, 90 + half, 255, -1)
    else:  # a trapezoid
        inset = rng.uniform(0, 0.3, 2) * side
        lower = rng.uniform(0, 0.08, 2) * side
        corners = [(inset[0], 0), (side - inset[1], 0), (side - lower[1], side), (lower[0], side)]
        cv2.fillPoly(mask, [np.array(corners, dtype=np.int32)], 255)
    return np.asarray(cv2.bitwise_and(view, mask), dtype=np.uint8)


def _change_gain(view: Pixels, rng: np.random.Generator, strength: Strength) -> Pixels:
    """Set sliders of gain by depth, another grey map and local contrast: what makers differ in."""
    side = view.shape[0]
    if rng.random() < strength.gained:
        rows, columns = int(rng.integers(2, 7)), int(rng.integers(1, 4))
        sliders = np.exp(rng.normal(0, 0.3, (rows, columns))).astype(np.float32)
        gain = cv2.resize(sliders, (side, side), interpolation=cv2.INTER_LINEAR)
        view = np.clip(view * gain, 0, 255).astype(np.uint8)
    if rng.random() < strength.mapped:
        steps = rng.gamma(1.5, 1.0, 6)
        knots = np.concatenate([[0.0], np.cumsum(steps) / steps.sum()])
        table = np.interp(np.arange(256), np.linspace(0, 255, 7), 255 * knots)
        view = np.asarray(cv2.LUT(view, np.rint(table).astype(np.uint8)), dtype=np.uint8)
    if rng.random() < strength.equalised:
        tiles = int(rng.integers(2, 9))
        view = np.asarray(cv2.createCLAHE(rng.uniform(1, 4), (tiles, tiles)).apply(view))
    return view


def _change_tone(view: Pixels, rng: np.random.Generator, lifted: float) -> Pixels:
    levels = np.arange(256) / 255
    gamma = math.exp(rng.uniform(-0.5, 0.5))
    toned = np.clip(levels**gamma * rng.uniform(0.65, 1.45), 0, 1)
    if rng.random() < lifted:  # black is grey on some screens
        floor = rng.uniform(0, 0.3)
        toned = floor + (1 - floor) * toned
    table = np.rint(toned * 255).astype(np.uint8)
    return np.asarray(cv2.LUT(view, table), dtype=np.uint8)


def _wear(view: Pixels, rng: np.random.Generator, chance: float) -> Pixels:
    """Lose detail as codecs, scalers and noise do."""
    side = view.shape[0]
    if rng.random() < chance:
        small = int(side * rng.uniform(0.3, 1))
        way = cv2.INTER_AREA if rng.random() < 0.5 else cv2.INTER_LINEAR
        view = np.asarray(cv2.resize(view, (small, small), interpolation=way), dtype=np.uint8)
        view = np.asarray(cv2.resize(view, (side, side)), dtype=np.uint8)
    if rng.random() < chance:
        view = np.asarray(cv2.GaussianBlur(view, (0, 0), rng.uniform(0.4, 1.8)), dtype=np.uint8)
    if rng.random() < chance:
        coarse = max(8, int(side * rng.uniform(0.25, 0.8)))
        grain = rng.standard_normal((coarse, coarse)).astype(np.float32)
        grain = np.asarray(cv2.resize(grain, (side, side)))
        noisy = view * (1 + rng.uniform(0, 0.3) * grain) + rng.uniform(0, 8) * grain
        view = np.clip(noisy, 0, 255).astype(np.uint8)
    if rng.random() < chance:
        quality = int(rng.uniform(20, 85))
        _, data = cv2.imencode(".jpg", view, [cv2.IMWRITE_JPEG_QUALITY, quality])
        view = np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), dtype=np.uint8)
    return view


def _write(view: Pixels, rng: np.random.Generator) -> Pixels:
    """Set letters, calipers and blanked boxes on it."""
    view, side = view.copy(), view.shape[0]
    for _ in range(int(rng.integers(1, 5))):
        x, y = (int(v) for v in rng.uniform(0, side, 2))
        shade = int(rng.choice([0, 0, 255, 200]))
        if rng.random() < 0.5:
            w, h = int(rng.uniform(4, 50)), int(rng.uniform(3, 14))
            cv2.rectangle(view, (x, y), (x + w, y + h), shade, -1)
        else:
            text = "".join(chr(int(c)) for c in rng.integers(33, 122, int(rng.integers(1, 9))))
            cv2.putText(view, text, (x, y), 0, rng.uniform(0.25, 0.6), shade or 255, 1)
    return view


def scramble(square: Pixels, rng: np.random.Generator) -> Pixels:
    """Return the square with its texture and without its anatomy: tiles dealt, or phases drawn."""
    if rng.random() < 0.7:
        return _shuffle_tiles(square, int(rng.integers(3, 8)), rng)
    side = square.shape[0]
    spectrum = np.abs(np.fft.rfft2(square.astype(np.float32)))
    phases = rng.uniform(0, 2 * np.pi, spectrum.shape)
    drawn = np.fft.irfft2(spectrum * np.exp(1j * phases), (side, side))
    lifted = drawn - drawn.min() * rng.uniform(0, 1)
    return np.asarray(np.clip(lifted, 0, 255), dtype=np.uint8)


def _shuffle_tiles(square: Pixels, count: int, rng: np.random.Generator) -> Pixels:
    x, y, w, h = find_box(square)
    tile_w, tile_h = max(1, w // count), max(1, h // count)
    boxes = [(y + r * tile_h, x + c * tile_w) for r in range(count) for c in range(count)]
    shuffled = square.copy()
    for (top, left), k in zip(boxes, rng.permutation(len(boxes)), strict=True):
        from_top, from_left = boxes[k]
        tile = square[from_top : from_top + tile_h, from_left : from_left + tile_w]
        flip = int(rng.integers(-1, 2))
        shuffled[top : top + tile_h, left : left + tile_w] = cv2.flip(tile, flip)
    return shuffled


def invent(side: int, rng: np.random.Generator) -> Pixels:
    """Return what no scanner shows: noise of some grain, flat grey, or a ramp."""
    kind = rng.integers(3)
    if kind == 0:
        grain = int(rng.integers(4, side))
        noise = rng.integers(0, 256, (grain, grain)).astype(np.uint8)
        return np.asarray(cv2.resize(noise, (side, side)), dtype=np.uint8)
    if kind == 1:
        return np.full((side, side), int(rng.integers(0, 256)), dtype=np.uint8)
    low, high = rng.uniform(0, 255, 2).tolist()
    ramp = np.linspace(low, high, side)
    picture = np.broadcast_to(ramp, (side, side)).astype(np.uint8)
    return np.ascontiguousarray(picture if rng.random() < 0.5 else picture.T)
