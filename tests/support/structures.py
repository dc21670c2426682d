"""A structures bundle whose network is written down instead of trained: the head is what is bright.

On a dark picture it says "no head"; on any other the trans-ventricular plane, one ventricle in its
middle and the rest of what that plane must hold beside it.
"""

from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as op

from neurosono.engine.bundle import file_of, write_manifest
from neurosono.engine.contracts.manifest import STRUCTURES as KIND
from neurosono.engine.contracts.manifest import EngineEntry, Manifest, Member
from neurosono.engine.structures.answer import MAP_STRIDE_PX, OUTPUTS, STRIDES_PX, Grid
from neurosono.engine.structures.graph import INPUT, preprocessing_of
from neurosono.engine.structures.names import (
    CEREBELLUM,
    CSP,
    FALX,
    LV,
    NO_HEAD,
    PLANES,
    PLEXUS,
    STRUCTURES,
    TRANSVENTRICULAR,
)

SIZE_PX = 96
BRIGHT = 80.0
DARK_MEAN = 8.0
SURE = 0.9
LV_SIDES = (2.0, 1.0, 2.0, 1.0)
"""In strides of 16 px: the ventricle is 64 by 32 px of the input."""

Shown = tuple[tuple[str, int, float], ...]
"""What the network sees: a label, how far right of the middle in pixels, and how surely."""
STRUCTURES_SHOWN: Shown = ((LV, 0, SURE), (PLEXUS, 0, SURE), (CSP, -16, SURE), (FALX, 16, SURE))


def make_structures_bundle(
    root: Path, name: str = "structures", size_px: int = SIZE_PX, held_head: bool = False
) -> Path:
    """Write the bundle; returns `root`."""
    card = {"intended_use": "tests"}
    return write_bundle(root, name, KIND, STRUCTURES, STRUCTURES_SHOWN, card, size_px, held_head)


def write_bundle(
    root: Path,
    name: str,
    kind: str,
    labels: tuple[str, ...],
    shown: Shown,
    card: dict[str, Any],
    size_px: int = SIZE_PX,
    held_head: bool = False,
) -> Path:
    """Write a bundle of a kind that finds boxes of `labels`; its network sees what is `shown`."""
    folder = "engines/openvino-f32"
    (root / folder).mkdir(parents=True)
    model = make_graph(size_px, labels, shown, held_head=held_head)
    ov.save_model(model, root / folder / "model.xml", compress_to_fp16=False)
    files = tuple(file_of(root, f"{folder}/model.{suffix}") for suffix in ("xml", "bin"))
    manifest = Manifest(
        kind=kind,
        name=name,
        labels=labels,
        preprocessing=preprocessing_of(size_px),
        members=(Member("00", 1.0),),
        engines=(EngineEntry("openvino", "f32", 1, files),),
        card=card,
    )
    write_manifest(root, manifest)
    return root


def make_graph(
    size_px: int,
    labels: tuple[str, ...] = STRUCTURES,
    shown: Shown = STRUCTURES_SHOWN,
    bright_mean: float = 256.0,
    held_head: bool = False,
) -> ov.Model:
    """Return the network as a graph: (1, 1, S, S) uint8 in, `OUTPUTS` out.

    A picture brighter than `bright_mean` shows a cerebellum, and nothing else. With `held_head` the
    head is an ellipse in the middle whatever is seen: what is bright in a phantom is none.
    """
    grid = Grid(size_px)
    places, _ = grid.locations()
    grey = op.parameter([1, 1, size_px, size_px], np.uint8, name=INPUT)
    levels = op.convert(grey, np.float32)
    stride = [MAP_STRIDE_PX, MAP_STRIDE_PX]
    cells = op.avg_pool(levels, stride, [1, 1], [1, 1], [3, 3], exclude_pad=True)
    head = op.divide(op.subtract(op.squeeze(cells, [1]), np.float32(BRIGHT)), np.float32(2))
    if held_head:
        head = op.add(op.multiply(head, np.float32(0)), op.constant(_held_head(size_px)))
    mean = op.reduce_mean(levels, [1, 2, 3], keep_dims=False)
    is_dark = op.less(mean, np.float32(DARK_MEAN))
    planes = op.select(op.unsqueeze(is_dark, 1), _plane(NO_HEAD), _plane(TRANSVENTRICULAR))
    is_bright = op.unsqueeze(op.unsqueeze(op.greater(mean, np.float32(bright_mean)), 1), 2)
    seen = (_classes(grid, places, labels, each) for each in (((CEREBELLUM, 0, SURE),), shown))
    is_lit = op.select(is_dark, np.float32([0]), np.float32([1]))
    classes = op.multiply(op.select(is_bright, *seen), is_lit)
    count = len(places)
    sides = np.tile(np.float32(LV_SIDES), (1, count, 1))
    turns = np.tile(np.float32([1, 0]), (1, count, 1))
    said = (classes, np.ones((1, count), np.float32), sides, turns, planes, head)
    results = []
    for name, each in zip(OUTPUTS, said, strict=True):
        node = op.constant(each) if isinstance(each, np.ndarray) else each
        output = op.convert(node, np.float32).output(0)
        output.get_tensor().set_names({name})
        results.append(output)
    model = ov.Model(results, [grey], "structures")
    model.inputs[0].get_tensor().set_names({INPUT})
    return model


def _held_head(size_px: int) -> np.ndarray:
    """Return the map (1, h, w) of an ellipse that is 0.7 of the picture wide and 0.56 high."""
    away = (np.arange(0, size_px, MAP_STRIDE_PX) - size_px / 2) / (size_px / 2)
    r = np.hypot(away[None, :] / 0.7, away[:, None] / 0.56)
    return np.clip(60 * (1 - r), -20, 20).astype(np.float32)[None]


def _plane(name: str) -> np.ndarray:
    planes = np.full((1, len(PLANES)), 0.02, np.float32)
    planes[0, PLANES.index(name)] = 1 - 0.02 * (len(PLANES) - 1)
    return planes


def _classes(grid: Grid, places: np.ndarray, labels: tuple[str, ...], shown: Shown) -> np.ndarray:
    """Return (1, N, C): one structure each at the cell of the last level nearest to its place."""
    classes = np.zeros((1, len(places), len(labels)), np.float32)
    first = len(places) - grid.counts[-1]
    middle = grid.size_px / 2
    assert STRIDES_PX[-1] == 16
    for label, dx, sure in shown:
        away = np.hypot(*(places[first:] - [middle + dx, middle]).T)
        classes[0, first + int(np.argmin(away)), labels.index(label)] = sure
    return classes
