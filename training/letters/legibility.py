"""How much of burned-in names a blanking leaves to read, and how much anatomy it costs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Flags, Pixels
from neurosono.training.letters.fit import Background
from neurosono.training.letters.typefaces import Typeface, make_words
from neurosono.training.letters.writing import HERSHEY, burn, degrade, draw_style, set_line

Boxes = Sequence[tuple[int, int, int, int]]

LEGIBLE_SHARE = 0.25
"""Of a name's strokes: with more of them left, some of it can be read (two letters of eight)."""
DIMMEST = 6
"""Grey levels, softened, of what is inside the ultrasound."""
LIT_LEVEL = 40
"""Mean grey level under a name from which it stands over lit tissue."""


@dataclass(frozen=True)
class Name:
    """A name that was burned in: its size, what it stood on, the share left of its strokes."""

    size_px: int
    ground: float
    left: float

    @property
    def is_legible(self) -> bool:
        """Whether some of it can still be read."""
        return self.left > LEGIBLE_SHARE

    @property
    def is_lit(self) -> bool:
        """Whether it stood over lit tissue."""
        return self.ground >= LIT_LEVEL


def where_lit(ground: Background) -> Flags:
    """Return where there is ultrasound, and no letters already, on a picture to write on."""
    soft = (cv2.blur(ground.pixels, (9, 9)) > DIMMEST).astype(np.uint8)
    whole = np.asarray(cv2.morphologyEx(soft, cv2.MORPH_CLOSE, np.ones((25, 25), np.uint8)))
    return np.asarray((whole > 0) & ~ground.unsure)


def burn_name(
    ground: Pixels, inside: Flags, face: Typeface | int, rng: np.random.Generator
) -> tuple[Pixels, Flags, int, float] | None:
    """Write one name on a copy of a picture, wholly where `inside` is; None where it finds no room.

    Returns the picture as a codec leaves it, where the strokes are, the font's size in pixels, and
    the mean level that was under them.
    """
    style = draw_style(rng, (11.0, 60.0))
    words = "AB CDE" if isinstance(face, int) else make_words(rng, face, 16)
    if isinstance(face, int):
        words = "".join(chr(int(c)) for c in rng.integers(65, 91, int(rng.integers(5, 12))))
    line = set_line(words, face, style)
    if line is None:
        return None
    h, w = line.strokes.shape
    for _ in range(30):
        if ground.shape[0] <= h or ground.shape[1] <= w:
            return None
        x, y = int(rng.integers(ground.shape[1] - w)), int(rng.integers(ground.shape[0] - h))
        if inside[y : y + h, x : x + w].all():
            picture = ground.copy()
            under = float(ground[y : y + h, x : x + w].mean())
            strokes = burn(picture, line, style, (x, y))
            return degrade(picture, rng), strokes, style.size_px, under
    return None


def measure_names(
    grounds: Sequence[tuple[Pixels, Flags]],
    faces: Sequence[Typeface],
    find: Callable[[Pixels], Boxes],
    count: int,
    seed: int = 0,
) -> list[Name]:
    """Burn names into pictures, each with where it may stand, and say what a blanking leaves."""
    rng = np.random.default_rng(seed)
    names: list[Name] = []
    for _ in range(20 * count):
        ground, inside = grounds[int(rng.integers(len(grounds)))]
        pick = rng.random() < 0.2
        face = int(rng.choice(HERSHEY)) if pick else faces[int(rng.integers(len(faces)))]
        written = burn_name(ground, inside, face, rng)
        if written is None:
            continue
        picture, strokes, size, under = written
        left = strokes & ~cover(find(picture), picture.shape)
        names.append(Name(size, under, float(left.sum() / max(1, strokes.sum()))))
        if len(names) == count:
            break
    return names


def measure_hidden(
    grounds: Sequence[tuple[Pixels, Flags]], find: Callable[[Pixels], Boxes]
) -> list[float]:
    """Return the share of each picture's bare anatomy (where the mask is) that is hidden."""
    return [
        float((cover(find(ground), ground.shape) & inside).sum() / max(1, inside.sum()))
        for ground, inside in grounds
    ]


def cover(boxes: Boxes, shape: tuple[int, ...]) -> Flags:
    """Return what the boxes hide, `(h, w)`."""
    hidden = np.zeros(shape[:2], dtype=np.uint8)
    for x, y, w, h in boxes:
        cv2.rectangle(hidden, (x, y), (x + w - 1, y + h - 1), 1, -1)
    return hidden > 0
