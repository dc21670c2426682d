"""A bundle's gate on data of other patients, judged as a replay judges."""

import numpy as np
from numpy.typing import NDArray

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.gate import GateEntry
from neurosono.engine.gate import Gate
from neurosono.training.gate.data import GateData
from neurosono.training.gate.metrics import Answers, describe_gate


def evaluate_gate(where: str, data: GateData) -> dict[str, object]:
    """Return the figures of `describe_gate`; raises `InputError` where the bundle has no gate."""
    gate, entry = _open(where)
    found = [gate.measure(np.asarray(frame)) for frame in data.frames]
    answers = Answers(
        np.arange(len(found)),
        np.array([score for score, _, _ in found]),
        np.array([unfamiliarity for _, unfamiliarity, _ in found]),
        np.stack([planes for _, _, planes in found]),
    )
    return describe_gate(data, answers, entry.threshold, entry.unfamiliar, entry.plane_limits)


def count_refused(where: str, pictures: NDArray[np.uint8]) -> int:
    """Return how many of `(N, S, S)` uint8 pictures the bundle's gate refuses, for any reason."""
    gate, _ = _open(where)
    return sum(gate.judge(picture).refusal is not None for picture in pictures)


def _open(where: str) -> tuple[Gate, GateEntry]:
    bundle = Bundle.load(where)
    gate, entry = Gate.open(bundle), bundle.manifest.gate
    if gate is None or entry is None:
        raise InputError(
            f"bundle {where} has no gate: add one with `neurosono train gate add BUNDLE GATE`"
        )
    return gate, entry
