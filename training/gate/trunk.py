"""SonoNet's convolutions as a small graph in int8: what a gate sees, learnt by others on others.

SonoNet-16 (Baumgartner et al. 2017, arXiv 1612.05601; weights Apache-2.0) tells 13 fetal standard
planes of another hospital apart. A network of ours, trained on the few sources at hand, learns
their habits with their anatomy; one that saw thousands of women elsewhere, and none of these
sources, does not. Its weights stay as they are: only what stands on them is fitted here
(`training.gate.heads`).
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as ops

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.gate import INPUT

STAGES = ((16, 16), (32, 32), (64, 64, 64), (128, 128, 128), (128, 128, 128))
"""Channels of the 3x3 convolutions; between two stages the strongest of 2 x 2 is kept."""
CLOSING = (64, 14)
"""Channels of the two 1x1 convolutions that end it; the last has the 13 planes and the rest."""
LOOKED_AT = STAGES[2:]
"""The stages whose channels are seen: the first two are edges."""
LOOKS = 2 * sum(stage[-1] for stage in LOOKED_AT) + 2 * sum(CLOSING)
FAMILIAR = sum(stage[-1] for stage in LOOKED_AT)
"""The first looks, means of the stages: texture and anatomy, by which strange pictures show."""
SHAPE = (136, 176)
"""Height and width at which an engine's square of 224 is seen, of the proportions of SonoNet's own
224 x 288, which would cost more than twice as much."""
LIT_LEVEL = 8
"""Grey levels over which a pixel is no border."""
SPREAD_FLOOR = 4.0
"""Levels: a flat picture is not to be stretched into noise."""
SCALE = 255.0
"""What SonoNet's authors multiplied normalised pixels by."""
RANGE_FRAMES = 80
FRONT = "front"
"""Names what goes before the convolutions: places of edges, which int8 would move by pixels."""
PARAMETERS = 5
"""Of each layer in the file: weights, shift, scale, mean, and one over the spread."""


@dataclass(frozen=True)
class Layer:
    """A convolution with its batch norm folded in: `(O, I, K, K)` float32 and `(O,)` float32."""

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]


