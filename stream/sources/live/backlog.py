"""How old the data of a live source are when we get to them, and what to do when they are too old.

Lag may never grow. A slow taker cannot make it grow (`sources.live.latest`); this is for a host
that cannot even decode as fast as pictures come.
"""

import time
from collections import deque
from collections.abc import Callable
from enum import Enum

LATE_MS = 100.0
"""Older pictures are decoded, for those that build on them, and not shown. Decision: operators
degrade beyond about 105 ms, and a newer picture is already there."""

FAR_BEHIND_MS = 500.0
"""Older ones are not even decoded: reading goes on at once to the next picture that stands alone.
Decision: an overlay over 500 ms old would not be shown either."""

WINDOW_S = 10.0
"""Over so long the quickest passage is looked for: long enough to meet one that waited nowhere,
short enough to follow a sender's clock that runs apart from ours."""

_WAITED_SHARE = 0.5
"""Who had to wait for a packet over half the time between two has none waiting behind it."""


class Handling(Enum):
    """What to do with a packet."""

    SHOW = "decode and show"
    DECODE = "decode only"
    DROP = "do not decode"


class Backlog:
    """Judges each packet by its age."""

    def __init__(self, late_ms: float = LATE_MS, far_behind_ms: float = FAR_BEHIND_MS) -> None:
        self._late_ms, self._far_behind_ms = late_ms, far_behind_ms
        self._is_dropping = False

    def judge(
        self, age_ms: float, *, is_followed: bool, stands_alone: Callable[[], bool]
    ) -> Handling:
        """Return what to do with a packet that is `age_ms` old.

        `is_followed` says whether newer data are here already: if not, this is the newest there is,
        and old as it may be, it is shown. `stands_alone` is asked whether decoding may begin here.
        """
        is_far_behind = is_followed and age_ms > self._far_behind_ms
        self._is_dropping = self._is_dropping or is_far_behind
        if self._is_dropping:
            # A key picture that is too old is not worth its long decoding: a newer one follows.
            if is_far_behind or not stands_alone():
                return Handling.DROP
            self._is_dropping = False
        return Handling.DECODE if is_followed and age_ms > self._late_ms else Handling.SHOW


class MediaAge:
    """The age of packets whose arrival is hidden inside FFmpeg, by their own timestamps.

    Their age is how much longer a packet took from its sender's clock to us than the quickest of
    the last `WINDOW_S`. A packet that we had to wait for is new, whatever its timestamp says: a
    sender with a wrong clock does not look like a backlog.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._passages: deque[tuple[int, float]] = deque()

    def measure_ms(self, media_s: float | None, asked_ns: int, now_ns: int) -> float:
        """Return the age of a packet that was asked for at `asked_ns` and came at `now_ns`."""
        if media_s is None:
            return 0.0
        passage_s = now_ns / 1e9 - media_s
        while self._passages and (self._passages[0][0] < now_ns - int(WINDOW_S * 1e9)):
            self._passages.popleft()
        # Only what may still become the smallest is kept, so the first is the smallest.
        while self._passages and self._passages[-1][1] >= passage_s:
            self._passages.pop()
        self._passages.append((now_ns, passage_s))
        if now_ns - asked_ns > _WAITED_SHARE * self._interval_s * 1e9:
            return 0.0
        return (passage_s - self._passages[0][1]) * 1e3


def device_age_ms(media_s: float | None) -> float | None:
    """Return the age of a capture card's picture, which the kernel stamps with its own clock.

    None if the stamp is not of our monotonic clock: some drivers use another.
    """
    if media_s is None:
        return None
    age_s = time.monotonic() - media_s
    return age_s * 1e3 if 0 <= age_s < WINDOW_S else None
