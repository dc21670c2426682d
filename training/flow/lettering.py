"""Coloured words in many fonts, and logos: what must never be taken for flow."""

from collections.abc import Sequence

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Floats, Pixels
from neurosono.training.letters.typefaces import Typeface, make_words
from neurosono.training.letters.writing import HERSHEY, Style, set_line

SIZES_PX = (9.0, 80.0)


def write_words(picture: Pixels, rng: np.random.Generator, faces: Sequence[Typeface]) -> None:
    """Write a few lines in one colour each, some shaded like a logo, on `(h, w, 3)`, in place."""
    height, width = picture.shape[:2]
    for _ in range(rng.integers(1, 7)):
        size = int(np.exp(rng.uniform(*np.log(SIZES_PX))))
        size = int(rng.uniform(*SIZES_PX)) if rng.random() < 0.5 else size
        outline = 0 if rng.random() < 0.3 else None
        style = Style(size, 255, outline, crisp=bool(rng.random() < 0.2))
        fonts = rng.random() < 0.8
        face = faces[int(rng.integers(len(faces)))] if fonts else faces[0]
        line = set_line(make_words(rng, face), face if fonts else int(rng.choice(HERSHEY)), style)
        if line is None:
            continue
        h, w = line.strokes.shape
        x = int(rng.integers(0, max(1, width - w // 2)))
        y = int(rng.integers(0, max(1, height - h)))
        part = picture[y : y + h, x : x + w].astype(np.float64)
        strokes, edges = (
            s[: part.shape[0], : part.shape[1], None] / 255 for s in (line.strokes, line.edges)
        )
        if outline is not None:
            part *= 1 - edges
        alpha = strokes * (rng.uniform(0.6, 1) if rng.random() < 0.2 else 1)
        part = part * (1 - alpha) + _ink(part.shape[:2], rng) * alpha
        picture[y : y + h, x : x + w] = np.rint(part).astype(np.uint8)
    if rng.random() < 0.25:
        _logo(picture, rng)


def _ink(shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    one, other = _saturated(rng), _saturated(rng)
    if rng.random() < 0.9:
        return np.asarray(np.broadcast_to(one, (*shape, 3)), dtype=np.float64)
    fade = np.linspace(0, 1, shape[0])[:, None, None]
    return np.asarray(np.broadcast_to(one * (1 - fade) + other * fade, (*shape, 3)))


def _saturated(rng: np.random.Generator) -> Floats:
    hue = int(rng.integers(180))
    if rng.random() < 0.6:  # red, orange or blue, as flow is
        hue = int(rng.choice([rng.integers(0, 25), rng.integers(95, 126), rng.integers(170, 180)]))
    hsv = np.array([[[hue, rng.integers(90, 256), rng.integers(120, 256)]]], np.uint8)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0], dtype=np.float64)


def _logo(picture: Pixels, rng: np.random.Generator) -> None:
    """Draw a disc or a plate that fades from one colour to another."""
    height, width = picture.shape[:2]
    side = int(rng.integers(10, 40))
    x, y = int(rng.integers(0, width - 2 * side)), int(rng.integers(0, height - side))
    shape = np.zeros((side, 2 * side), np.uint8)
    if rng.random() < 0.5:
        cv2.circle(shape, (side, side // 2), side // 2 - 1, 255, -1, cv2.LINE_AA)
    else:
        shape[:] = 255
    cover = shape[..., None] / 255
    part = picture[y : y + side, x : x + 2 * side]
    part[:] = np.rint(part * (1 - cover) + _ink(shape.shape, rng) * cover).astype(np.uint8)
    cv2.putText(picture, "EC", (x + side // 3, y + 2 * side // 3), 2, side / 40, (255, 255, 255), 1)
