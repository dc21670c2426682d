"""Class activation maps of the members, as one heatmap a class.

The maps come out of the compiled graph (`engine.network.ResNet34.explain`); no backward pass.
"""

import numpy as np
from numpy.typing import NDArray


def normalise_cam(cams: NDArray[np.float32]) -> NDArray[np.float32]:
    """ReLU each map and divide it by its own maximum; a map without any positive part stays zero.

    `cams` is `(..., h, w)`; returns the same shape, float32, 0 to 1.
    """
    positive = np.maximum(cams, 0).astype(np.float32)
    peak = positive.max(axis=(-2, -1), keepdims=True)
    scaled = np.zeros_like(positive)
    np.divide(positive, peak, out=scaled, where=peak > 0)
    return scaled


def combine_cams(cams: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average the members' normalised maps, so that every member has the same say.

    `cams` is `(M, C, h, w)` before the ReLU; returns `(C, h, w)` float32, 0 to 1.
    """
    return normalise_cam(normalise_cam(cams).mean(axis=0))
