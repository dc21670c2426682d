"""Class activation maps of the members, as one heatmap a class.

The maps come out of the compiled graph (`engine.networks.base.Network.explain`); no backward pass.
"""

import numpy as np

from neurosono.engine.contracts.arrays import Floats, Singles


def normalise_cam(cams: Singles) -> Singles:
    """ReLU each map and divide it by its own maximum; a map without any positive part stays zero.

    `cams` is `(..., h, w)`; returns the same shape, float32, 0 to 1.
    """
    positive = np.maximum(cams, 0).astype(np.float32)
    peak = positive.max(axis=(-2, -1), keepdims=True)
    scaled = np.zeros_like(positive)
    np.divide(positive, peak, out=scaled, where=peak > 0)
    return scaled


def combine_cams(cams: Singles) -> Singles:
    """Average the members' normalised maps, so that every member has the same say.

    `cams` is `(M, C, h, w)` before the ReLU; returns `(C, h, w)` float32, 0 to 1.
    """
    return normalise_cam(normalise_cam(cams).mean(axis=0))


def eigen_cam(maps: Singles, class_map: Singles) -> Singles:
    """Return what varies most over a picture: Eigen-CAM (Muhammad and Yeasin 2020).

    `maps` is `(K, h, w)`, what the last layer is a mean of; `class_map` `(h, w)` only says which
    way round, so that it is high where the class's map is. Returns `(h, w)` float32 before the
    ReLU: the projection of each cell, less the mean cell, on their first principal component. It
    knows no class: it shows what the network sees, not what speaks for an answer.
    """
    cells = maps.reshape(len(maps), -1).T.astype(np.float64)  # (h * w, K)
    cells -= cells.mean(0)
    _, _, directions = np.linalg.svd(cells, full_matrices=False)
    along: Floats = cells @ directions[0]
    if along @ class_map.ravel().astype(np.float64) < 0:
        along = -along
    return along.reshape(maps.shape[1:]).astype(np.float32)
