"""How many frames a reader read of an exam, and why not the others."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from neurosono.engine.contracts.frame import SkipReason
from neurosono.engine.contracts.reader import ReaderResult


class Counted:
    """Counts of frames: all that can be told without the bundle; exams of readers add to it."""

    def __init__(self) -> None:
        self._used, self._skipped = 0, Counter[str]()

    def update(self, seen: ReaderResult, /) -> dict[str, float] | None:
        """Count a frame."""
        self._count(seen)
        return None

    def _count(self, seen: ReaderResult) -> dict[str, Any] | None:
        """Count a frame; returns what was said of it, None where it was passed over."""
        if seen.said is None:
            self._skipped[str(seen.skip_reason)] += 1
        else:
            self._used += 1
        return seen.said

    def snapshot(self) -> dict[str, Any]:
        """Return `frames`."""
        skipped = dict(self._skipped)
        sampled = self._used + sum(skipped.values())
        return {"frames": {"sampled": sampled, "used": self._used, "skipped": skipped}}

    def to_json(self) -> dict[str, Any]:
        """Return all that `take_up` needs, exactly."""
        return {"used": self._used, "skipped": dict(self._skipped)}

    def take_up(self, found: Mapping[str, Any], /) -> None:
        """Go on where `to_json` was said; raises `KeyError`, `TypeError`, `ValueError`."""
        used, skipped = int(found["used"]), found["skipped"].items()
        self._skipped = Counter({str(SkipReason(name)): int(n) for name, n in skipped})
        self._used = used
