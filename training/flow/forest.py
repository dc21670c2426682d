"""Boosted trees that tell pieces of flow from pieces of writing, as plain arrays."""

from pathlib import Path
from typing import cast

import numpy as np

from neurosono.engine.contracts.arrays import Floats

TREES, LEAVES, RATE = 160, 12, 0.08
FLOW_SHARE, WRITTEN_SHARE = 0.5, 0.02
"""Of a piece's pixels that flow was painted on: from the one on it is flow, up to the other it is
not; what lies between teaches nothing."""


def teach(features: Floats, shares: Floats, sizes: Floats, seed: int = 0) -> dict[str, Floats]:
    """Return trees taught on pieces: what they look like, which share of them is flow, their size.

    Large pieces count for more, as they do when a picture is judged.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    sure = (shares > FLOW_SHARE) | (shares < WRITTEN_SHARE)
    trees = HistGradientBoostingClassifier(
        max_iter=TREES,
        learning_rate=RATE,
        max_leaf_nodes=LEAVES,
        l2_regularization=5.0,
        early_stopping=False,
        random_state=seed,
    )
    trees.fit(features[sure], shares[sure] > FLOW_SHARE, sample_weight=np.sqrt(sizes[sure]))
    return _flatten(trees)


def write_trees(trees: dict[str, Floats], path: Path) -> None:
    """Write them as a finder of flow reads them."""
    np.savez_compressed(path, **trees)  # type: ignore[arg-type]


def _flatten(trees: object) -> dict[str, Floats]:
    """Return the trees' nodes as arrays `(trees, nodes)`; a leaf asks for feature -1."""
    nodes = [rounds[0].nodes for rounds in trees._predictors]  # type: ignore[attr-defined]
    shape = (len(nodes), max(len(each) for each in nodes))
    parts = {name: np.zeros(shape, np.int16) for name in ("feature", "left", "right")}
    values = {name: np.zeros(shape, np.float32) for name in ("threshold", "value")}
    for k, each in enumerate(nodes):
        leaf, n = each["is_leaf"] > 0, len(each)
        parts["feature"][k, :n] = np.where(leaf, -1, each["feature_idx"])
        parts["left"][k, :n] = np.where(leaf, 0, each["left"])
        parts["right"][k, :n] = np.where(leaf, 0, each["right"])
        values["threshold"][k, :n] = np.where(leaf, 0, each["num_threshold"])
        values["value"][k, :n] = np.where(leaf, each["value"], 0)
    depth = max(int(each["depth"].max()) for each in nodes)
    start = float(np.ravel(trees._baseline_prediction)[0])  # type: ignore[attr-defined]
    return cast(
        "dict[str, Floats]", parts | values | {"depth": np.array(depth), "start": np.array(start)}
    )
