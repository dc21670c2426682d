"""What a bundle beside the first says of one frame: declared here and nowhere else."""

from typing import Any, Self

from msgspec import field

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.frame import Frame, SkipReason, Stamped

Box = tuple[int, int, int, int]


class ReaderResult(Stamped, frozen=True):
    """What `reader`, a bundle by its name, says of the frame `seq`.

    `said` is in plain words and numbers, as the bundle's kind has it (`engine.kinds`), places in
    pixels of the source's own picture; None exactly where `skip_reason` says why nothing is said.
    `region_px` is where the ultrasound stands in that picture, `x, y, w, h`.
    """

    reader: str
    said: dict[str, Any] | None = None
    skip_reason: SkipReason | None = None
    region_px: Box | None = None
    stage_ms: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.said is None) == (self.skip_reason is None):
            raise InputError("a reader says something of a frame, or why it does not")

    @classmethod
    def of(cls, frame: Frame, reader: str, **said: Any) -> Self:
        """Return what `reader` says of `frame`: all that is stamped on it goes along."""
        stamps = {name: getattr(frame, name) for name in Stamped.__struct_fields__}
        return cls(**stamps, reader=reader, region_px=frame.region_px, **said)

    @property
    def used(self) -> bool:
        """Whether something was said of the frame."""
        return self.skip_reason is None

    def describe(self) -> dict[str, Any]:
        """Return the reading as files have it: what was said, and why it was not."""
        reason = None if self.skip_reason is None else str(self.skip_reason)
        ms = {stage: round(value, 3) for stage, value in self.stage_ms.items()}
        return {**(self.said or {}), "used": self.used, "skip_reason": reason, "ms": ms}
