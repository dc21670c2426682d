"""Teaching the flow finder: flow and coloured notes, painted anew on every page."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from neurosono.training.flow.network import STRIDE, FlowNetwork
from neurosono.training.flow.painting import paint_flow

Notes = Callable[[NDArray[np.uint8], np.random.Generator], None]
"""Draws coloured notes on a picture, `(h, w, 3)` BGR, in place."""

LOOK_PX = 256
"""Longer side of what the network sees, at least: whole blocks of pixels are averaged."""
FLOW_WEIGHT = 1.5
"""Of an answer on flow."""
FEW = 6
"""Coloured pixels of sixteen from which an answer should be flow; fewer, and either will do."""


def shrink(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture averaged down as the finder sees it."""
    side = max(1, max(picture.shape[:2]) // LOOK_PX)
    height, width = (n // side for n in picture.shape[:2])
    whole = picture[: height * side, : width * side]
    return np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def make_page(
    ground: NDArray[np.uint8], notes: Notes, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a grey picture with flow, notes, both or neither on it, and sixteenths of flow."""
    picture = _tint(_zoom(ground, rng), rng)
    truth = np.zeros(picture.shape[:2], dtype=np.bool_)
    kind = rng.random()
    if kind < 0.5:
        for _ in range(rng.integers(1, 3)):
            truth |= paint_flow(picture, rng)
    if kind > 0.35:
        clean = picture.copy()
        notes(picture, rng)
        truth &= (picture == clean).all(axis=2)
    if rng.random() < 0.5:
        quality = int(rng.integers(40, 96))
        _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        picture = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)
    return shrink(picture), _share(truth)


def _share(truth: NDArray[np.bool_]) -> NDArray[np.uint8]:
    few = shrink((truth * np.uint8(255)).astype(np.uint8)) > 127
    h, w = (n // STRIDE for n in few.shape)
    blocks = few[: h * STRIDE, : w * STRIDE].reshape(h, STRIDE, w, STRIDE)
    return np.asarray(blocks.sum(axis=(1, 3)), dtype=np.uint8)


def _zoom(ground: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a piece of a grey picture, 512 x 384, so that one page is like another in size."""
    h, w = ground.shape
    part = rng.uniform(0.6, 1.0)
    ph, pw = int(h * part), int(w * part)
    y, x = int(rng.integers(0, h - ph + 1)), int(rng.integers(0, w - pw + 1))
    piece = cv2.resize(ground[y : y + ph, x : x + pw], (512, 384), interpolation=cv2.INTER_AREA)
    return np.asarray(piece[:, ::-1] if rng.random() < 0.5 else piece, dtype=np.uint8)


def _tint(grey: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    picture = cv2.cvtColor(np.ascontiguousarray(grey), cv2.COLOR_GRAY2BGR)
    if rng.random() < 0.35:
        gain = rng.uniform(0.55, 1.0, 3)
        gain /= gain.max()
        curve = 255 * (np.arange(256) / 255)[:, None] ** rng.uniform(0.8, 1.3, 3) * gain
        picture = cv2.LUT(picture, curve.astype(np.uint8)[None])
    return np.asarray(picture, dtype=np.uint8)


def teach(
    grounds: Sequence[NDArray[np.uint8]],
    notes: Notes,
    *,
    steps: int = 1200,
    pages: int = 12,
    rate: float = 6e-3,
    seed: int = 0,
    watch: Callable[[int, float], None] = lambda *_: None,
) -> FlowNetwork:
    """Return a network taught on pages painted for it; `watch` hears step and loss."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = FlowNetwork()
    optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    for step in range(steps):
        made = [
            make_page(grounds[int(rng.integers(len(grounds)))], notes, rng) for _ in range(pages)
        ]
        colours = np.stack([page.transpose(2, 0, 1) for page, _ in made]).astype(np.float32)
        share = torch.from_numpy(np.stack([share for _, share in made])[:, None].astype(np.float32))
        truth, weight = (share >= FEW).float(), ((share == 0) | (share >= FEW)).float()
        weight = weight * torch.where(truth > 0, FLOW_WEIGHT, 1.0)
        said = network.logits(torch.from_numpy(colours))
        each = functional.binary_cross_entropy_with_logits(said, truth, weight, reduction="sum")
        loss = each / weight.sum()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        watch(step + 1, float(loss))
    return network.eval()
