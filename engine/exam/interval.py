"""Wilson's interval of a share."""

import numpy as np

from neurosono.engine.contracts.arrays import Floats

Z_95 = 1.959963984540054
"""The normal distribution's two-sided 95 % point."""


def bound_share(share: Floats, count: float | Floats) -> tuple[Floats, Floats]:
    """Return the 95 % interval of a `share`, any shape, seen in `count` independent trials.

    Wilson 1927; `count` need not be whole, and is above 0.
    """
    z2 = Z_95**2
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = (Z_95 / (1 + z2 / count)) * np.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    return np.clip(centre - half, 0.0, 1.0), np.clip(centre + half, 0.0, 1.0)
