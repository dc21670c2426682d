"""What an exam of any kind is told as: lines of words, and a checklist."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Mark:
    """A line of a checklist: whether it was seen, in how many frames, and whether it is proven."""

    name: str
    seen: bool
    frames: int
    unproven: bool = False


@dataclass(frozen=True)
class Told:
    """`lines` say what there is to say, the most important first."""

    lines: tuple[str, ...] = ()
    marks: tuple[Mark, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"lines": list(self.lines), "marks": [dict(vars(mark)) for mark in self.marks]}
