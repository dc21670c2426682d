"""The gate: is this frame a view of a fetal head or spine, and is it like what was trained on?

One small int8 graph on one core, and a distance in the space of its features. Without torch.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from neurosono.engine.arrays import read_arrays
from neurosono.engine.backends import configure
from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.arrays import Floats, Pixels, Singles
from neurosono.engine.contracts.errors import BundleError, EngineFailedError, InputError
from neurosono.engine.contracts.frame import SkipReason
from neurosono.engine.contracts.gate import GRAPH_NAME, STATISTICS_NAME, GateEntry, GateVerdict
from neurosono.engine.kept import keeping

INPUT = "grey"
OUTPUTS = ("score", "planes", "features")
"""Of a frame: (1, 1), (1, P) and (1, K) float32."""


@dataclass(frozen=True)
class Familiarity:
    """How far features lie from the groups of frames that were trained on.

    Mahalanobis' distance to the nearest of G group means, with one covariance for all (Lee et al.
    2018, arXiv 1807.03888): `whitening` is `(K, R)`, `means` `(G, R)`, whitened. `distances` (Q,)
    ascending are those of frames of patients that were held out, and `shares` (Q,) which share of
    them is nearer: with them a distance is told as a share, 0 to 1.
    """

    whitening: Floats
    means: Floats
    distances: Floats
    shares: Floats

    def __post_init__(self) -> None:
        shapes = (self.whitening.shape[1:], self.means.shape[1:])
        ascending = len(self.distances) > 1 and bool(np.all(np.diff(self.distances) > 0))
        if shapes[0] != shapes[1] or self.distances.shape != self.shares.shape or not ascending:
            raise InputError("the gate's statistics do not fit together")

    def measure(self, features: NDArray[np.floating[Any]]) -> Floats:
        """Return the distances `(N,)` of `(N, K)` features to the nearest group."""
        placed = np.asarray(features, dtype=np.float64) @ self.whitening  # (N, R)
        apart = placed[:, None] - self.means[None]  # (N, G, R)
        nearest: Floats = np.sqrt((apart**2).sum(2).min(1))
        return nearest

    def rank(self, distances: Floats) -> Floats:
        """Return of each distance the share of held-out frames that are nearer, 0 to 1."""
        ranks: Floats = np.interp(distances, self.distances, self.shares)
        return ranks

    def save(self, path: Path) -> None:
        """Write the four arrays."""
        with path.open("wb") as file:
            np.savez(
                file,
                whitening=self.whitening.astype(np.float32),
                means=self.means.astype(np.float32),
                distances=self.distances,
                shares=self.shares,
            )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote; raises `BundleError` on anything else."""
        try:
            found = read_arrays(path, ("whitening", "means", "distances", "shares"))
            return cls(*(each.astype(np.float64) for each in found))
        except (ValueError, TypeError, IndexError, InputError) as error:
            raise BundleError(
                f"{path} holds no statistics of a gate ({error}): add the gate again with "
                "`neurosono train gate add`"
            ) from error


class Gate:
    """An open gate."""

    def __init__(
        self, graph: Path, familiarity: Familiarity, entry: GateEntry, cache: Path | None = None
    ) -> None:
        """Compile the graph for one core, or take it as `cache` keeps it.

        Raises `BundleError` where it is no gate's.
        """
        core = ov.Core()
        try:
            # Half a millisecond's work: waking other cores would take longer.
            config = configure("int8", threads=1, cache=cache)
            model = core.compile_model(graph, "CPU", config)
            found = {name for output in model.outputs for name in output.get_names()}
            if not set(OUTPUTS) <= found:
                raise RuntimeError(f"its outputs are {sorted(found)}, expected {list(OUTPUTS)}")
            self._request = model.create_infer_request()
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise BundleError(f"{graph} is not a gate that OpenVINO can read: {reason}") from error
        self.size_px = int(model.input(INPUT).partial_shape[3].get_length())
        planes = int(model.output("planes").partial_shape[1].get_length())
        features = int(model.output("features").partial_shape[1].get_length())
        if planes != len(entry.planes) or features != len(familiarity.whitening):
            raise BundleError(
                f"{graph} gives {planes} planes and {features} features, but its bundle speaks of "
                f"{len(entry.planes)} and {len(familiarity.whitening)}: add the gate again with "
                "`neurosono train gate add`"
            )
        self._familiarity, self._entry = familiarity, entry

    @classmethod
    def open(cls, bundle: Bundle) -> Self | None:
        """Open a bundle's gate, None where it has none; raises `BundleError`."""
        entry = bundle.manifest.gate
        if entry is None:
            return None
        paths = {file.path.rpartition("/")[2]: bundle.root / file.path for file in entry.files}
        graph, familiarity = paths[GRAPH_NAME], Familiarity.load(paths[STATISTICS_NAME])
        with keeping(entry, graph) as cache:
            gate = cls(graph, familiarity, entry, cache)
        if gate.size_px != bundle.manifest.preprocessing.size_px:
            raise BundleError(
                f"the gate of bundle {bundle.root} takes {gate.size_px} px pictures, its ensemble "
                f"{bundle.manifest.preprocessing.size_px} px: train a gate on such pictures"
            )
        return gate

    def infer(self, grey: Pixels) -> list[Singles]:
        """Return score `(1, 1)`, planes `(1, P)` and features `(1, K)` of an `(S, S)` uint8 square.

        Raises `InputError` on another shape or dtype.
        """
        if grey.shape != (self.size_px, self.size_px) or grey.dtype != np.uint8:
            raise InputError(
                f"the gate takes ({self.size_px}, {self.size_px}) uint8, "
                f"found {grey.shape} {grey.dtype}"
            )
        self._request.infer({INPUT: np.ascontiguousarray(grey)[None, None]})
        return [np.array(self._request.get_tensor(name).data) for name in OUTPUTS]

    def measure(self, grey: Pixels) -> tuple[float, float, Singles]:
        """Return score and unfamiliarity, 0 to 1, and the planes' probabilities `(P,)`.

        Raises `EngineFailedError` where they are not finite: such a frame must not pass.
        """
        scores, planes, features = self.infer(grey)
        score = float(scores[0, 0])
        unfamiliarity = float(self._familiarity.rank(self._familiarity.measure(features))[0])
        if not np.isfinite([score, unfamiliarity]).all():
            raise EngineFailedError(
                f"the gate gave {score} and {unfamiliarity}: add it again with "
                "`neurosono train gate add`, or use a bundle without one"
            )
        return score, unfamiliarity, planes[0]

    def judge(self, grey: Pixels) -> GateVerdict:
        """Judge one `(S, S)` uint8 square; raises `EngineFailedError`."""
        score, unfamiliarity, planes = self.measure(grey)
        refusal = None
        if score < self._entry.threshold:
            refusal = SkipReason.NOT_HEAD_OR_SPINE
        elif unfamiliarity > self._entry.unfamiliar:
            refusal = SkipReason.UNFAMILIAR
        likeliest = int(np.argmax(planes))
        sure = refusal is None and planes[likeliest] >= self._entry.plane_limits[likeliest]
        plane = self._entry.planes[likeliest] if sure else None
        return GateVerdict(score, unfamiliarity, plane, refusal)
