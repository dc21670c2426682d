"""The learning rate of each step."""

import math
from dataclasses import dataclass


def warm_cosine(highest: float, part: float, warmup: float, least: float = 0.0) -> float:
    """Return the learning rate where `part` of the steps is done: a warm-up, then one cosine.

    It rises to `highest` over the share `warmup`, and falls to the share `least` of it.
    """
    if part < warmup:
        return highest * part / warmup
    return highest * max(0.5 * (1 + math.cos(math.pi * (part - warmup) / (1 - warmup))), least)


@dataclass(frozen=True)
class Schedule:
    """Linear warm-up, then a cosine down to `final_ratio` of the highest rate, step by step.

    Qi et al. 2025: warm-up over the first epoch, cosine to 1e-6 of the rate over the others. Steps
    count from 0; the first has `highest / warmup_steps`, the last of the warm-up `highest`, the
    very last `highest * final_ratio`.
    """

    highest: float
    steps: int
    warmup_steps: int
    final_ratio: float

    def rate(self, step: int) -> float:
        """Return the learning rate of `step`."""
        if step < self.warmup_steps:
            return self.highest * (step + 1) / self.warmup_steps
        span = max(1, self.steps - self.warmup_steps)
        progress = min(1.0, (step - self.warmup_steps + 1) / span)
        cosine = (1 + math.cos(math.pi * progress)) / 2
        return self.highest * (self.final_ratio + (1 - self.final_ratio) * cosine)
