"""Many scanners on one server, as a simulation of events: who waits, and what is passed over.

A scanner samples at its rate, has one request in flight, and holds one frame more at most: the
newest wins. The server has one queue and `workers` that each judge one frame at a time, in the
order in which they came, and refuses what its queue cannot hold. Made so that known results of
queueing theory come out of it (`tests/stream/bench/test_queueing.py`).
"""

import heapq
import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurosono.engine.contracts.errors import InputError

LATE_MS = 500.0
"""An older answer is shown to nobody."""

Draw = Callable[[np.random.Generator], float]
"""Gives a time in milliseconds."""


@dataclass(frozen=True)
class Plan:
    """What is simulated.

    `rate_hz` is a scanner's, with `jitter` as a share of its interval (0: like a clock, each with a
    phase of its own; None: a Poisson process). `before_ms` is a picture's way before it is sent,
    `network_ms` the way to the server, and the way back. `queue` is how many may wait at the
    server, None: any number. Without `newest_wins` all is sent as it comes. A client gives up after
    `answer_ms`, and the server a request that waited for `patience_ms`.
    """

    scanners: int
    workers: int = 1
    rate_hz: float = 25.0
    jitter: float | None = 0.05
    before_ms: float = 0.0
    network_ms: float = 0.25
    queue: int | None = None
    newest_wins: bool = True
    answer_ms: float = 400.0
    patience_ms: float = math.inf
    seconds: float = 60.0
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.scanners, self.workers) < 1 or min(self.rate_hz, self.seconds) <= 0:
            raise InputError("scanners, workers, rate and seconds must be above 0")


@dataclass
class _Scanner:
    sampled: int = 0
    superseded: int = 0
    failed: int = 0
    ages_ms: list[float] = field(default_factory=list)
    in_flight: bool = False
    holds_ms: float | None = None
    """When the frame that waits was taken, if one does."""


@dataclass(frozen=True)
class Outcome:
    """What came of it; ages are of answers, from when their picture was taken."""

    ages_ms: np.ndarray
    waits_ms: np.ndarray
    sampled: int
    superseded: int
    failed: int
    busy: float
    by_scanner: tuple[int, ...]

    @property
    def judged(self) -> int:
        """How many frames were answered in time."""
        return len(self.ages_ms)

    @property
    def judged_share(self) -> float:
        """Which share of the sampled frames was."""
        return self.judged / max(1, self.sampled)

    @property
    def fairness(self) -> float:
        """Jain's index of the answers a scanner: 1 where all got as many, 1/n where one got all."""
        got = np.asarray(self.by_scanner, dtype=float)
        return float(got.sum() ** 2 / (len(got) * (got**2).sum())) if got.any() else 1.0

    def quantile_ms(self, level: float) -> float:
        """Return a quantile of the ages; infinite where nothing was answered."""
        return float(np.quantile(self.ages_ms, level)) if self.judged else math.inf


class _Run:
    """The state between two events; times in ms."""

    def __init__(self, plan: Plan, draw: Draw) -> None:
        self.plan, self._draw = plan, draw
        self._rng = np.random.default_rng(plan.seed)
        self._events: list[tuple[float, int, str, int, float]] = []
        self._count = 0
        self.scanners = [_Scanner() for _ in range(plan.scanners)]
        self._queue: deque[tuple[float, int, float]] = deque()
        self._free = plan.workers
        self.waits_ms: list[float] = []
        self.busy_ms = 0.0

    def run(self) -> None:
        """Sample for as long as was asked, and let what is under way end."""
        interval = 1e3 / self.plan.rate_hz
        for number in range(self.plan.scanners):
            self._push(self._rng.uniform(0.0, interval), "sample", number, 0.0)
        while self._events:
            now, _, what, number, taken = heapq.heappop(self._events)
            getattr(self, f"_on_{what}")(now, number, taken)

    def _push(self, at: float, what: str, number: int, taken: float) -> None:
        self._count += 1
        heapq.heappush(self._events, (at, self._count, what, number, taken))

    def _on_sample(self, now: float, number: int, _: float) -> None:
        plan, interval = self.plan, 1e3 / self.plan.rate_hz
        if now > plan.seconds * 1e3:
            return
        if plan.jitter is None:
            gap = self._rng.exponential(interval)
        else:
            gap = interval * (1.0 + plan.jitter * self._rng.uniform(-1.0, 1.0))
        self._push(now + gap, "sample", number, 0.0)
        scanner = self.scanners[number]
        scanner.sampled += 1
        self._push(now + plan.before_ms, "offer", number, now)

    def _on_offer(self, now: float, number: int, taken: float) -> None:
        """A frame is ready to be sent: it goes, or takes the place of the one that waited."""
        scanner = self.scanners[number]
        if scanner.in_flight and self.plan.newest_wins:
            scanner.superseded += scanner.holds_ms is not None
            scanner.holds_ms = taken
            return
        self._send(now, number, taken)

    def _send(self, now: float, number: int, taken: float) -> None:
        self.scanners[number].in_flight = True
        self._push(now + self.plan.network_ms, "arrive", number, taken)

    def _on_arrive(self, now: float, number: int, taken: float) -> None:
        if self._free:
            self._serve(now, now, number, taken)
        elif self.plan.queue is not None and len(self._queue) >= self.plan.queue:
            self._push(now + self.plan.network_ms, "refused", number, taken)
        else:
            self._queue.append((now, number, taken))

    def _serve(self, now: float, came: float, number: int, taken: float) -> None:
        took = self._draw(self._rng)
        self._free -= 1
        self.busy_ms += took
        self.waits_ms.append(now - came)
        self._push(now + took, "served", number, taken)

    def _on_served(self, now: float, number: int, taken: float) -> None:
        self._free += 1
        self._push(now + self.plan.network_ms, "answer", number, taken)
        while self._queue:
            came, other, began = self._queue.popleft()
            if now - came <= self.plan.patience_ms:
                self._serve(now, came, other, began)
                return
            self._push(now + self.plan.network_ms, "refused", other, began)

    def _on_answer(self, now: float, number: int, taken: float) -> None:
        scanner = self.scanners[number]
        if now - taken - self.plan.before_ms <= self.plan.answer_ms:
            scanner.ages_ms.append(now - taken)
        else:
            scanner.failed += 1
        self._next(now, number)

    def _on_refused(self, now: float, number: int, _: float) -> None:
        self.scanners[number].failed += 1
        self._next(now, number)

    def _next(self, now: float, number: int) -> None:
        scanner = self.scanners[number]
        scanner.in_flight = False
        held, scanner.holds_ms = scanner.holds_ms, None
        if held is None:
            return
        if now > self.plan.seconds * 1e3:
            scanner.superseded += 1  # by a frame that is not simulated any more
        else:
            self._send(now, number, held)


