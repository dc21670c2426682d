"""The regions' network as OpenVINO runs it: one plane's crops in, what each speaks for out."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openvino as ov

from neurosono.engine.backends import configure
from neurosono.engine.contracts.arrays import Singles
from neurosono.engine.contracts.errors import BundleError, EngineFailedError
from neurosono.engine.regions.view import A_PLANE, CONTEXT, CROP_PX, View

INPUTS = ("crops", "context")
OUTPUTS = ("contributions", "likeness", "features")
EARLY, FEATURES = 14 * 12, 22 * 12
"""Of the first three stages, which `engine.familiarity` asks, and in all."""


@dataclass(frozen=True, eq=False)
class Spoken:
    """What the network says of one plane.

    `contributions` (3,) add to the verdict's log-odds, region by region in the order of
    `regions_of`; `likeness` (3,) to the log-odds that it is this plane at all; `features`
    (3, FEATURES) tell whether it has seen the like. Checked where made.
    """

    contributions: Singles
    likeness: Singles
    features: Singles

    def __post_init__(self) -> None:
        expected: dict[str, tuple[int, ...]] = dict.fromkeys(OUTPUTS[:2], (A_PLANE,))
        expected["features"] = (A_PLANE, FEATURES)
        for name, shape in expected.items():
            found = getattr(self, name)
            if found.shape != shape or not np.isfinite(found).all():
                raise EngineFailedError(
                    f"the regions' network gave {name} {found.shape}, expected finite {shape}: "
                    "make the bundle anew with `neurosono train regions ship`"
                )


class RegionsGraph:
    """A compiled graph; raises `BundleError` where the file is none of ours."""

    def __init__(self, path: Path, threads: int = 1, cache: Path | None = None) -> None:
        """Compile the graph at `path` on `threads`, or take it as `cache` keeps it."""
        core = ov.Core()
        expected = {"crops": [A_PLANE, 1, CROP_PX, CROP_PX], "context": [A_PLANE, CONTEXT]}
        try:
            model = core.read_model(path)
            for name, shape in expected.items():
                found = list(model.input(name).shape)
                if found != shape:
                    raise RuntimeError(f"its input {name} is {found}, expected {shape}")
            for name in OUTPUTS:
                model.output(name)
            config = configure("int8", threads, cache=cache)
            self._request = core.compile_model(path, "CPU", config).create_infer_request()
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise BundleError(f"{path} judges no regions: {reason}") from error

    def infer(self, view: View) -> Spoken:
        """Return what it says of one plane; raises `EngineFailedError`."""
        crops = np.ascontiguousarray(view.crops)[:, None]
        self._request.infer({"crops": crops, "context": view.context})
        found = [np.array(self._request.get_tensor(name).data) for name in OUTPUTS]
        return Spoken(*found)
