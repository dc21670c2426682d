"""From a trained network to OpenVINO graphs, and how far each is from float32."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.errors import RunError
from neurosono.engine.structures.answer import Answer
from neurosono.engine.structures.boxes import overlap
from neurosono.engine.structures.graph import SQUARE_PLACE
from neurosono.engine.structures.looks import look
from neurosono.engine.structures.reading import Reading, read_answer
from neurosono.training.detect.heads import ask
from neurosono.training.detect.network import Detector

QUANTISED_ON = 300
"""Pictures that set the ranges of activations; none of them is among those held out."""
COMPARED_ON = 300
OUTLINE_DEEP = 3
"""Convolutions, one after the other, that draw the outline."""
LARGEST_BYTES = 6_000_000
"""What a structures' graph may weigh in int8: it travels with the package."""


def graph_path(folder: Path, precision: str) -> Path:
    """Return where the graph of a precision lies in a run's folder."""
    return folder / f"structures-{precision}.xml"


@dataclass(frozen=True)
class Limits:
    """What a precision may cost: planes that stay, structures that are found again, HC's change,
    and pictures on which a head is seen by both or by neither.
    """

    same_plane: float
    found_again: float
    hc_change: float
    same_head: float


LIMITS = {"f32": Limits(1.0, 0.999, 1e-3, 0.99), "int8": Limits(0.97, 0.95, 0.005, 0.98)}
"""Shares of named pictures and of boxes, HC's mean relative change where both see a head, and the
share of pictures on which they agree whether there is one.

0.5 % is 0.9 mm at 20 weeks, half of the goal for its error. The mean is of few heads that are hard
to see; half of all change by under 0.2 %.
"""

SURE, AGAIN = 0.4, 0.6
"""Score from which on a structure must be found again, and with how much overlap at the least. A
ventricle is some eight pixels wide in the input: half a pixel more is a tenth of its overlap."""


@dataclass(frozen=True)
class Parity:
    """A graph's readings against float32's of the same pictures."""

    pictures: int
    boxes: int
    same_plane: float
    found_again: float
    hc_change: float
    same_head: float

    def to_json(self) -> dict[str, float]:
        """Return every figure."""
        return {name: round(float(value), 6) for name, value in asdict(self).items()}


def find_outline(model: ov.Model) -> list[str]:
    """Return the names of the convolutions that draw the head's outline, from its map back to the
    pyramid: a step of int8 there is a step of the head's size.
    """
    head = next(each for each in model.outputs if "head" in each.get_names())
    found: list[str] = []

    def climb(node: ov.Node, before: int) -> None:
        if node.get_type_name() == "Convolution":
            if node.get_friendly_name() not in found:
                found.append(node.get_friendly_name())
            before += 1
        if before < OUTLINE_DEEP:
            for each in node.input_values():
                climb(each.get_node(), before)

    climb(head.get_node(), 0)
    return found


def read_by_torch(network: Detector, squares: Pixels, look_px: int) -> list[Reading]:
    """Return the readings of squares (N, S, S) by the float32 network itself, in their pixels."""
    network.eval()
    side = squares.shape[1]
    answers = (look(square, look_px, lambda each: ask(network, each)) for square in squares)
    return [read_answer(answer, side, side) for answer in answers]


def cut_looks(network: Detector, squares: Pixels, look_px: int) -> Pixels:
    """Return every look (M, L, L) that the network takes at squares (N, S, S), in turn."""
    looks: list[Pixels] = []

    def keep(each: Pixels) -> Answer:
        looks.append(each)
        return ask(network, each)

    network.eval()
    for square in squares:
        look(square, look_px, keep)
    return np.stack(looks)


def compare(exact: Sequence[Reading], found: Sequence[Reading]) -> Parity:
    """Compare readings of the same pictures, picture by picture."""
    boxes = again = heads = 0
    changes = []
    for one, other in zip(exact, found, strict=True):
        for box in one.boxes:
            if box.score < SURE:
                continue
            rivals = [each.box for each in other.boxes if each.label == box.label]
            boxes += 1
            again += any(overlap(box.box, each) >= AGAIN for each in rivals)
        heads += bool(one.size_px) == bool(other.size_px)
        if one.size_px and other.size_px:
            changes.append(abs(other.size_px.hc / one.size_px.hc - 1))
    named = [(a, b) for a, b in zip(exact, found, strict=True) if a.plane is not None]
    planes = [a.likeliest == b.likeliest for a, b in named] or [True]
    return Parity(
        len(exact),
        boxes,
        float(np.mean(planes)),
        again / boxes if boxes else 1.0,
        float(np.mean(changes)) if changes else 0.0,
        heads / max(len(exact), 1),
    )


def check(parity: Parity, size_bytes: int, precision: str) -> None:
    """Raise `RunError` where a graph is over its precision's limits, with the figures."""
    limits = LIMITS[precision]
    if precision == "int8" and size_bytes > LARGEST_BYTES:
        raise RunError(f"the int8 graph has {size_bytes} bytes, at most {LARGEST_BYTES} may travel")
    if (
        parity.same_plane < limits.same_plane
        or parity.found_again < limits.found_again
        or parity.hc_change > limits.hc_change
        or parity.same_head < limits.same_head
    ):
        raise RunError(
            f"the {precision} graph is over its limits: {parity.same_plane:.1%} of "
            f"{parity.pictures} pictures keep the plane that is named (at least "
            f"{limits.same_plane:.1%}), {parity.found_again:.1%} of {parity.boxes} structures are "
            f"found again (at least {limits.found_again:.1%}), HC changes by "
            f"{parity.hc_change:.2%} (at most {limits.hc_change:.2%}), {parity.same_head:.1%} of "
            f"pictures keep whether a head is seen (at least {limits.same_head:.1%}): it is "
            "not written; train longer, or use f32"
        )


def write_graph(model: ov.Model, path: Path, square_px: int) -> None:
    """Write a graph and its weights; it says of which squares its looks are cut."""
    model.set_rt_info(square_px, SQUARE_PLACE)
    path.parent.mkdir(parents=True, exist_ok=True)
    ov.save_model(model, path, compress_to_fp16=False)


def describe_graph(path: Path) -> dict[str, Any]:
    """Return what a graph weighs, in bytes."""
    return {"bytes": path.stat().st_size + path.with_suffix(".bin").stat().st_size}
