"""What a shortcut would score: a probe that sees how a picture was framed, and no anatomy.

Where classes come from different sources, a network may tell the sources apart. The probe is a
logistic regression on the corners, the borders, the shape that was letterboxed and the grey of the
ground, judged on the same folds as the networks. A score of a network means as much as it lies
above the probe's.
"""

from collections.abc import Sequence

import numpy as np

from neurosono.engine.contracts.arrays import Floats, Pixels
from neurosono.engine.contracts.cache import Cache
from neurosono.engine.contracts.predictions import Predictions
from neurosono.engine.judgement import name_rows
from neurosono.training.splits import Fold

CORNER_SHARE = 1 / 8
"""Of the side: squares of that size are a corner."""

NAMES = (
    *(f"{what} of the {where} corner" for where in ("1st", "2nd", "3rd", "4th") for what in
      ("mean", "spread")),
    "mean of the border",
    "share of black rows",
    "share of black columns",
    "darkest tenth",
    "median",
    "brightest tenth",
)  # fmt: skip
"""What the probe sees of a picture, in order."""


def look(pixels: Pixels) -> Floats:
    """Return what the probe sees of a picture (S, S): `NAMES`."""
    grey = pixels.astype(np.float64) / 255
    side = max(1, round(len(grey) * CORNER_SHARE))
    corners = (
        grey[:side, :side], grey[:side, -side:], grey[-side:, :side], grey[-side:, -side:],
    )  # fmt: skip
    found = [value for corner in corners for value in (corner.mean(), corner.std())]
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    levels = np.quantile(grey, [0.1, 0.5, 0.9])
    black = [float((~pixels.any(axis)).mean()) for axis in (1, 0)]
    return np.array([*found, border.mean(), *black, *levels])


def judge_by_shortcut(cache: Cache, folds: Sequence[Fold]) -> Predictions:
    """Let a probe judge each fold's patients after it learnt from that fold's others."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    seen = np.stack([look(np.asarray(frame)) for frame in cache.frames])
    parts = []
    for fold in folds:
        train, judged = cache.rows_of(fold.train | fold.validation), cache.rows_of(fold.judged)
        if not len(judged):
            continue
        model = make_pipeline(
            StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000)
        )
        model.fit(seen[train], cache.targets[train])
        said = model.predict_proba(seen[judged])
        parts.append(name_rows(cache, judged, said, fold=fold.index, salt=cache.digest))
    return Predictions.join(parts)