def simulate(plan: Plan, draw: Draw) -> Outcome:
    """Run a plan whose services take what `draw` gives; the same seed gives the same outcome.

    `sampled = judged + superseded + failed`, always.
    """
    run = _Run(plan, draw)
    run.run()
    ages = [np.asarray(each.ages_ms) for each in run.scanners]
    outcome = Outcome(
        ages_ms=np.concatenate(ages),
        waits_ms=np.asarray(run.waits_ms),
        sampled=sum(each.sampled for each in run.scanners),
        superseded=sum(each.superseded for each in run.scanners),
        failed=sum(each.failed for each in run.scanners),
        busy=run.busy_ms / (plan.seconds * 1e3 * plan.workers),
        by_scanner=tuple(map(len, ages)),
    )
    assert outcome.sampled == outcome.judged + outcome.superseded + outcome.failed
    return outcome


def draw_measured(summary: Mapping[str, float]) -> Draw:
    """Return services as a bench measured them: its p50, p95, p99 and max, joined by lines.

    Whatever was faster than p50 counts as p50, so no figure made of it is too good. Raises
    `InputError` where a quantile is missing.
    """
    try:
        points = [(0.0, summary["p50"]), (0.5, summary["p50"]), (0.95, summary["p95"])]
        points += [(0.99, summary["p99"]), (1.0, summary["max"])]
    except KeyError as error:
        raise InputError(f"a measured service needs p50, p95, p99 and max: no {error}") from error
    shares, values = (np.asarray(each, dtype=float) for each in zip(*points, strict=True))
    if (np.diff(values) < 0).any() or values[0] <= 0:
        raise InputError(f"quantiles must rise, and be above 0: {values.tolist()}")
    return lambda rng: float(np.interp(rng.uniform(), shares, values))


def draw_constant(ms: float) -> Draw:
    """Return services that all take as long."""
    return lambda _: ms


def count_scanners(
    plan: Plan, draw: Draw, *, p99_ms: float = 150.0, judged: float = 0.95, most: int = 4096
) -> tuple[int, Outcome | None]:
    """Return the most scanners that one server serves, and how well, by halving.

    Served is a scanner of whose frames the share `judged` is answered, 99 in 100 of them at most
    `p99_ms` old, with 0 late ones in 1,000 (over 500 ms); 0 and None where not even one is.
    """

    def try_count(scanners: int) -> Outcome | None:
        outcome = simulate(Plan(**{**vars(plan), "scanners": scanners}), draw)
        late = outcome.failed / max(1, outcome.sampled)
        worst = min(outcome.by_scanner) * scanners / max(1, outcome.sampled)
        good = outcome.quantile_ms(0.99) <= p99_ms and late <= 1e-3
        return outcome if good and min(worst, outcome.judged_share) >= judged else None

    best, found, step = 0, None, 1
    while best + step <= most and (outcome := try_count(best + step)) is not None:
        best, found, step = best + step, outcome, step * 2
    while step > 1:
        step //= 2
        if best + step <= most and (outcome := try_count(best + step)) is not None:
            best, found = best + step, outcome
    return best, found


def count_active(scanners: int, share: float, level: float = 0.999) -> int:
    """Return how many of `scanners` scan at once, in all but 1 - `level` of the moments.

    Each scans a `share` of the time, independently of the others; by the normal approximation with
    continuity correction, never fewer than the mean.
    """
    if not 0.0 <= share <= 1.0:
        raise InputError(f"the share of time in which a scanner scans must be 0 to 1: {share}")
    mean = scanners * share
    spread = math.sqrt(mean * (1.0 - share))
    z = _find_z(level)
    return min(scanners, math.ceil(mean + z * spread + (0.5 if spread else 0.0)))


def _find_z(level: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(level)


def describe(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome in words and numbers for a report."""
    return {
        "sampled": outcome.sampled,
        "judged_share": round(outcome.judged_share, 4),
        "superseded": outcome.superseded,
        "failed": outcome.failed,
        "age_ms": {
            name: round(outcome.quantile_ms(level), 1) if outcome.judged else None
            for name, level in (("p50", 0.5), ("p99", 0.99), ("p99_9", 0.999))
        },
        "busy": round(outcome.busy, 3),
        "fairness": round(outcome.fairness, 4),
    }
