"""What is asked of a whole batch, as tensors: stacked from pictures' targets, or made as one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from neurosono.training.detect.targets import Targets, centreness_of


@dataclass(frozen=True)
class Aims:
    """Of B pictures with N locations, C structures, P planes: see `Targets`.

    `labels` (B, N) int64; `sides` (B, N, 4), `near` (B, N) and `turns` (B, N, 2) float32; `shaped`
    (B, N), `known` and `seen` (B, C), `planes` (B, P), `head_known` (B,) bool; `head` (B, h, w).
    """

    labels: Tensor
    sides: Tensor
    near: Tensor
    turns: Tensor
    shaped: Tensor
    known: Tensor
    seen: Tensor
    planes: Tensor
    head: Tensor
    head_known: Tensor

    @classmethod
    def stacked(cls, targets: Sequence[Targets], device: torch.device) -> "Aims":
        """Return the batch of pictures' targets on a device."""

        def stack(arrays: list[np.ndarray]) -> Tensor:
            return torch.from_numpy(np.stack(arrays)).to(device)

        return cls(
            labels=stack([each.labels for each in targets]),
            sides=stack([each.sides for each in targets]),
            near=stack([centreness_of(each.sides) for each in targets]),
            turns=stack([each.turns for each in targets]),
            shaped=stack([each.shaped for each in targets]),
            known=stack([each.known for each in targets]),
            seen=stack([each.seen for each in targets]),
            planes=stack([each.planes for each in targets]),
            head=stack([each.head for each in targets]),
            head_known=torch.tensor([each.head_known for each in targets], device=device),
        )
