"""Which picture comes next: kinds by their shares of a batch, planes and patients evenly."""

from collections import Counter

import numpy as np

from neurosono.engine.contracts.arrays import Floats, Integers
from neurosono.engine.patterns.names import FINDINGS
from neurosono.engine.structures.names import NO_HEAD
from neurosono.training.detect.data import DetectData
from neurosono.training.detect.rows import Row
from neurosono.training.squares import PHANTOM


def kind_of(row: Row) -> str:
    """Return which of a subject's shares a picture belongs to."""
    if row.source == PHANTOM:
        return "phantom, finding" if find_finding(row) else "phantom"
    if row.boxes:
        upright = any(each.upright for each in row.boxes)
        return "real, upright marks" if upright else "real, marked"
    if row.plane == NO_HEAD:
        return "real, no head"
    return "real, plane told" if row.plane else "real, head's ellipse"


def find_finding(row: Row) -> str:
    """Return the finding that a picture shows, "" without any."""
    return next((each.label for each in row.boxes if each.label in FINDINGS), "")


class Deck:
    """Deals rows of `data` among `rows`."""

    def __init__(self, data: DetectData, rows: Integers) -> None:
        self.rows = rows
        kinds = np.array([kind_of(data.rows[row]) for row in rows])
        shares = data.subject.shares
        self._kinds = {name: rows[kinds == name] for name in shares if (kinds == name).any()}
        self._weights = {name: _weigh(data, found) for name, found in self._kinds.items()}
        total = sum(shares[name] for name in self._kinds)
        self.shares = {name: shares[name] / total for name in self._kinds}

    def count_planes(self, data: DetectData) -> dict[str, float]:
        """Return which share of what is dealt is a real picture of each plane."""
        found: dict[str, float] = {}
        for kind, rows in self._kinds.items():
            for row, weight in zip(rows, self._weights[kind], strict=True):
                each = data.rows[row]
                if each.plane and each.source != PHANTOM:
                    found[each.plane] = found.get(each.plane, 0) + self.shares[kind] * weight
        return found

    def chances(self) -> Floats:
        """Return how likely each of `rows` is to be dealt, (R,)."""
        found = dict[int, float]()
        for kind, rows in self._kinds.items():
            each = self.shares[kind] * self._weights[kind]
            found.update(zip(rows.tolist(), each.tolist(), strict=True))
        return np.array([found.get(row, 0.0) for row in self.rows.tolist()])

    def deal(self, rng: np.random.Generator) -> int:
        """Return a row."""
        kind = list(self.shares)[int(rng.choice(len(self.shares), p=list(self.shares.values())))]
        return int(rng.choice(self._kinds[kind], p=self._weights[kind]))


def _weigh(data: DetectData, rows: Integers) -> Floats:
    """Return how often each row comes: planes alike but by a root, a patient's pictures less.

    Of pictures that show findings, findings count as planes do of others.
    """
    planes = [find_finding(data.rows[row]) or data.rows[row].plane for row in rows]
    patients = Counter(data.rows[row].patient for row in rows)
    many = Counter(planes)
    found = np.array(
        [
            many[plane] ** -0.5 * patients[data.rows[row].patient] ** -0.5
            for row, plane in zip(rows, planes, strict=True)
        ]
    )
    return np.asarray(found / found.sum())
