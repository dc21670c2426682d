"""A bundle's gate on data of other patients, judged as a replay judges."""

import numpy as np

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.gate import Gate
from neurosono.training.gate.data import GateData
from neurosono.training.gate.metrics import Answers, describe_gate


def evaluate_gate(where: str, data: GateData) -> dict[str, object]:
    """Return the figures of `describe_gate`; raises `InputError` where the bundle has no gate."""
    bundle = Bundle.load(where)
    gate, entry = Gate.open(bundle), bundle.manifest.gate
    if gate is None or entry is None:
        raise InputError(
            f"bundle {where} has no gate: add one with `neurosono train gate add BUNDLE GATE`"
        )
    found = [gate.measure(np.asarray(frame)) for frame in data.frames]
    answers = Answers(
        np.arange(len(found)),
        np.array([score for score, _, _ in found]),
        np.array([unfamiliarity for _, unfamiliarity, _ in found]),
        np.stack([planes for _, _, planes in found]),
    )
    return describe_gate(data, answers, entry.threshold, entry.unfamiliar, entry.plane_limits)
