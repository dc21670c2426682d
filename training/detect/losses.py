"""How wrong the detector is: FCOS's three losses, and those of angle, plane and head.

Only what is known of a picture counts: a class where nobody marked it teaches nothing, a head
whose plane was not told only that it shows one of a head's planes.
"""

import torch
from torch import Tensor
from torch.nn import functional

from neurosono.training.detect.aims import Aims
from neurosono.training.detect.network import Raw

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


def measure_losses(raw: Raw, aims: Aims) -> dict[str, Tensor]:
    """Return each loss, unweighted, of a batch.

    What does not count is masked, not picked out: picking would make a GPU wait for its processor.
    """
    hit = aims.labels >= 0
    shaped = aims.shaped & hit
    many, shapes = hit.sum().clamp(min=1), shaped.sum().clamp(min=1)
    centreness = functional.binary_cross_entropy_with_logits(
        raw.centreness.float(), aims.near, reduction="none"
    )
    return {
        "classes": _class_loss(raw.classes.float(), aims) / many,
        "sides": (_sides_loss(raw.sides.float(), aims.sides) * shaped).sum() / shapes,
        "centreness": (centreness * hit).sum() / many,
        "turns": (_turn_loss(raw.turns.float(), aims) * shaped).sum() / shapes,
        "seen": _seen_loss(raw.classes.float(), aims.seen),
        "planes": _plane_loss(raw.planes.float(), aims.planes),
        "head": _head_loss(raw.head.float(), aims),
    }


def weigh(losses: dict[str, Tensor]) -> Tensor:
    """Return the one number that is brought down."""
    return torch.stack([WEIGHTS[name] * loss for name, loss in losses.items()]).sum()


def _class_loss(logits: Tensor, aims: Aims) -> Tensor:
    """Focal loss over classes (B, N, C) of which the picture's marks are complete, or marked."""
    names = torch.arange(logits.shape[-1], device=logits.device)
    hit = aims.labels[..., None] == names  # -1 is none of them
    wanted = hit.to(logits.dtype)
    counts = (aims.known[:, None] | hit).to(logits.dtype)
    raw = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    p = torch.sigmoid(logits)
    right = p * wanted + (1 - p) * (1 - wanted)
    share = ALPHA * wanted + (1 - ALPHA) * (1 - wanted)
    return (share * (1 - right) ** GAMMA * raw * counts).sum()


def _seen_loss(logits: Tensor, seen: Tensor) -> Tensor:
    """Surprise that a structure that was seen stands nowhere, by its surest places (B, N, C).

    Of several places in a picture it is enough that the likeliest hold it (multiple instances:
    Dietterich et al. 1997, doi 10.1016/S0004-3702(96)00034-3).
    """
    surest = logits.topk(SUREST, dim=1).values.mean(1)  # (B, C)
    return (functional.softplus(-surest) * seen).sum() / seen.sum().clamp(min=1)


def _sides_loss(found: Tensor, wanted: Tensor) -> Tensor:
    """Generalised IoU (Rezatofighi et al. 2019, arXiv 1902.09630) in the box's frame, (B, N)."""
    area = (found[..., 0] + found[..., 2]) * (found[..., 1] + found[..., 3])
    true = (wanted[..., 0] + wanted[..., 2]) * (wanted[..., 1] + wanted[..., 3])
    least, most = torch.minimum(found, wanted), torch.maximum(found, wanted)
    shared = (least[..., 0] + least[..., 2]) * (least[..., 1] + least[..., 3])
    union = area + true - shared
    around = (most[..., 0] + most[..., 2]) * (most[..., 1] + most[..., 3])
    return 1 - shared / union.clamp(min=1e-6) + (around - union) / around.clamp(min=1e-6)


def _turn_loss(found: Tensor, aims: Aims) -> Tensor:
    """Squared distance of (cos, sin) (B, N), by how long the box is: a square has no angle."""
    w, h = aims.sides[..., 0] + aims.sides[..., 2], aims.sides[..., 1] + aims.sides[..., 3]
    long = 1 - torch.minimum(w, h) / torch.maximum(w, h).clamp(min=1e-6)
    return long * ((found - aims.turns) ** 2).sum(-1)


def _plane_loss(logits: Tensor, may: Tensor) -> Tensor:
    """Surprise that the plane is among those that it may be; one that is told is a bit doubted."""
    told = may.any(1)
    each = torch.log_softmax(logits, 1)
    surprise = -torch.logsumexp(each.masked_fill(~(may | ~told[:, None]), -torch.inf), 1)
    doubt = DOUBT * (may.sum(1) == 1)
    loss = (1 - doubt) * surprise - doubt * each.mean(1)
    return (loss * told).sum() / told.sum().clamp(min=1)


def _head_loss(logits: Tensor, aims: Aims) -> Tensor:
    """Cross-entropy and Dice (Milletari et al. 2016, arXiv 1606.04797) of the head's inside."""
    wanted, many = aims.head, aims.head_known.sum().clamp(min=1)
    found = torch.sigmoid(logits)
    both = (found * wanted).sum((1, 2))
    dice = 1 - (2 * both + 1) / (found.sum((1, 2)) + wanted.sum((1, 2)) + 1)
    raw = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    return ((raw.mean((1, 2)) + dice) * aims.head_known).sum() / many
