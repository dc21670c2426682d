"""How strange is strange: fits the distance of features, and the share of heads that are nearer."""

import numpy as np

from neurosono.engine.contracts.arrays import Floats, Integers, Words
from neurosono.engine.gate import Familiarity
from neurosono.training.gate.data import GateData

SHRINKAGE = 0.02
"""Of the covariance towards its mean variance: 168 features of some thousand frames, many of whose
directions are nearly empty; it bounds how much a direction that hardly varied can count."""

KNOTS = np.concatenate([np.linspace(0, 0.95, 20), np.linspace(0.955, 1, 46)])
"""Shares at which distances are kept: every tenth of a percent at the strange end."""


def group_names(data: GateData, rows: Integers) -> Words:
    """Return `(N,)` groups: real and phantom frames of each label."""
    found = [data.rows[row] for row in rows]
    return np.array([f"{row.source == 'phantom'}-{row.label}" for row in found])


def fit_whitening(features: Floats, groups: Words) -> tuple[Floats, Floats]:
    """Return the `(K, K)` whitening of what varies within groups, and the whitened group means."""
    names = np.unique(groups)
    means = np.stack([features[groups == name].mean(0) for name in names])
    apart = features - means[np.searchsorted(names, groups)]
    # Scaled first: the stages' channels live on scales of their own.
    scale = apart.std(0) + 1e-6
    covariance = np.cov((apart / scale).T)
    shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.eye(len(scale))
    values, vectors = np.linalg.eigh(shrunk)
    whitening = (vectors / np.sqrt(values)) / scale[:, None]
    return whitening, means @ whitening


def measure(whitening: Floats, means: Floats, features: Floats) -> Floats:
    """Return `(N,)` distances to the nearest group, as the engine measures them."""
    anything = np.array([0.0, 1.0])
    return Familiarity(whitening, means, anything, anything).measure(features)


def fit_ranks(real: Floats, phantom: Floats) -> tuple[Floats, Floats]:
    """Return ascending distances and the share of held-out heads and spines that are nearer.

    The share is the smaller of the real and the phantom one: a limit at 0.997 then refuses at most
    0.3 % of either kind.
    """
    each = [kind for kind in (real, phantom) if len(kind)]
    distances = np.max([np.quantile(kind, KNOTS) for kind in each], axis=0)
    distances, first = np.unique(distances, return_index=True)
    return distances, KNOTS[first]