@dataclass(frozen=True)
class Trunk:
    """SonoNet-16's layers in order, and the hash of the file that they came from."""

    layers: tuple[Layer, ...]
    sha256: str

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read `SonoNet16.npz` of its authors; raises `InputError` on another file."""
        shapes = list(_name_shapes())
        try:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            with np.load(path, allow_pickle=False) as found:
                values = [found[f"arr_{number}"] for number in range(PARAMETERS * len(shapes))]
        except (OSError, ValueError, KeyError) as error:
            raise InputError(
                f"{path} holds no SonoNet-16 ({error!r}): take SonoNet16.npz of "
                "github.com/baumgach/SonoNet-weights"
            ) from error
        layers = []
        for number, shape in enumerate(shapes):
            weights, shift, scale, mean, steep = values[PARAMETERS * number :][:PARAMETERS]
            if weights.shape != shape:
                raise InputError(f"{path}: layer {number} is {weights.shape}, expected {shape}")
            folded = (weights * (scale * steep)[:, None, None, None]).astype(np.float32)
            layers.append(Layer(folded, (shift - mean * scale * steep).astype(np.float32)))
        return cls(tuple(layers), digest)


def _name_shapes() -> list[tuple[int, int, int, int]]:
    shapes, before = [], 1
    for channels, kernel in [(c, 3) for stage in STAGES for c in stage] + [(c, 1) for c in CLOSING]:
        shapes.append((channels, before, kernel, kernel))
        before = channels
    return shapes


def build_trunk(trunk: Trunk, size_px: int, shape: tuple[int, int] = SHAPE) -> ov.Model:
    """Return the graph in float32: `(1, 1, S, S)` uint8 in, looks `(1, LOOKS)` float32 out."""
    grey = ops.parameter([1, 1, size_px, size_px], np.uint8, name=INPUT)
    x = _normalise(_fit(ops.convert(grey, np.float32), size_px, shape))
    for op in ov.Model([x.output(0)], [grey], "front").get_ordered_ops():
        if op.get_type_name() not in ("Parameter", "Result"):
            op.set_friendly_name(f"{FRONT}/{op.get_friendly_name()}")
    layers = iter(trunk.layers)
    means, peaks = [], []
    for number, stage in enumerate(STAGES):
        if number:
            x = ops.max_pool(x, [2, 2], [1, 1], [0, 0], [0, 0], [2, 2]).output(0)
        for _ in stage:
            x = ops.relu(_convolve(x, next(layers)))
        if stage in LOOKED_AT and number >= len(STAGES) - len(LOOKED_AT):
            means.append(ops.reduce_mean(x, [2, 3]))
            peaks.append(ops.reduce_max(x, [2, 3]))
    named = ops.relu(_convolve(x, next(layers)))
    planes = _convolve(named, next(layers))
    closing = [
        reduce(each, [2, 3])
        for each in (named, planes)
        for reduce in (ops.reduce_mean, ops.reduce_max)
    ]
    looks = ops.concat([*means, *peaks, *closing], 1)
    model = ov.Model([looks], [grey], "gate")
    model.inputs[0].get_tensor().set_names({INPUT})
    return model


def _fit(grey: ov.Node, size_px: int, shape: tuple[int, int]) -> ov.Node:
    """Bring the box of what is lit to the one shape, whatever its own, by averaging areas.

    Borders, bars and squeezes are habits of a scanner or of whoever copied the picture. Two
    products with weights that follow from the box: part of the graph, the same in every release.
    """
    lit = ops.convert(ops.greater(grey, np.float32(LIT_LEVEL)), np.float32)
    rows = _weigh_areas(ops.reduce_max(lit, [3], True), 2, size_px, shape[0])  # (1, 1, s, S)
    columns = _weigh_areas(ops.reduce_max(lit, [2], True), 3, size_px, shape[1])
    return ops.matmul(rows, ops.matmul(grey, columns, False, True), False, False)


def _weigh_areas(lit: ov.Node, axis: int, size_px: int, count: int) -> ov.Node:
    """Return `(1, 1, count, size_px)` shares of each pixel in `count` even parts of what is lit."""
    along = [1, 1, 1, 1]
    along[axis] = size_px
    place = np.arange(size_px, dtype=np.float32).reshape(along)
    some = ops.reduce_max(lit, [2, 3], True)
    dark = ops.subtract(np.float32(1), lit)
    far = ops.multiply(dark, np.float32(size_px))
    first = ops.multiply(ops.reduce_min(ops.add(far, place), [2, 3], True), some)
    none = ops.multiply(ops.subtract(np.float32(1), some), np.float32(size_px))
    last = ops.add(ops.reduce_max(ops.multiply(lit, place + np.float32(1)), [2, 3], True), none)
    step = ops.divide(ops.subtract(last, first), np.float32(count))
    part = np.arange(count, dtype=np.float32).reshape(1, 1, count, 1)
    pixel = np.arange(size_px, dtype=np.float32).reshape(1, 1, 1, size_px)
    begin = ops.add(first, ops.multiply(step, part))
    end = ops.add(first, ops.multiply(step, part + np.float32(1)))
    shared = ops.subtract(ops.minimum(end, pixel + np.float32(1)), ops.maximum(begin, pixel))
    return ops.divide(ops.relu(shared), step)


def _normalise(grey: ov.Node) -> ov.Node:
    """Take level and contrast away: those are the scanner's and its user's."""
    apart = ops.subtract(grey, ops.reduce_mean(grey, [2, 3], True))
    spread = ops.sqrt(ops.reduce_mean(ops.multiply(apart, apart), [2, 3], True))
    steep = ops.divide(np.float32(SCALE), ops.add(spread, np.float32(SPREAD_FLOOR)))
    return ops.multiply(apart, steep)


def _convolve(x: ov.Node, layer: Layer) -> ov.Node:
    edge = layer.weights.shape[2] // 2
    moved = ops.convolution(x, ops.constant(layer.weights), [1, 1], [edge] * 2, [edge] * 2, [1, 1])
    return ops.add(moved, ops.constant(layer.bias.reshape(1, -1, 1, 1)))


class Eye:
    """An open trunk: looks of one square at a time."""

    def __init__(self, model: ov.Model) -> None:
        """Compile for one core."""
        config = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
            "NUM_STREAMS": "1",
            "INFERENCE_NUM_THREADS": 1,
        }
        self._request = ov.Core().compile_model(model, "CPU", config).create_infer_request()

    def look(self, square: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the looks `(LOOKS,)` of an `(S, S)` uint8 square."""
        self._request.infer({INPUT: np.ascontiguousarray(square)[None, None]})
        return np.array(self._request.get_output_tensor(0).data[0], dtype=np.float32)
