"""Whether a picture waits for its own answer before it is drawn, where age counts."""

import math

HOLD_MS = 12.0
"""How long a picture waits: one int8 member answers in 5 to 8 ms, and nobody sees 12."""


class Patience:
    """Lets pictures wait as long as answers come soon enough; after one that did not, none waits.

    A picture that is drawn at once is drawn again with its answer, and the first drawing takes the
    cores from the very network that it waits for: at 1920x1080 answers were 2 to 3 ms older.
    """

    def __init__(self) -> None:
        self._seq: int | None = None
        self._came_ns = 0
        self._soon = False

    def see(self, seq: int, now_ns: int) -> None:
        """The picture of frame `seq` has come."""
        self._seq, self._came_ns = seq, now_ns

    def hear(self, seq: int, now_ns: int) -> None:
        """The answer to frame `seq` has come; that to an older one says nothing."""
        if seq == self._seq:
            self._soon = now_ns - self._came_ns <= HOLD_MS * 1e6

    def left_ms(self, now_ns: int) -> int:
        """Return for how long the picture at hand may still wait, 0 where it is to be drawn."""
        if not self._soon:
            return 0
        left_ms = math.ceil(HOLD_MS - (now_ns - self._came_ns) / 1e6)
        if left_ms <= 0:
            self._soon = False
        return max(0, left_ms)
