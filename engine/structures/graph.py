"""The structures' network as OpenVINO runs it: one picture in, one reading out. Without torch."""

from pathlib import Path

import numpy as np
import openvino as ov

from neurosono.engine.backends import configure
from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.errors import BundleError, InputError
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.engine.preprocess import preprocess
from neurosono.engine.structures.answer import LEVEL_MEAN, LEVEL_STD, OUTPUTS, Answer, Grid
from neurosono.engine.structures.looks import look
from neurosono.engine.structures.names import STRUCTURES
from neurosono.engine.structures.reading import Reading, read_answer

INPUT = "grey"
SQUARE_PLACE = ["neurosono", "square_px"]
"""Where a graph says how large a square its looks are cut from."""


def preprocessing_of(size_px: int) -> PreprocessingSpec:
    """Return how a region becomes the network's square: letterboxed, whatever its shape."""
    mean, std = LEVEL_MEAN / 255, LEVEL_STD / 255
    return PreprocessingSpec(size_px, resize_px=size_px, mean=(mean,) * 3, std=(std,) * 3)


def square_of(model: ov.Model) -> int:
    """Return the side of the square that a graph's looks are cut from: its input's, by default."""
    if model.has_rt_info(SQUARE_PLACE):
        return int(model.get_rt_info(SQUARE_PLACE).astype(int))
    return int(model.input(INPUT).partial_shape[3].get_length())


class StructuresGraph:
    """A compiled graph; raises `BundleError` where the file is none of ours, or of other labels."""

    def __init__(
        self,
        path: Path,
        threads: int = 2,
        labels: tuple[str, ...] = STRUCTURES,
        cache: Path | None = None,
    ) -> None:
        """Compile the graph at `path` on `threads`, or take it as `cache` keeps it."""
        core = ov.Core()
        try:
            model = core.read_model(path)
            found = {name for output in model.outputs for name in output.get_names()}
            if not set(OUTPUTS) <= found:
                raise RuntimeError(f"its outputs are {sorted(found)}, expected {list(OUTPUTS)}")
            classes = int(model.output(OUTPUTS[0]).partial_shape[2].get_length())
            if classes != len(labels):
                raise RuntimeError(f"it tells {classes} labels apart, expected {len(labels)}")
            self.labels = labels
            self.grid = Grid(int(model.input(INPUT).partial_shape[3].get_length()))
            config = configure("int8", threads, cache=cache)
            self.spec = preprocessing_of(square_of(model))
            self._request = core.compile_model(path, "CPU", config).create_infer_request()
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise BundleError(f"{path} finds no structures: {reason}") from error

    def infer(self, square: Pixels) -> Answer:
        """Return the answer of an (S, S) uint8 square; raises `InputError`, `EngineFailedError`.

        Where the network's input is smaller than the square, it looks twice.
        """
        side = self.spec.size_px
        if square.shape != (side, side) or square.dtype != np.uint8:
            raise InputError(
                f"the structures' network takes ({side}, {side}) uint8, "
                f"found {square.shape} {square.dtype}"
            )
        return look(square, self.grid.size_px, self._ask)

    def _ask(self, square: Pixels) -> Answer:
        self._request.infer({INPUT: np.ascontiguousarray(square)[None, None]})
        found = {name: np.array(self._request.get_tensor(name).data)[0] for name in OUTPUTS}
        return Answer(self.grid, **found, labels=self.labels)

    def read(self, pixels: Pixels, mm_per_px: float | None = None) -> Reading:
        """Return the reading of a region, (H, W) grey or (H, W, 3) BGR uint8.

        Raises `InputError` for pixels or a scale that cannot be, `EngineFailedError` where the
        network's numbers are not finite.
        """
        height, width = pixels.shape[:2]
        return read_answer(self.infer(preprocess(pixels, self.spec)), height, width, mm_per_px)
