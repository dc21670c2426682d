"""How wrong the detector is: FCOS's three losses, and those of angle, plane and head.

Only what is known of a picture counts: a class where nobody marked it teaches nothing, a head
whose plane was not told only that it shows one of a head's planes.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from neurosono.training.detect.network import Raw
from neurosono.training.detect.targets import Targets, centreness_of

WEIGHTS = {
    "classes": 1.0,
    "sides": 1.0,
    "centreness": 0.5,
    "turns": 0.5,
    "seen": 0.2,
    "planes": 2.0,
    "head": 2.0,
}
"""Chosen so that each is about as large as the others after some hundred steps."""
SUREST = 4
"""Places of a structure that was seen and not marked: of a marked cavity some seven hold it."""
DOUBT = 0.1
"""Label smoothing (Szegedy et al. 2016, arXiv 1512.00567): people differ more often."""
ALPHA, GAMMA = 0.25, 2.0
"""Focal loss: Lin et al. 2017 (arXiv 1708.02002)."""


def measure_losses(raw: Raw, targets: Sequence[Targets]) -> dict[str, Tensor]:
    """Return each loss, unweighted, of a batch."""
    device = raw.classes.device
    labels = _stack([each.labels for each in targets], device)  # (B, N)
    hit = labels >= 0
    shaped = _stack([each.shaped for each in targets], device) & hit
    sides = _stack([each.sides for each in targets], device)
    near = _stack([centreness_of(each.sides) for each in targets], device)
    many, shapes = hit.sum().clamp(min=1), shaped.sum().clamp(min=1)
    return {
        "classes": _class_loss(raw.classes.float(), labels, targets) / many,
        "sides": _sides_loss(raw.sides.float()[shaped], sides[shaped]) / shapes,
        "centreness": functional.binary_cross_entropy_with_logits(
            raw.centreness.float()[hit], near[hit], reduction="sum"
        )
        / many,
        "turns": _turn_loss(raw, targets, shaped) / shapes,
        "seen": _seen_loss(raw.classes.float(), targets),
        "planes": _plane_loss(raw.planes.float(), targets),
        "head": _head_loss(raw.head.float(), targets),
    }


def weigh(losses: dict[str, Tensor]) -> Tensor:
    """Return the one number that is brought down."""
    return torch.stack([WEIGHTS[name] * loss for name, loss in losses.items()]).sum()


def _stack(arrays: list[np.ndarray], device: torch.device) -> Tensor:
    return torch.from_numpy(np.stack(arrays)).to(device)


def _class_loss(logits: Tensor, labels: Tensor, targets: Sequence[Targets]) -> Tensor:
    """Focal loss over classes (B, N, C) of which the picture's marks are complete, or marked."""
    wanted = torch.zeros_like(logits)
    at = (labels >= 0).nonzero(as_tuple=True)
    wanted[(*at, labels[at])] = 1
    known = _stack([each.known for each in targets], logits.device)[:, None]
    counts = (known | (wanted > 0)).to(logits.dtype)
    raw = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    p = torch.sigmoid(logits)
    right = p * wanted + (1 - p) * (1 - wanted)
    share = ALPHA * wanted + (1 - ALPHA) * (1 - wanted)
    return (share * (1 - right) ** GAMMA * raw * counts).sum()


def _seen_loss(logits: Tensor, targets: Sequence[Targets]) -> Tensor:
    """Surprise that a structure that was seen stands nowhere, by its surest places (B, N, C).

    Of several places in a picture it is enough that the likeliest hold it (multiple instances:
    Dietterich et al. 1997, doi 10.1016/S0004-3702(96)00034-3).
    """
    seen = _stack([each.seen for each in targets], logits.device)
    surest = logits.topk(SUREST, dim=1).values.mean(1)  # (B, C)
    return functional.softplus(-surest[seen]).sum() / seen.sum().clamp(min=1)


def _sides_loss(found: Tensor, wanted: Tensor) -> Tensor:
    """Generalised IoU (Rezatofighi et al. 2019, arXiv 1902.09630) in the box's frame, summed."""
    area = (found[:, 0] + found[:, 2]) * (found[:, 1] + found[:, 3])
    true = (wanted[:, 0] + wanted[:, 2]) * (wanted[:, 1] + wanted[:, 3])
    least, most = torch.minimum(found, wanted), torch.maximum(found, wanted)
    shared = (least[:, 0] + least[:, 2]) * (least[:, 1] + least[:, 3])
    union = area + true - shared
    around = (most[:, 0] + most[:, 2]) * (most[:, 1] + most[:, 3])
    return (1 - shared / union.clamp(min=1e-6) + (around - union) / around.clamp(min=1e-6)).sum()


def _turn_loss(raw: Raw, targets: Sequence[Targets], shaped: Tensor) -> Tensor:
    """Squared distance of (cos, sin), by how long the box is: a square has no angle."""
    wanted = _stack([each.turns for each in targets], raw.turns.device)[shaped]
    sides = _stack([each.sides for each in targets], raw.turns.device)[shaped]
    w, h = sides[:, 0] + sides[:, 2], sides[:, 1] + sides[:, 3]
    long = 1 - torch.minimum(w, h) / torch.maximum(w, h).clamp(min=1e-6)
    return (long * ((raw.turns.float()[shaped] - wanted) ** 2).sum(1)).sum()


def _plane_loss(logits: Tensor, targets: Sequence[Targets]) -> Tensor:
    """Surprise that the plane is among those that it may be; one that is told is a bit doubted."""
    may = _stack([each.planes for each in targets], logits.device)
    told = may.any(1)
    if not bool(told.any()):
        return logits.sum() * 0
    each, may = torch.log_softmax(logits[told], 1), may[told]
    surprise = -torch.logsumexp(each.masked_fill(~may, -torch.inf), 1)
    doubt = DOUBT * (may.sum(1) == 1)
    return ((1 - doubt) * surprise - doubt * each.mean(1)).mean()


def _head_loss(logits: Tensor, targets: Sequence[Targets]) -> Tensor:
    """Cross-entropy and Dice (Milletari et al. 2016, arXiv 1606.04797) of the head's inside."""
    known = torch.tensor([each.head_known for each in targets], device=logits.device)
    if not bool(known.any()):
        return logits.sum() * 0
    wanted = _stack([each.head for each in targets], logits.device)[known]
    found = torch.sigmoid(logits[known])
    both = (found * wanted).sum((1, 2))
    dice = 1 - (2 * both + 1) / (found.sum((1, 2)) + wanted.sum((1, 2)) + 1)
    raw = functional.binary_cross_entropy_with_logits(logits[known], wanted)
    return raw + dice.mean()
