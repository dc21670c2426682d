"""Pictures that no scanner shows: noise, clouds, overlapping shapes, drawings, text, ramps."""

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Floats, Pixels


def draw_unlike(count: int, size_px: int, seed: int = 0) -> Pixels:
    """Return `(count, size_px, size_px)` uint8 pictures, the kinds in turn."""
    rng = np.random.default_rng([seed, 11])
    kinds = (_noise, _clouds, _leaves, _drawing, _text, _ramp)
    return np.stack([kinds[number % len(kinds)](size_px, rng) for number in range(count)])


def _noise(side: int, rng: np.random.Generator) -> Pixels:
    grain = int(rng.integers(4, side + 1))
    levels = rng.integers(0, 256, (grain, grain)).astype(np.uint8)
    way = cv2.INTER_NEAREST if rng.random() < 0.5 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(levels, (side, side), interpolation=way), dtype=np.uint8)


def _clouds(side: int, rng: np.random.Generator) -> Pixels:
    """Draw random phases under a spectrum that falls as natural pictures' do (Field 1987)."""
    across, down = np.fft.rfftfreq(side), np.fft.fftfreq(side)
    frequency = np.maximum(np.hypot(across[None], down[:, None]), 1 / side)
    phases = rng.uniform(0, 2 * np.pi, frequency.shape)
    fall = rng.uniform(0.8, 2.2)
    drawn = np.fft.irfft2(frequency**-fall * np.exp(1j * phases), (side, side))
    return _spread(drawn, rng)


def _leaves(side: int, rng: np.random.Generator) -> Pixels:
    """Let discs and boxes of every size fall on each other, as things stand before each other."""
    picture = np.full((side, side), int(rng.integers(0, 256)), dtype=np.uint8)
    for _ in range(int(rng.integers(20, 300))):
        x, y = (int(v) for v in rng.uniform(0, side, 2))
        reach = int(min(side / 2, 3 / max(rng.random(), 0.01)))
        shade = int(rng.integers(0, 256))
        if rng.random() < 0.5:
            cv2.circle(picture, (x, y), reach, shade, -1, cv2.LINE_AA)
        else:
            cv2.rectangle(picture, (x - reach, y - reach), (x + reach, y + reach // 2), shade, -1)
    if rng.random() < 0.5:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 3)), dtype=np.uint8)
    return picture


def _drawing(side: int, rng: np.random.Generator) -> Pixels:
    ground = int(rng.choice([0, 255, int(rng.integers(0, 256))]))
    picture = np.full((side, side), ground, dtype=np.uint8)
    for _ in range(int(rng.integers(2, 40))):
        ends = rng.integers(0, side, 4).tolist()
        shade, width = int(rng.integers(0, 256)), int(rng.integers(1, 5))
        if rng.random() < 0.6:
            cv2.line(picture, tuple(ends[:2]), tuple(ends[2:]), shade, width, cv2.LINE_AA)
        else:
            axes = (ends[2] // 3 + 1, ends[3] // 3 + 1)
            turn = int(rng.integers(0, 180))
            cv2.ellipse(picture, tuple(ends[:2]), axes, turn, 0, 360, shade, width, cv2.LINE_AA)
    return picture


def _text(side: int, rng: np.random.Generator) -> Pixels:
    paper = int(rng.choice([0, 20, 235, 255]))
    picture = np.full((side, side), paper, dtype=np.uint8)
    size = rng.uniform(0.25, 1.2)
    for y in range(int(20 * size), side, max(6, int(28 * size))):
        line = "".join(chr(int(c)) for c in rng.integers(33, 122, int(rng.integers(2, 40))))
        cv2.putText(picture, line, (4, y), int(rng.integers(0, 4)), size, 255 - paper, 1)
    return picture


def _ramp(side: int, rng: np.random.Generator) -> Pixels:
    steps = np.linspace(0, 1, side)
    down, across = rng.uniform(-1, 1, 2)
    waves = 0.3 * np.sin(steps * rng.uniform(0, 40)) if rng.random() < 0.5 else 0.0
    return _spread(down * steps[:, None] + across * steps[None] + waves, rng)


def _spread(field: Floats, rng: np.random.Generator) -> Pixels:
    low, high = field.min(), field.max()
    levels = (field - low) / max(high - low, 1e-9) * rng.uniform(40, 255)
    return np.asarray(np.clip(levels + rng.uniform(-20, 60), 0, 255), dtype=np.uint8)
