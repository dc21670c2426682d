"""What a reader found on a frame, drawn over that very frame: boxes with names, the head."""

import math
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Floats, Pixels
from neurosono.engine.preprocess import to_grey
from neurosono.stream.overlay.typeface import SEMIBOLD, Typeface
from neurosono.stream.view import palette

UNPROVEN = " *"
"""Stands behind the name of a structure that was learnt on phantoms alone."""
_HEAD_COLOUR = palette.class_colour(7)
_LABEL_SHARE = 0.075
"""Of the picture's height: the size of a name, within readable bounds."""


def paint_findings(
    pixels: Pixels,
    said: Mapping[str, Any],
    region_px: tuple[int, int, int, int],
    out_px: tuple[int, int],
    type_: Typeface,
) -> Pixels:
    """Return a frame's region at `out_px`, height and width, `(H, W, 3)` BGR, with what was found.

    `said` is in pixels of the source's picture, in which the region stands at `region_px`. Of each
    name the surest box is drawn; one that is unproven is dashed by its mark.
    """
    height, width = out_px
    shrunk = cv2.resize(to_grey(pixels), (width, height), interpolation=cv2.INTER_AREA)
    canvas = np.asarray(cv2.cvtColor(shrunk, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    x, y, w, _ = region_px
    scale = width / max(1, w)
    line = max(1, round(height / 160))
    head = said.get("head")
    if head is not None:
        centre = (head["cx"] - x) * scale, (head["cy"] - y) * scale
        axes = 2 * head["a"] * scale, 2 * head["b"] * scale
        cv2.ellipse(canvas, (centre, axes, head["angle_deg"]), _HEAD_COLOUR, line, cv2.LINE_AA)
    size = min(22.0, max(10.0, _LABEL_SHARE * height))
    taken: list[tuple[float, float, float]] = []
    for place, box in enumerate(_surest(said.get("boxes", ()))):
        colour = palette.class_colour(place)
        corners = _corners(box, x, y, scale)
        cv2.polylines(canvas, [corners.astype(np.int32)], True, colour, line, cv2.LINE_AA)
        words = box["label"].replace("-", " ") + (UNPROVEN if box["unproven"] else "")
        long = type_.width(words, size, SEMIBOLD)
        left = min(max(0.0, corners[:, 0].mean() - long / 2), max(0.0, width - long))
        foot = max(size, corners[:, 1].min() - 2)
        while any(
            abs(foot - at) < size and left < end and begin < left + long for at, begin, end in taken
        ):
            foot += size
        taken.append((foot, left, left + long))
        type_.draw(canvas, words, (left, min(foot, height - 2)), size, colour, SEMIBOLD)
    return canvas


def _surest(boxes: Any) -> list[Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for box in boxes:
        if box["label"] not in found or found[box["label"]]["score"] < box["score"]:
            found[box["label"]] = box
    return [found[label] for label in sorted(found)]


def _corners(box: Mapping[str, Any], x: float, y: float, scale: float) -> Floats:
    turn = math.radians(box["angle_deg"])
    u = np.array([math.cos(turn), math.sin(turn)]) * box["w"] / 2
    v = np.array([-math.sin(turn), math.cos(turn)]) * box["h"] / 2
    middle = np.array([box["cx"] - x, box["cy"] - y])
    return np.stack([middle - u - v, middle + u - v, middle + u + v, middle - u + v]) * scale
