"""Is a frame like those that the members were trained on? Asked of their own early features."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from neurosono.engine.arrays import read_arrays
from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.architecture import counts_with
from neurosono.engine.contracts.arrays import Floats
from neurosono.engine.contracts.errors import BundleError, EngineFailedError, InputError

FLOOR = 0.05
"""Added to features before their logarithm: they are means of what a ReLU lets through, many of
them near 0, and on a logarithmic scale twice as bright is the same step everywhere."""


def place(features: NDArray[np.floating[Any]], early: int) -> Floats:
    """Return the first `early` features of `(..., M, F)` on their logarithmic scale, `(..., M, E)`.

    They are those of the stages before the last (`contracts.architecture.count_features`).
    """
    asked = np.asarray(features[..., :early], dtype=np.float64)
    return np.log(np.maximum(asked, 0.0) + FLOOR)


@dataclass(frozen=True, eq=False)
class Familiarity:
    """What is familiar to an ensemble of M members, in E early features each.

    Two questions, and the less familiar answer counts. How far is a frame from the frames of
    patients like the trained ones: `centre` and `scale` (M, E), the mean square of the scaled
    differences. On which side is it of the planes, `plane` (M, E), one a member, that part those
    frames from pictures of other kinds. Both are means over the members that judge, the first m of
    the M: `typical` (M, 2) and `limits` (M, 2) are, for each m, the medians of both answers over
    frames of patients held out, and what few of them exceed.
    """

    centre: Floats
    scale: Floats
    plane: Floats
    typical: Floats
    limits: Floats

    def __post_init__(self) -> None:
        shapes = {self.centre.shape, self.scale.shape, self.plane.shape}
        pairs = self.typical.shape == self.limits.shape == (len(self.centre), 2)
        if len(shapes) != 1 or self.centre.ndim != 2 or not pairs:
            raise InputError("the statistics of familiarity do not fit together")
        if not (self.scale > 0).all() or not (self.limits > self.typical).all():
            raise InputError("the statistics of familiarity need scales and limits above 0")

    def answer(self, features: NDArray[np.floating[Any]]) -> Floats:
        """Return distance and side `(..., 2)` of features `(..., m, F)` of the first m members."""
        m = features.shape[-2]
        apart = (place(features, self.centre.shape[1]) - self.centre[:m]) / self.scale[:m]
        sides = (apart * self.plane[:m]).sum(-1).mean(-1)
        return np.stack([(apart**2).mean((-2, -1)), sides], -1)

    def measure(self, features: NDArray[np.floating[Any]]) -> Floats:
        """Return the strangeness `(...)` of features `(..., m, F)` of the first m members.

        0 is the typical frame's, 1 the limit; beyond it a frame is unfamiliar. It has no upper end:
        the further a picture departs from what is known, the higher.
        """
        typical, limits = (each[features.shape[-2] - 1] for each in (self.typical, self.limits))
        scaled = (self.answer(features) - typical) / (limits - typical)
        strangeness: Floats = scaled.max(-1)
        return strangeness

    def check(self, features: NDArray[np.floating[Any]]) -> float:
        """Return the strangeness of one frame's features `(m, F)`.

        Raises `EngineFailedError` where they are not those of this bundle's engines, or not finite:
        such a frame must not pass.
        """
        members, early = len(features), self.centre.shape[1]
        if members > len(self.centre) or features.shape[1] not in counts_with(early):
            raise EngineFailedError(
                f"the engine gives features {features.shape}, the bundle's familiarity is of "
                f"{self.centre.shape}: run `neurosono calibrate` again"
            )
        strangeness = float(self.measure(features))
        if not np.isfinite(strangeness):
            raise EngineFailedError(
                f"the engine gave features of strangeness {strangeness}: rebuild it with "
                "`neurosono build`, or choose another precision"
            )
        return strangeness

    def save(self, path: Path) -> None:
        """Write the arrays."""
        with path.open("wb") as file:
            np.savez(
                file,
                centre=self.centre.astype(np.float32),
                scale=self.scale.astype(np.float32),
                plane=self.plane.astype(np.float32),
                typical=self.typical,
                limits=self.limits,
            )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote; raises `BundleError` on anything else."""
        try:
            found = read_arrays(path, ("centre", "scale", "plane", "typical", "limits"))
            return cls(*(each.astype(np.float64) for each in found))
        except (ValueError, TypeError, IndexError, InputError) as error:
            raise BundleError(
                f"{path} holds no statistics of familiarity ({error}): run `neurosono calibrate` "
                "again"
            ) from error


def open_familiarity(bundle: Bundle) -> Familiarity | None:
    """Return what is familiar to a bundle's members, None where nobody knows; `BundleError`."""
    entry = bundle.manifest.familiarity
    return None if entry is None else Familiarity.load(bundle.root / entry.file.path)
