"""Which decoded pictures go to the engine."""

from dataclasses import dataclass, field

from neurosono.engine.contracts.errors import InputError


@dataclass
class Sampler:
    """Take one picture in `every` (80 is the paper's), or `rate_hz` a second of source time.

    Counting starts anew with each clip, so the first picture of a clip, and every still, is taken.
    Raises `InputError` where both or neither is given, or one is not positive.
    """

    every: int | None = 1
    rate_hz: float | None = None
    _clip: int = field(default=-1, init=False)
    _count: int = field(default=0, init=False)
    _due_s: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        if (self.every is None) == (self.rate_hz is None):
            raise InputError("sample by --every N or by --fps F, one of the two")
        if self.every is not None and self.every < 1:
            raise InputError(f"--every must be 1 or more, found {self.every}")
        if self.rate_hz is not None and not 0 < self.rate_hz < 1e6:
            raise InputError(f"--fps must be above 0, found {self.rate_hz}")

    def take(self, clip: int, pts_s: float) -> bool:
        """Return whether to sample the next picture, which is of `clip` and shown at `pts_s`."""
        if clip != self._clip:
            self._clip, self._count, self._due_s = clip, 0, pts_s
        if self.every is not None:
            self._count += 1
            return (self._count - 1) % self.every == 0
        if pts_s < self._due_s - 1e-9:
            return False
        # From the grid, not from the frame, so that rounding does not lower the rate.
        period_s = 1.0 / float(self.rate_hz or 1.0)
        self._due_s += period_s * (int((pts_s - self._due_s) / period_s) + 1)
        return True
