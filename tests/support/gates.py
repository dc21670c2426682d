"""Small real gates: random weights, made and built the way real ones are."""

from pathlib import Path

import numpy as np
import torch

from engine.contracts.gate import STATISTICS_NAME
from engine.gate import Familiarity
from engine.gate_folder import write_entry
from training.gate_build import judge_built, write_graph
from training.gate_network import GateNetwork
from training.gate_train import PLANES


def make_gate(
    folder: Path, size_px: int = 64, threshold: float = 0.5, unfamiliar: float = 0.9, seed: int = 0
) -> Path:
    """Write a gate of random weights that finds flat grey strange; returns `folder`.

    Its score is the same for all squares up to a little: choose `threshold` to let all or none by.
    """
    torch.manual_seed(seed)
    network = GateNetwork(len(PLANES))
    network.train()
    noise = np.random.default_rng(seed).integers(0, 256, (32, size_px, size_px), dtype=np.uint8)
    with torch.no_grad():
        for _ in range(20):
            network(torch.from_numpy(noise).unsqueeze(1))
    write_graph(folder, network.eval(), noise[:8])
    features = judge_built(folder, noise).features
    scale = features.std(0) + 1e-3
    whitening = np.diag(1 / scale)
    means = (features.mean(0) / scale)[None]
    far = float(Familiarity(whitening, means, *[np.array([0.0, 1.0])] * 2).measure(features).max())
    ranks = np.array([0.0, far, 3 * far]), np.array([0.0, 0.8, 1.0])
    Familiarity(whitening, means, *ranks).save(folder / STATISTICS_NAME)
    write_entry(folder, threshold, unfamiliar, PLANES, {"what": "tests"})
    return folder
