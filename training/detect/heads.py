"""What the network itself sees in pictures that it learns from: heads, and what nobody marked."""

import numpy as np
import torch

from neurosono.engine.contracts.arrays import Integers, Pixels
from neurosono.engine.structures.answer import OUTPUTS, Answer, Grid
from neurosono.engine.structures.ellipse import Ellipse
from neurosono.engine.structures.looks import cut, find_head, glance_affine, look, placed
from neurosono.engine.structures.reading import read_answer
from neurosono.training.detect.data import DetectData
from neurosono.training.detect.network import Detector
from neurosono.training.detect.rows import Labelled, Marks

SURE_MARK = 0.4
"""Score from which on what somebody saw is taken to stand where the network sees it."""


def find_heads(
    network: Detector, data: DetectData, rows: Integers, look_px: int
) -> dict[int, Ellipse]:
    """Return the head's ellipse of each of `rows` that shows one, in pixels of its square.

    What looks like a head where there is none is in it, too: closer looks must learn to say so.
    """
    affine = glance_affine(data.size_px, look_px)
    found = {}
    for row in (int(each) for each in rows):
        head = data.rows[row].head
        if head is None:
            glance = ask(network, cut(np.array(data.frames[row]), affine, look_px))
            head = find_head(placed(glance, affine, data.size_px))
        if head is not None:
            found[row] = head
    return found


def find_seen(
    network: Detector, data: DetectData, rows: Integers, look_px: int
) -> dict[int, Marks]:
    """Return, of those of `rows` on which somebody saw a structure and nobody marked it, its box.

    Only where the network sees it, too, and surely: the surest place of each.
    """
    found = {}
    for row in (int(each) for each in rows if data.rows[each].seen):
        answer = look(np.array(data.frames[row]), look_px, lambda each: ask(network, each))
        boxes = read_answer(answer, data.size_px, data.size_px).boxes  # surest first
        of = {each.label: each.box for each in reversed(boxes) if each.score >= SURE_MARK}
        marks = tuple(Labelled(name, of[name]) for name in data.rows[row].seen if name in of)
        if marks:
            found[row] = marks
    return found


@torch.inference_mode()
def ask(network: Detector, look: Pixels) -> Answer:
    """Return the answer of the float32 network itself to a look (L, L) uint8."""
    outputs = network(torch.from_numpy(look)[None, None])
    found = {name: each[0].numpy() for name, each in zip(OUTPUTS, outputs, strict=True)}
    return Answer(Grid(look.shape[0]), **found, labels=network.labels)
