"""What stands on the trunk's looks: the score, and the planes. Both linear, fitted in seconds.

The score leans on SonoNet's own opinion, which knew none of our sources: what little of it our data
can mend is added, and the more strongly shrunk, the less of a source's habits is learnt.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as ops

from neurosono.engine.gate import OUTPUTS
from neurosono.training.gate.data import GateData, GateRow
from neurosono.training.gate.looks import MADE, SCRAMBLED, Looks
from neurosono.training.gate.recipe import GateRecipe
from neurosono.training.gate.trunk import CLOSING, FAMILIAR, LOOKS
from neurosono.training.squares import PHANTOM

PLANES = ("transthalamic", "transventricular", "transcerebellar", "spine-sagittal", "other")
"""What the second answer tells apart. Learnt on phantoms alone: no real frame said its plane."""
UNTOLD = -1
"""The plane's index where nobody said it."""
OPINIONS = slice(LOOKS - 2 * CLOSING[1], LOOKS - CLOSING[1])
"""SonoNet's 14 answers among the looks."""
ENDS = slice(2 * FAMILIAR, LOOKS)
"""The looks that answers stand on: SonoNet's last two layers. Earlier ones know too much of how a
picture was made."""
HEADS_AND_SPINES = (4, 5, 12, 13)
"""Of the 14: cerebellar and ventricular brain planes, coronal and sagittal spine."""
OPINION_LIMIT = 12.0
LOOK_LIMIT = 5.0
"""Spreads from the mean: what lies further counts no more."""


@dataclass(frozen=True)
class Heads:
    """Linear answers over looks: `mean`, `spread`, `score` (K,), `planes` (P, K), and offsets."""

    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    score: NDArray[np.float64]
    opinion: float
    offset: float
    planes: NDArray[np.float64]
    plane_offsets: NDArray[np.float64]

    def answer(self, values: NDArray[np.float32]) -> "Judged":
        """Return what the graph says of `(N, LOOKS)` looks."""
        placed = place(values, self.mean, self.spread)
        logits = placed @ self.score + self.opinion * hear_opinion(values) + self.offset
        planes = placed @ self.planes.T + self.plane_offsets
        planes = np.exp(planes - planes.max(1, keepdims=True))
        return Judged(
            1 / (1 + np.exp(-logits)), planes / planes.sum(1, keepdims=True), placed[:, :FAMILIAR]
        )


@dataclass(frozen=True)
class Judged:
    """What a gate says of N frames: `(N,)` scores, `(N, P)` planes, `(N, K)` features."""

    scores: NDArray[np.float64]
    planes: NDArray[np.float64]
    features: NDArray[np.float64]

    @classmethod
    def join(cls, parts: Sequence["Judged"]) -> "Judged":
        """Return several as one, in order."""
        return cls(
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.planes for part in parts]),
            np.concatenate([part.features for part in parts]),
        )


