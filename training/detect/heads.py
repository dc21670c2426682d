"""Where the heads of pictures are, for closer looks: as marked, else as the network sees them."""

import numpy as np
import torch

from neurosono.engine.contracts.arrays import Integers, Pixels
from neurosono.engine.structures.answer import OUTPUTS, Answer, Grid
from neurosono.engine.structures.ellipse import Ellipse
from neurosono.engine.structures.looks import cut, find_head, glance_affine, placed
from neurosono.training.detect.data import DetectData
from neurosono.training.detect.network import Detector


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


@torch.inference_mode()
def ask(network: Detector, look: Pixels) -> Answer:
    """Return the answer of the float32 network itself to a look (L, L) uint8."""
    outputs = network(torch.from_numpy(look)[None, None])
    found = {name: each[0].numpy() for name, each in zip(OUTPUTS, outputs, strict=True)}
    return Answer(Grid(look.shape[0]), **found, labels=network.labels)
