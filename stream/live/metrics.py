"""What a live session tells a monitor: counts and ages, and nothing of what the AI thinks.

Every label is a word of a list in the code, so that no name can enter, and no series grows without
end. `docs/operations.md` has the table.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from neurosono.engine import __version__
from neurosono.engine.backends import BACKENDS
from neurosono.engine.contracts.frame import SkipReason
from neurosono.stream.journal.words import ERRORS, EVENTS, ROLES
from neurosono.stream.live.measures import AGES
from neurosono.stream.page.hub import Hub
from neurosono.stream.view.state import AiState

AGE_BUCKETS_S = (0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 1.0, 2.0, 5.0)
"""Fine where a session should be, and with an edge at 500 ms, after which an answer is late."""

FRAMES = ("decoded", "displayed", "dropped", "sampled", "used")
AI_WORDS = {
    AiState.ON: "on",
    AiState.OFF: "off",
    AiState.STARTING: "starting",
    AiState.NO_SIGNAL: "no-signal",
}
HISTOGRAM = "histogram"


@dataclass(frozen=True)
class Family:
    """One metric: what it is, the words of each of its labels, and what it means."""

    kind: str
    labels: Mapping[str, tuple[str, ...]]
    help: str


def _words(words: object) -> tuple[str, ...]:
    return tuple(sorted(map(str, words)))  # type: ignore[call-overload]


FAMILIES: dict[str, Family] = {
    "info": Family("gauge", {"version": (__version__,)}, "always 1; the release that runs"),
    "ai": Family(
        "gauge", {"state": _words(AI_WORDS.values())}, "1 at what the screen says, else 0"
    ),
    "engine": Family("gauge", {"backend": BACKENDS}, "1 at what judges or judged last, else 0"),
    "status_age_seconds": Family(
        "gauge", {}, "since the session last spoke; over 1 it is not well"
    ),
    "frames_total": Family(
        "counter", {"what": FRAMES}, "frames of the exam; a new one begins at 0"
    ),
    "frames_skipped_total": Family(
        "counter", {"reason": _words(SkipReason)}, "sampled frames of the exam without evidence"
    ),
    "age_seconds": Family(
        HISTOGRAM,
        {"what": AGES},
        "from when a picture was received to when it was handed to screens, painted, answered",
    ),
    "events_total": Family("counter", {"event": _words(EVENTS)}, "what the record was told"),
    "restarts_total": Family("counter", {"role": _words(ROLES)}, "processes started again"),
    "failures_total": Family(
        "counter", {"role": _words(ROLES), "error": _words(ERRORS)}, "last words of a child"
    ),
    "viewers": Family("gauge", {}, "screens that watch"),
    "display_pictures_total": Family(
        "counter",
        {"what": ("published", "encoded", "superseded", "painted")},
        "pictures on their way to screens",
    ),
    "display_replaced": Family("gauge", {}, "pictures that the viewers of now never got to see"),
    "commands_total": Family(
        "counter", {"what": ("taken", "refused")}, "what people at the screens asked for"
    ),
    "recording_pictures_total": Family(
        "counter", {"what": ("pictures", "dropped")}, "pictures filmed, and left out of the film"
    ),
}
"""Every metric there is, without its prefix `neurosono_`."""


class Metrics(Collector):
    """Collects when asked; hears events and ages meanwhile. Thread-safe as far as it is used."""

    def __init__(self, hub: Hub) -> None:
        """`hub` is where the session says how things stand."""
        # without, each age has a series more, which nobody asks for
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._hub = hub
        self._events: Counter[str] = Counter()
        self._restarts: Counter[str] = Counter()
        self._failures: Counter[tuple[str, str]] = Counter()
        self._backend: str | None = None
        self._registry = CollectorRegistry(auto_describe=False)
        self._ages = Histogram(
            "neurosono_age_seconds",
            FAMILIES["age_seconds"].help,
            ["what"],
            registry=self._registry,
            buckets=AGE_BUCKETS_S,
        )
        for what in AGES:
            self._ages.labels(what)  # there from the start, at nothing
        self._registry.register(self)

    def note_event(self, name: str, fields: Mapping[str, Any]) -> None:
        """Hear what the record was told; its words are the journal's."""
        self._events[name] += 1
        if name == "ready":
            self._backend = str(fields.get("backend"))
        elif name == "restarted":
            self._restarts[str(fields.get("role"))] += 1
        elif name == "failed":
            self._failures[str(fields.get("role")), str(fields.get("error"))] += 1

    def note_age(self, what: str, age_ms: float) -> None:
        """Hear an age, one of `AGES`."""
        self._ages.labels(what).observe(age_ms / 1e3)

    def render(self) -> bytes:
        """Return everything as Prometheus reads it."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield what stands now; what is not known yet is left out."""
        last = self._hub.last_status()
        status: Mapping[str, Any] = {} if last is None else last[0]
        counts = self._hub.counts
        recording = status.get("recording") or {}
        yield _fill("info", {(__version__,): 1})
        if last is not None:
            said = {word: int(status.get("ai") == state) for state, word in AI_WORDS.items()}
            yield _fill("ai", {(word,): on for word, on in said.items()})
            yield _fill("status_age_seconds", {(): last[1] / 1e3})
        if self._backend is not None:
            yield _fill("engine", {(name,): int(name == self._backend) for name in BACKENDS})
        frames = status.get("frames") or {}
        yield _fill("frames_total", {(name,): frames.get(name, 0) for name in FRAMES})
        skipped = frames.get("skipped") or {}
        yield _fill(
            "frames_skipped_total", {(str(each),): skipped.get(each, 0) for each in SkipReason}
        )
        yield _fill("events_total", {(name,): self._events[name] for name in EVENTS})
        yield _fill("restarts_total", {(role,): self._restarts[role] for role in sorted(ROLES)})
        # from nought, as a monitor sees no rise in what begins at one
        pairs = ((role, error) for role in sorted(ROLES) for error in sorted(ERRORS))
        yield _fill("failures_total", {pair: self._failures[pair] for pair in pairs})
        yield _fill("viewers", {(): self._hub.viewers()})
        shown = FAMILIES["display_pictures_total"].labels["what"]
        yield _fill("display_pictures_total", {(name,): getattr(counts, name) for name in shown})
        boxes = self._hub.mailboxes()
        yield _fill("display_replaced", {(): sum(box.replaced for box in boxes)})
        commands = {("taken",): counts.commands, ("refused",): counts.commands_refused}
        yield _fill("commands_total", commands)
        filmed = FAMILIES["recording_pictures_total"].labels["what"]
        yield _fill(
            "recording_pictures_total", {(name,): recording.get(name, 0) for name in filmed}
        )


def _fill(name: str, values: Mapping[Any, float]) -> Metric:
    """Return a family with its values; a word that no list has stays out."""
    family = FAMILIES[name]
    make = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    full = f"neurosono_{name}"
    found = make(full.removesuffix("_total"), family.help, labels=list(family.labels))
    for words, value in values.items():
        if all(word in known for word, known in zip(words, family.labels.values(), strict=True)):
            found.add_metric(list(words), float(value))
    return found
