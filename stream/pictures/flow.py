"""Whether colour or power Doppler is laid over a picture.

Words, calipers, arrows, focus marks and logos are coloured too. Each coloured piece is judged by
what it looks like (`pieces`), by trees taught on painted flow and coloured writing; `flow.md`
beside them says on what.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from neurosono.engine.contracts.arrays import Flags, Floats
from neurosono.stream.pictures.colour import Coloured
from neurosono.stream.pictures.pieces import describe_pieces

Box = tuple[int, int, int, int]

CHANCE = 0.85
"""From which a piece is flow."""
FLOW_SHARE = 0.001
"""Of the lit pixels that must be flow: of 800 x 600 some 250, as a vessel of 8 by 30."""


class Forest:
    """Boosted trees in a file: arrays `(trees, nodes)` of what is asked, and of the answers."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def _parts(self) -> dict[str, Floats]:
        with np.load(self._path, allow_pickle=False) as held:
            return {name: held[name] for name in held.files}

    def judge(self, features: Floats) -> Floats:
        """Return the chance, 0 to 1, that each piece, a row of `FEATURES`, is flow."""
        parts = self._parts
        trees = np.arange(parts["feature"].shape[0])[None, :]
        at = np.zeros((len(features), trees.size), dtype=np.int64)
        for _ in range(int(parts["depth"])):
            asked = parts["feature"][trees, at]
            value = np.take_along_axis(features, np.maximum(asked, 0).astype(np.int64), axis=1)
            lower = value <= parts["threshold"][trees, at]
            child = np.where(lower, parts["left"][trees, at], parts["right"][trees, at])
            at = np.where(asked < 0, at, child.astype(np.int64))
        raw = parts["value"][trees, at].sum(axis=1) + float(parts["start"])
        return np.asarray(1 / (1 + np.exp(-raw)))


_FOREST = Forest(Path(__file__).with_name("flow.npz"))


def shows_flow(seen: Coloured, mask: Flags, text: Sequence[Box]) -> bool:
    """Whether enough of a mask of what is coloured is flow."""
    if np.count_nonzero(mask) < FLOW_SHARE * seen.lit:
        return False
    features, sizes, _ = describe_pieces(seen, mask, mark_text(text, mask.shape, seen.step))
    return is_flow(_FOREST, features, sizes, seen.lit)


def is_flow(forest: Forest, features: Floats, sizes: Floats, lit: int) -> bool:
    """Whether enough of the pieces of a picture with `lit` pixels are flow."""
    if float(sizes.sum()) < FLOW_SHARE * lit or not len(sizes):
        return False
    return float(sizes[forest.judge(features) > CHANCE].sum()) >= FLOW_SHARE * lit


def mark_text(text: Sequence[Box], shape: tuple[int, ...], step: int) -> Flags:
    """Return where on every `step`-th pixel, `(h, w)`, the boxes of a whole picture lie."""
    marked = np.zeros(shape, dtype=np.bool_)
    for x, y, w, h in text:
        rows = slice(max(0, y) // step, -(-(y + h) // step))
        marked[rows, max(0, x) // step : -(-(x + w) // step)] = True
    return marked
