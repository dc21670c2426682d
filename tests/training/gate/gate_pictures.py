"""Small pictures that a gate can learn from in seconds: rings are heads, stripes are not."""

import cv2
import numpy as np
from numpy.typing import NDArray

from neurosono.training.gate.data import GateRow
from neurosono.training.squares import PHANTOM

SIDE_PX = 64


def draw(label: str, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a ring for a head or spine, a stripe for anything else."""
    picture = rng.integers(0, 40, (SIDE_PX, SIDE_PX)).astype(np.uint8)
    centre = tuple(int(each) for each in rng.integers(26, 38, 2))
    if label == "other":
        cv2.line(picture, (4, centre[1]), (60, centre[0]), 230, 4)
    else:
        cv2.circle(picture, centre, int(rng.integers(14, 20)), 230, 4)
    return picture


def draw_all(patients: int = 12, seed: int = 0) -> list[tuple[NDArray[np.uint8], GateRow]]:
    """Return two heads and two others of each patient, half of the patients phantoms."""
    rng = np.random.default_rng(seed)
    pairs = []
    for number in range(patients):
        source = PHANTOM if number % 2 else "clinic"
        for label in ("head", "head", "other", "other"):
            plane = "transthalamic" if source == PHANTOM and label == "head" else ""
            row = GateRow(f"{number}.png", source, f"{source}:{number}", label, plane)
            pairs.append((draw(label, rng), row))
    return pairs
