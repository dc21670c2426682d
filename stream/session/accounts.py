"""What each capture process counted, beside what is known of it by what came.

One that is killed said its last counts up to 200 ms before: what came after that counts as well, so
no number is ever below what was seen of it, and none negative.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from neurosono.engine.contracts.frame import DisplayFrame
from neurosono.stream.processes.ledger import Ledger


class Accounts:
    """Follows the capture processes of one session, one after the other."""

    def __init__(self, ledgers: Sequence[Ledger]) -> None:
        """`ledgers` are those of the engine and of every reader: each has each frame once."""
        self._ledgers = ledgers
        self.told: list[Mapping[str, Any]] = []
        """What each said last."""
        self._seen: list[Counter[str]] = []
        self._begun: list[tuple[int, int]] = []
        self._recorded_before: list[int] = []

    def begin(self, first_seq: int, first_index: int) -> None:
        """Another process begins to number its frames and pictures."""
        self.told.append({})
        self._seen.append(Counter())
        self._begun.append((first_seq, first_index))
        self._recorded_before = [ledger.recorded for ledger in self._ledgers]

    def hear(self, fields: Mapping[str, Any]) -> None:
        """Take what the process counted."""
        self.told[-1] = {**self.told[-1], **fields}

    def see(self, picture: DisplayFrame) -> None:
        """A picture came."""
        seen = self._seen[-1]
        seen["displayed"] += 1
        seen["decoded"] = max(seen["decoded"], picture.index + 1 - self._begun[-1][1])
        if picture.seq is not None:
            self.see_frame(picture.seq)

    def see_frame(self, seq: int) -> None:
        """Frame `seq` was sampled, whether or not its process came to count it."""
        for (first_seq, _), seen in zip(reversed(self._begun), reversed(self._seen), strict=True):
            if seq >= first_seq:
                seen["sampled"] = max(seen["sampled"], seq + 1 - first_seq)
                return

    def lose(self) -> None:
        """The process is gone for good: what came of it is all that it sampled."""
        self._seen[-1] = Counter()
        self.told[-1] = {"sampled": self._count_recorded()}

    def are_even(self) -> bool:
        """Whether every frame that this process sampled is on record with everybody.

        Of a process before it, that was killed, nothing more will come.
        """
        sampled = max(int(self.told[-1].get("sampled", 0)), self._seen[-1]["sampled"])
        return self._count_recorded() >= sampled

    def sum(self, what: str) -> int:
        """Return what all of them counted together."""
        told = (int(each.get(what, 0)) for each in self.told)
        return sum(max(count, seen[what]) for count, seen in zip(told, self._seen, strict=True))

    def _count_recorded(self) -> int:
        before = zip(self._ledgers, self._recorded_before, strict=True)
        return min(ledger.recorded - count for ledger, count in before)
