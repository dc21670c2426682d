"""Small real gates: random weights, made and built the way real ones are."""

import functools
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np

from neurosono.engine.builders.openvino import quantise
from neurosono.engine.contracts.gate import STATISTICS_NAME
from neurosono.engine.gate import Familiarity
from neurosono.engine.gate_folder import write_entry
from neurosono.training.gate.build import judge_built, write_graph
from neurosono.training.gate.heads import PLANES, Heads
from neurosono.training.gate.trunk import (
    CLOSING,
    FRONT,
    LOOKS,
    PARAMETERS,
    STAGES,
    Trunk,
    build_trunk,
)


def write_trunk(path: Path, seed: int = 0) -> Path:
    """Write random weights as SonoNet's authors wrote theirs."""
    rng = np.random.default_rng(seed)
    arrays, before = [], 1
    kernels = [(c, 3) for stage in STAGES for c in stage] + [(c, 1) for c in CLOSING]
    for channels, kernel in kernels:
        spread = (2 / (before * kernel**2)) ** 0.5
        arrays.append(rng.normal(0, spread, (channels, before, kernel, kernel)))
        arrays += [np.zeros(channels), np.ones(channels), np.zeros(channels), np.ones(channels)]
        before = channels
    # The first layer takes levels of hundreds, as the real one does.
    arrays[PARAMETERS - 1] = np.full(STAGES[0][0], 1 / 255)
    np.savez(path, *(each.astype(np.float32) for each in arrays))
    return path


def draw_heads(seed: int = 0) -> Heads:
    """Return random answers over looks."""
    rng = np.random.default_rng(seed)
    score, planes = rng.normal(0, 0.02, LOOKS), rng.normal(0, 0.02, (len(PLANES), LOOKS))
    return Heads(np.zeros(LOOKS), np.ones(LOOKS), score, 0.1, 0.0, planes, np.zeros(len(PLANES)))


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
    noise = np.random.default_rng(0).integers(0, 256, (32, size_px, size_px), dtype=np.uint8)
    trunk = Trunk.load(write_trunk(Path(keep.name) / "trunk.npz"))
    graph = quantise(build_trunk(trunk, size_px), noise[:4], exact=f"{FRONT}/.*")
    write_graph(folder, graph, draw_heads())
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