def place(
    values: NDArray[np.float32], mean: NDArray[np.float64], spread: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return looks as spreads from their mean, bounded."""
    return np.clip((values - mean) / spread, -LOOK_LIMIT, LOOK_LIMIT)


def hear_opinion(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return SonoNet's own log odds `(N,)` that this is a head or spine, bounded."""
    answers = values[:, OPINIONS].astype(np.float64)
    others = [number for number in range(CLOSING[1]) if number not in HEADS_AND_SPINES]
    odds = _sum_odds(answers[:, HEADS_AND_SPINES]) - _sum_odds(answers[:, others])
    return np.clip(odds, -OPINION_LIMIT, OPINION_LIMIT)


def _sum_odds(answers: NDArray[np.float64]) -> NDArray[np.float64]:
    largest = answers.max(1, keepdims=True)
    return np.asarray(np.log(np.exp(answers - largest).sum(1)) + largest[:, 0])


def plane_index(row: GateRow) -> int:
    """Return the index of a phantom's plane in `PLANES`; `UNTOLD` for real frames."""
    if row.source != PHANTOM:
        return UNTOLD
    return PLANES.index(row.plane) if row.plane in PLANES else PLANES.index("other")


def fit_heads(data: GateData, looks: Looks, rows: NDArray[np.int64], recipe: GateRecipe) -> Heads:
    """Fit to the looks of the frames `rows`, and to those that are of no frame."""
    from sklearn.linear_model import LogisticRegression

    chosen = np.flatnonzero(np.isin(looks.rows, rows) | (looks.kinds == MADE))
    values = looks.values[chosen]
    mean, spread = values.mean(0).astype(np.float64), values.std(0).astype(np.float64) + 1e-3
    placed = place(values, mean, spread)
    truth = tell_truth(data, looks)[chosen]
    weights = weigh(data, looks, chosen, recipe.phantom_share)
    opinion = recipe.opinion * hear_opinion(values)[:, None]
    score = LogisticRegression(C=recipe.freedom, max_iter=300)
    score.fit(np.hstack([placed[:, ENDS], opinion]), truth, weights * len(weights))
    told = _tell_planes(data, looks, chosen)
    planes, offsets = np.zeros((len(PLANES), LOOKS)), np.zeros(len(PLANES))
    if len(np.unique(told[told != UNTOLD])) > 1:
        namer = LogisticRegression(C=recipe.planes_freedom, max_iter=300)
        namer.fit(placed[told != UNTOLD][:, ENDS], told[told != UNTOLD])
        planes, offsets = _spread_planes(namer)
    return Heads(
        mean,
        spread,
        np.append(np.zeros(ENDS.start), score.coef_[0, :-1]),
        float(score.coef_[0, -1] * recipe.opinion),
        float(score.intercept_[0]),
        planes,
        offsets,
    )


def tell_truth(data: GateData, looks: Looks) -> NDArray[np.bool_]:
    """Return `(M,)`: whether each look is of a head or spine with its anatomy."""
    of_frame = (looks.rows >= 0) & (looks.kinds != SCRAMBLED)
    return np.asarray(of_frame & data.positive[np.maximum(looks.rows, 0)])


def weigh(
    data: GateData, looks: Looks, chosen: NDArray[np.int64], phantom_share: float
) -> NDArray[np.float64]:
    """Return weights that sum to 1: heads half; sources by the root of their patients."""
    truth = tell_truth(data, looks)[chosen]
    groups, patients = [], []
    for at in chosen:
        row = data.rows[looks.rows[at]] if looks.rows[at] >= 0 else None
        own = row is not None and looks.kinds[at] != SCRAMBLED
        groups.append(f"{row.source}/{row.label}" if own and row else f"kind {looks.kinds[at]}")
        patients.append(row.patient if own and row else str(at))
    group, patient = np.array(groups), np.array(patients)
    weights = np.zeros(len(chosen))
    for name in np.unique(group):
        inside = group == name
        _, number, count = np.unique(patient[inside], return_inverse=True, return_counts=True)
        each = 1 / count[number]
        weights[inside] = each / np.sqrt(each.sum())
    phantom = np.char.startswith(group, f"{PHANTOM}/")
    for right in (True, False):
        side = truth == right
        for kind, share in ((phantom, phantom_share), (~phantom, 1 - phantom_share)):
            if (side & kind).any():
                weights[side & kind] *= share / weights[side & kind].sum()
        weights[side] *= 0.5 / max(weights[side].sum(), 1e-12)
    return weights


def _tell_planes(data: GateData, looks: Looks, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    known = [
        plane_index(data.rows[looks.rows[at]])
        if looks.rows[at] >= 0 and looks.kinds[at] != SCRAMBLED
        else UNTOLD
        for at in chosen
    ]
    return np.array(known)


def _spread_planes(namer: object) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights for every plane; one that was never told is never named."""
    planes, offsets = np.zeros((len(PLANES), LOOKS)), np.full(len(PLANES), -30.0)
    classes, weights, biases = (
        np.asarray(getattr(namer, n)) for n in ("classes_", "coef_", "intercept_")
    )
    if len(classes) == 2:
        weights, biases = np.vstack([-weights, weights]) / 2, np.r_[-biases, biases] / 2
    planes[classes, ENDS], offsets[classes] = weights, biases
    return planes, offsets


def attach(trunk: ov.Model, heads: Heads) -> ov.Model:
    """Return the gate's graph: the trunk's input, and `OUTPUTS` of its looks."""
    model = trunk.clone()
    looks = model.output(0).get_node().input_value(0)
    single = np.float32
    apart = ops.subtract(looks, heads.mean[None].astype(single))
    placed = ops.clamp(
        ops.divide(apart, heads.spread[None].astype(single)), -LOOK_LIMIT, LOOK_LIMIT
    )
    answers = ops.strided_slice(
        looks, [0, OPINIONS.start], [1, OPINIONS.stop], [1, 1], [0, 0], [0, 0]
    )
    others = [number for number in range(CLOSING[1]) if number not in HEADS_AND_SPINES]
    odds = ops.subtract(_add_odds(answers, HEADS_AND_SPINES), _add_odds(answers, others))
    opinion = ops.multiply(ops.clamp(odds, -OPINION_LIMIT, OPINION_LIMIT), single(heads.opinion))
    logit = ops.matmul(placed, heads.score[:, None].astype(single), False, False)
    logit = ops.add(ops.add(logit, opinion), single(heads.offset))
    planes = ops.matmul(placed, heads.planes.astype(single), False, True)
    planes = ops.add(planes, heads.plane_offsets[None].astype(single))
    features = ops.strided_slice(placed, [0, 0], [1, FAMILIAR], [1, 1], [0, 0], [0, 0])
    outputs = (ops.sigmoid(logit), ops.softmax(planes, 1), features)
    made = ov.Model([each.output(0) for each in outputs], model.get_parameters(), "gate")
    for output, name in zip(made.outputs, OUTPUTS, strict=True):
        output.get_tensor().set_names({name})
    return made


def _add_odds(answers: ov.Node, numbers: Sequence[int]) -> ov.Node:
    picked = ops.gather(answers, np.array(numbers, dtype=np.int64), np.int64(1))
    largest = ops.reduce_max(picked, [1], True)
    total = ops.reduce_sum(ops.exp(ops.subtract(picked, largest)), [1], True)
    return ops.add(ops.log(total), largest)
