"""When a process counts as dead, and when it may be started again. Pure: the clock is handed in."""

from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto

NS = 1_000_000_000


class Action(Enum):
    """What to do about a process."""

    NONE = auto()
    RESTART = auto()
    GIVE_UP = auto()
    """It is started no more: five starts in a minute did not help."""


@dataclass(frozen=True)
class Patience:
    """How long a process may be silent, seconds.

    `quiet_s` once it has spoken, `start_s` until it first speaks, and twice as long with each start
    in a row that never spoke: on a machine that others keep busy each would be ended just before it
    was ready, for ever. Frigate's watchdog waits 10 s for a detector and 20 s for a camera; a
    sonographer cannot.
    """

    quiet_s: float
    start_s: float = 20.0


BACKOFF_S = (0.0, 0.5, 1.0, 2.0, 4.0)
"""How long after its last start a process may be started again, by how often it was within a
minute. One that dies at its start is tried ever more rarely; one that ran for a while, at once."""

RETRY_S = 1.0
"""Pause after a start that the system refused: memory or descriptors come back with time."""

MAX_RESTARTS = 5
WINDOW_S = 60.0

MOST_DOUBLINGS = 3
"""Of the patience with a start: 160 s at most, where the first had 20."""

FIRST_REST_S, LONGEST_REST_S = 5.0, 300.0
FORGIVEN_S = 600.0


@dataclass
class Absences:
    """How long what failed is left alone: a server, while an engine of this host stands in.

    Twice as long with each time within `FORGIVEN_S`: each costs the AI a second, and a server that
    comes and goes must not use up the restarts of the engine process.
    """

    _failed_ns: deque[int] = field(default_factory=deque)

    def note(self, now_ns: int) -> float:
        """It has failed; return for how long nobody is to ask it, seconds."""
        self._failed_ns.append(now_ns)
        while now_ns - self._failed_ns[0] > FORGIVEN_S * NS:
            self._failed_ns.popleft()
        return min(FIRST_REST_S * 2.0 ** (len(self._failed_ns) - 1), LONGEST_REST_S)


@dataclass
class Watch:
    """Follows one process: when it started, when it last spoke, how often it was restarted."""

    patience: Patience
    _started_ns: int = 0
    _heard_ns: int | None = None
    _refused_ns: int | None = None
    _restarts: deque[int] = field(default_factory=deque)
    _unspoken: int = 0
    """Starts in a row that were ended before they spoke."""
    given_up: bool = False

    def start(self, now_ns: int) -> None:
        """The process was started (again)."""
        self._started_ns, self._heard_ns, self._refused_ns = now_ns, None, None

    def postpone(self, now_ns: int) -> None:
        """The system refused to start it: it is tried again until it does, and none is counted."""
        self._refused_ns = now_ns

    def hear(self, now_ns: int) -> None:
        """The process said something."""
        self._heard_ns, self._unspoken = now_ns, 0

    def excuse(self, now_ns: int) -> None:
        """Nobody could listen until now: silence counts from here, but for a start from its own."""
        if self._heard_ns is not None:
            self._heard_ns = now_ns

    def silent_s(self, now_ns: int) -> float:
        """Return for how long nothing was heard, seconds."""
        since = self._started_ns if self._heard_ns is None else self._heard_ns
        return (now_ns - since) / NS

    def judge(self, now_ns: int, *, running: bool) -> Action:
        """Say what to do now; `running` is whether the process exists."""
        if self.given_up:
            return Action.NONE
        if self._refused_ns is not None:
            waited = now_ns - self._refused_ns >= RETRY_S * NS
            return Action.RESTART if waited else Action.NONE
        if running and self.silent_s(now_ns) <= self._limit_s():
            return Action.NONE
        while self._restarts and now_ns - self._restarts[0] > WINDOW_S * NS:
            self._restarts.popleft()
        if len(self._restarts) >= MAX_RESTARTS:
            self.given_up = True
            return Action.GIVE_UP
        if now_ns - self._started_ns < BACKOFF_S[len(self._restarts)] * NS:
            return Action.NONE
        self._restarts.append(now_ns)
        if running and self._heard_ns is None:
            self._unspoken += 1
        return Action.RESTART

    def _limit_s(self) -> float:
        if self._heard_ns is not None:
            return self.patience.quiet_s
        return self.patience.start_s * 2.0 ** min(self._unspoken, MOST_DOUBLINGS)

    @property
    def refused(self) -> bool:
        """Whether the system refused the last start, so that nothing runs and nothing died."""
        return self._refused_ns is not None

    @property
    def restarts(self) -> int:
        """Return how many restarts the last minute saw."""
        return len(self._restarts)
