"""Small real gates: random weights, made and built the way real ones are."""

import functools
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch

from neurosono.engine.contracts.gate import STATISTICS_NAME
from neurosono.engine.gate import Familiarity
from neurosono.engine.gate_folder import write_entry
from neurosono.training.gate.build import judge_built, write_graph
from neurosono.training.gate.network import GateNetwork
from neurosono.training.gate.train import PLANES


def make_gate(folder: Path, size_px: int = 64, **changes: object) -> Path:
    """Write a gate of random weights to which noise is familiar and white is not.

    `changes` are of `gate.json`; with a threshold of 0.001 all pass, with 0.999 none. Returns
    `folder`.
    """
    shutil.copytree(_build(size_px), folder)
    path = folder / "gate.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


@functools.cache
def _build(size_px: int) -> Path:
    """Make a gate once for all tests of a process: quantising takes seconds."""
    keep = tempfile.TemporaryDirectory()
    _KEPT.append(keep)
    folder = Path(keep.name) / "gate"
    torch.manual_seed(0)
    network = GateNetwork(len(PLANES)).train()
    noise = np.random.default_rng(0).integers(0, 256, (32, size_px, size_px), dtype=np.uint8)
    with torch.no_grad():
        for _ in range(20):
            network(torch.from_numpy(noise).unsqueeze(1))
    write_graph(folder, network.eval(), noise[:4])
    features = judge_built(folder, noise).features
    scale = features.std(0) + 1e-3
    whitening, means = np.diag(1 / scale), (features.mean(0) / scale)[None]
    any_rank = np.array([0.0, 1.0])
    far = float(Familiarity(whitening, means, any_rank, any_rank).measure(features).max())
    ranks = np.array([0.0, far, 3 * far]), np.array([0.0, 0.8, 1.0])
    Familiarity(whitening, means, *ranks).save(folder / STATISTICS_NAME)
    write_entry(
        folder,
        threshold=0.001,
        unfamiliar=0.9,
        planes=PLANES,
        plane_limits=(0.01,) * len(PLANES),
        card={"what": "tests"},
    )
    return folder


_KEPT: list[tempfile.TemporaryDirectory[str]] = []
"""Removed when the process ends."""
