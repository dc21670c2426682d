"""Which picture comes next: kinds by their shares of a batch, planes and patients evenly."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from neurosono.engine.structures.names import NO_HEAD
from neurosono.training.detect.data import DetectData
from neurosono.training.detect.rows import Row
from neurosono.training.squares import PHANTOM

SHARES = {
    "real, marked": 0.20,
    "real, upright marks": 0.03,
    "real, plane told": 0.44,
    "real, head's ellipse": 0.12,
    "real, no head": 0.06,
    "phantom": 0.15,
}
"""Of each batch. Real pictures carry the goals; phantoms the structures that nobody marked. Upright
marks tell what stands somewhere, not its shape, and are of few pictures."""


def kind_of(row: Row) -> str:
    """Return which of `SHARES` a picture belongs to."""
    if row.source == PHANTOM:
        return "phantom"
    if row.boxes:
        upright = any(each.upright for each in row.boxes)
        return "real, upright marks" if upright else "real, marked"
    if row.plane == NO_HEAD:
        return "real, no head"
    return "real, plane told" if row.plane else "real, head's ellipse"


class Deck:
    """Deals rows of `data` among `rows`."""

    def __init__(self, data: DetectData, rows: NDArray[np.int64]) -> None:
        self.rows = rows
        kinds = np.array([kind_of(data.rows[row]) for row in rows])
        self._kinds = {name: rows[kinds == name] for name in SHARES if (kinds == name).any()}
        self._weights = {name: _weigh(data, found) for name, found in self._kinds.items()}
        total = sum(SHARES[name] for name in self._kinds)
        self.shares = {name: SHARES[name] / total for name in self._kinds}

    def count_planes(self, data: DetectData) -> dict[str, float]:
        """Return which share of what is dealt is a real picture of each plane."""
        found: dict[str, float] = {}
        for kind, rows in self._kinds.items():
            for row, weight in zip(rows, self._weights[kind], strict=True):
                each = data.rows[row]
                if each.plane and each.source != PHANTOM:
                    found[each.plane] = found.get(each.plane, 0) + self.shares[kind] * weight
        return found

    def deal(self, rng: np.random.Generator) -> int:
        """Return a row."""
        kind = list(self.shares)[int(rng.choice(len(self.shares), p=list(self.shares.values())))]
        return int(rng.choice(self._kinds[kind], p=self._weights[kind]))


def _weigh(data: DetectData, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return how often each row comes: planes alike but by a root, a patient's pictures less."""
    planes = [data.rows[row].plane for row in rows]
    patients = Counter(data.rows[row].patient for row in rows)
    many = Counter(planes)
    found = np.array(
        [
            many[plane] ** -0.5 * patients[data.rows[row].patient] ** -0.5
            for row, plane in zip(rows, planes, strict=True)
        ]
    )
    return np.asarray(found / found.sum())
