"""Drawn heads, so that detectors are trained and measured without a picture of anybody."""

import csv
from pathlib import Path

import cv2
import numpy as np

from neurosono.engine.structures.boxes import RotatedBox
from neurosono.engine.structures.ellipse import Ellipse
from neurosono.engine.structures.names import NO_HEAD, STRUCTURES, TRANSTHALAMIC, TRANSVENTRICULAR
from neurosono.training.detect.data import DetectData, write_detect_data
from neurosono.training.detect.rows import Labelled, Row
from neurosono.training.squares import PHANTOM

SIZE_PX = 96


def draw_square(rng: np.random.Generator, plane: str) -> tuple[np.ndarray, Row]:
    """Return a small square with a skull and, in one plane, a dark ventricle; and what is known."""
    square = np.clip(rng.normal(60, 12, (SIZE_PX, SIZE_PX)), 0, 255).astype(np.uint8)
    head, boxes = None, []
    if plane != NO_HEAD:
        a = rng.uniform(30, 40)
        cx, cy = rng.uniform(42, 54, 2)
        head = Ellipse(cx, cy, a, a * 0.8, rng.uniform(-15, 15))
        cv2.polylines(square, [np.rint(head.points()).astype(np.int32)], True, (240,), 3)
        if plane == TRANSVENTRICULAR:
            box = RotatedBox(cx + 8, cy + 8, 26, 9, head.angle_deg)
            cv2.fillPoly(square, [np.rint(box.corners()).astype(np.int32)], (0,))
            boxes.append(Labelled("lv", box))
    number = int(rng.integers(10_000))
    row = Row(
        path=f"drawn/{number}",
        source=str(rng.choice([PHANTOM, "drawn"])),
        patient=f"p{number}",
        machine=str(rng.choice(["A", "B"])),
        planes=(plane,),
        known=STRUCTURES,
        boxes=tuple(boxes),
        head=head,
        head_known=True,
        mm_per_px=0.9,
    )
    return square, row


def write_drawn_data(root: Path, count: int, seed: int = 0) -> DetectData:
    """Write and open the data of `count` drawn squares of three planes in turn."""
    rng = np.random.default_rng(seed)
    planes = (TRANSVENTRICULAR, TRANSTHALAMIC, NO_HEAD)
    found = [draw_square(rng, planes[k % 3]) for k in range(count)]
    return write_detect_data(root, found, ["drawn by a test"])


PLANES_COLUMNS = [
    "path",
    "image",
    "patient",
    "plane",
    "machine",
    "csp_visible",
    "lv_visible",
    "width",
    "height",
    "native_aspect",
    "copy_of",
]
_MARKS = [f"{kind}_{part}" for kind in ("csp", "lv") for part in ("cx", "cy", "w", "h", "angle")]
_HEAD = [f"head_{part}" for part in ("cx", "cy", "a", "b", "angle")]
STRUCTURES_COLUMNS = ["path", "image", "patient", "machine", "width", "height", "native_aspect"]
STRUCTURES_COLUMNS += [*_HEAD, *_MARKS]
HEADS_COLUMNS = [
    "path",
    "subject",
    "pixel_mm",
    "hc_mm",
    "cx",
    "cy",
    "a",
    "b",
    "angle",
    "width",
    "height",
    "outline_cut",
]


def write_table(path: Path, columns: list[str], *lines: dict[str, object]) -> None:
    """Write a table with these columns; what a line does not say is empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, columns, restval="")
        table.writeheader()
        table.writerows(lines)


def write_picture(path: Path, width: int, height: int, head: Ellipse | None = None) -> None:
    """Write a grey picture, with a skull where one is asked for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.full((height, width), 50, np.uint8)
    if head is not None:
        cv2.polylines(picture, [np.rint(head.points()).astype(np.int32)], True, (240,), 2)
    cv2.imwrite(str(path), picture)
