"""Teaching the letter finder: every page is written anew, on a background never used for tests."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
import torch
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from neurosono.engine.contracts.arrays import Flags, Pixels
from neurosono.training.letters.network import STRIDE, LetterNetwork
from neurosono.training.letters.typefaces import Typeface
from neurosono.training.letters.writing import write_page

PAGE_PX = 256
RING = np.ones((3, 3), dtype=np.uint8)
"""Of answers: those that touch letters may say either."""
LETTER_WEIGHT = 2.0
"""Of an answer on letters: to leave a name legible is worse than to hide a little tissue."""
MISTAKEN_SHARE = 0.5
"""Of the squares cut out of a picture with mistakes: those that show one."""

KEPT = 0.998
"""Of the running mean of the weights, each step: the mean of some 500 steps is what is written."""


@dataclass(frozen=True, eq=False)
class Background:
    """A picture to write on, `(h, w)` grey, and where it may carry letters already.

    `mistaken` are boxes `x, y, w, h` where another network found letters that are none: half the
    squares that are cut out of such a picture show one. A `bare` one was generated, and nothing is
    written on it for certain.
    """

    pixels: Pixels
    unsure: Flags
    mistaken: tuple[tuple[int, int, int, int], ...] = ()
    bare: bool = False


@dataclass(frozen=True)
class Lesson:
    """How long and how fast."""

    steps: int = 4000
    pages: int = 10
    rate: float = 4e-3
    seed: int = 0
    warm_share: float = 0.1
    """Of the steps: until the full rate."""


def teach(
    backgrounds: Sequence[Background],
    faces: Sequence[Typeface],
    lesson: Lesson,
    watch: Callable[[int, float, LetterNetwork], None] = lambda *_: None,
    start: LetterNetwork | None = None,
) -> LetterNetwork:
    """Return a network taught on pages written for it; `watch` hears step, loss and the network.

    What is returned, and watched, is the running mean of the weights. `start`, as `read_network`
    gives it, is taught on with its normalisations as they are.
    """
    torch.manual_seed(lesson.seed)
    rng = np.random.default_rng(lesson.seed)
    network = LetterNetwork() if start is None else start
    averaged = get_ema_multi_avg_fn(KEPT)  # type: ignore[no-untyped-call]
    mean = AveragedModel(network, multi_avg_fn=averaged, use_buffers=True)
    kept = cast(LetterNetwork, mean.module)
    optimiser = torch.optim.AdamW(network.parameters(), lesson.rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, lesson.rate, total_steps=lesson.steps, pct_start=lesson.warm_share
    )
    for step in range(lesson.steps):
        network.train(start is None)
        levels, truth, weight = make_batch(backgrounds, faces, lesson.pages, rng)
        said = network.logits(levels)
        each = functional.binary_cross_entropy_with_logits(said, truth, weight, reduction="sum")
        loss = each / weight.sum()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        mean.update_parameters(network)
        watch(step + 1, float(loss.detach()), kept)
    return kept.eval()


def make_batch(
    backgrounds: Sequence[Background],
    faces: Sequence[Typeface],
    count: int,
    rng: np.random.Generator,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return pages `(n, 1, h, w)`, at a quarter of that the truth, and each answer's weight."""
    pages, truths, weights = [], [], []
    for _ in range(count):
        ground = cut_out(backgrounds[int(rng.integers(len(backgrounds)))], rng)
        page, _, reach = write_page(ground.pixels, rng, faces)
        truth = pool(reach)
        ring = cv2.dilate(truth.astype(np.uint8), RING) > 0
        weight = np.where(truth, LETTER_WEIGHT, np.where(ring | pool(ground.unsure), 0.0, 1.0))
        pages.append(page)
        truths.append(truth)
        weights.append(weight)
    return (
        torch.from_numpy(np.stack(pages)[:, None].astype(np.float32)),
        torch.from_numpy(np.stack(truths)[:, None].astype(np.float32)),
        torch.from_numpy(np.stack(weights)[:, None].astype(np.float32)),
    )


def pool(mask: Flags) -> Flags:
    """Return which answers have some of the mask."""
    h, w = (side // STRIDE for side in mask.shape)
    blocks = mask[: h * STRIDE, : w * STRIDE].reshape(h, STRIDE, w, STRIDE)
    return np.asarray(blocks.any(axis=(1, 3)))


def cut_out(ground: Background, rng: np.random.Generator, side: int = PAGE_PX) -> Background:
    """Return a square of a background at another scale, mirrored or not, brighter or darker."""
    least = side / min(ground.pixels.shape)
    scale = max(least, float(np.exp(rng.uniform(np.log(0.6), np.log(1.7)))))
    taken = min(int(side / scale), *ground.pixels.shape)
    y, x = (int(rng.integers(0, n - taken + 1)) for n in ground.pixels.shape)
    if ground.mistaken and rng.random() < MISTAKEN_SHARE:
        left, top, w, h = ground.mistaken[int(rng.integers(len(ground.mistaken)))]
        at = (top + h // 2, left + w // 2)
        y, x = (
            int(np.clip(middle - rng.integers(0, taken), 0, n - taken))
            for middle, n in zip(at, ground.pixels.shape, strict=True)
        )
    pixels = ground.pixels[y : y + taken, x : x + taken]
    unsure = ground.unsure[y : y + taken, x : x + taken].astype(np.uint8)
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    pixels = cv2.resize(pixels, (side, side), interpolation=way)
    unsure = cv2.resize(unsure, (side, side), interpolation=cv2.INTER_NEAREST)
    if rng.random() < 0.5:
        pixels, unsure = pixels[:, ::-1], unsure[:, ::-1]
    gain, gamma = rng.uniform(0.6, 1.5), rng.uniform(0.7, 1.4)
    curve = np.clip(255 * gain * (np.arange(256) / 255) ** gamma, 0, 255).astype(np.uint8)
    pixels = np.asarray(cv2.LUT(np.ascontiguousarray(pixels), curve), dtype=np.uint8)
    return Background(pixels, np.ascontiguousarray(unsure) > 0)
