"""An exam's events as a reader of its report needs them: stretches of time, and what happened."""

from dataclasses import dataclass, field
from typing import Any

from neurosono.engine.contracts.frame import SkipReason
from neurosono.engine.contracts.result import Result
from neurosono.stream.journal.reader import ExamSummary, RecordedEvent
from neurosono.stream.keep.proposals import FREEZE_S, THAW_S

SHORTEST_FREEZE_S, LONGEST_GAP_S = FREEZE_S, THAW_S


@dataclass(frozen=True)
class Stretch:
    """A time for which something held: `what` is `no-signal`, `ai-off`, `ai-hidden` or `frozen`."""

    what: str
    begin_s: float
    end_s: float


@dataclass(frozen=True)
class Incident:
    """What happened, in words, at a time since the exam began."""

    at_s: float
    words: str


@dataclass(frozen=True)
class History:
    """What happened over an exam of `duration_s`."""

    duration_s: float
    stretches: tuple[Stretch, ...]
    incidents: tuple[Incident, ...]

    def total_s(self, what: str) -> float:
        """Return for how long something held."""
        return sum(each.end_s - each.begin_s for each in self.stretches if each.what == what)


_STATES: dict[tuple[str, str], tuple[str, bool]] = {
    ("ai", "off"): ("ai-off", True),
    ("ai", "on"): ("ai-off", False),
    ("ai", "hidden"): ("ai-hidden", True),
    ("ai", "shown"): ("ai-hidden", False),
    ("signal", "no-signal"): ("no-signal", True),
    ("signal", "on"): ("no-signal", False),
}
"""What a state says begins (True) or ends."""


@dataclass
class HistoryMaker:
    """Hears an exam's results and events, each in order, and makes its history."""

    exam: ExamSummary
    _open: dict[str, float] = field(default_factory=dict)
    _stretches: list[Stretch] = field(default_factory=list)
    _incidents: list[Incident] = field(default_factory=list)
    _frozen: tuple[float, float] | None = None
    _ready: bool = False
    _last_s: float = 0.0

    def hear_result(self, at_s: float, result: Result) -> None:
        """Take the next result."""
        self._last_s = max(self._last_s, at_s)
        frozen = self._frozen
        if frozen is not None and (result.used or at_s - frozen[1] > LONGEST_GAP_S):
            self._end_freeze()
            frozen = None
        if result.skip_reason is SkipReason.FROZEN:
            self._frozen = (at_s if frozen is None else frozen[0]), at_s

    def hear_event(self, at_s: float, event: RecordedEvent) -> None:
        """Take the next event."""
        self._last_s = max(self._last_s, at_s)
        change = None
        if event.name == "state":
            change = _STATES.get((event.fields.get("part", ""), event.fields.get("value", "")))
        elif event.name == "ready":
            if not self._ready and "ai-off" not in self._open:
                self._open["ai-off"] = 0.0  # the engine was loading until now
            change = ("ai-off", False)
        if change is not None:
            self._ready = self._ready or change[0] == "ai-off"
            self._change(*change, at_s)
        if (words := tell(event.name, event.fields)) is not None:
            self._incidents.append(Incident(at_s, words))

    def finish(self, now_wall_ns: int) -> History:
        """Return the history; of an exam that runs, up to now."""
        exam = self.exam
        end_ns = now_wall_ns if exam.running else exam.ended_wall_ns
        end_s = self._last_s if end_ns is None else (end_ns - exam.begun_wall_ns) / 1e9
        end_s = max(end_s, self._last_s)
        self._end_freeze()
        for what in list(self._open):
            self._change(what, False, end_s)
        stretches = tuple(sorted(self._stretches, key=lambda each: each.begin_s))
        return History(end_s, stretches, tuple(self._incidents))

    def _change(self, what: str, begins: bool, at_s: float) -> None:
        if begins:
            self._open.setdefault(what, at_s)
        elif what in self._open:
            self._stretches.append(Stretch(what, self._open.pop(what), at_s))

    def _end_freeze(self) -> None:
        frozen, self._frozen = self._frozen, None
        if frozen is not None and frozen[1] - frozen[0] >= SHORTEST_FREEZE_S:
            self._stretches.append(Stretch("frozen", *frozen))


def tell(name: str, fields: dict[str, Any]) -> str | None:
    """Return an event in words, or None where it is no incident or is told elsewhere."""
    words = _WORDS.get(name)
    if words is None:
        return None
    known = {key: _say(value) for key, value in fields.items()}
    return words.format_map(_Known(known))


class _Known(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "?"


def _say(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.1f}"


_WORDS = {
    "ready": "the engine was ready ({backend} {precision}, {members} members)",
    "reader-ready": "the reader {reader} was ready ({backend} {precision})",
    "ensemble-ready": "the ensemble was ready ({backend} {precision}, {members} members)",
    "ensemble-failed": "the ensemble failed ({error}): the student went on alone",
    "carried-by": "from here on the {by} carried the result (ensemble: {judged} frames)",
    "resumed": "the exam was taken up again after its process had ended",
    "failed": "the {role} process reported {error}",
    "restarted": "the {role} process was started again",
    "gave-up": "the {role} process failed {count} times in a minute and stayed off",
    "lost": "the connection to the source was lost",
    "reconnected": "the source was connected again",
    "clock-jump": "the source's clock jumped by {step_s} s",
    "second-sender": "a second sender used the source's port; what it sent was not followed",
    "size-change": "the picture's size changed to {width_px} x {height_px}",
    "layout-change": "the ultrasound moved on the scanner's screen",
    "text-masked": "text inside the region was masked",
    "journal-held-up": "the record was held up for {for_ms} ms ({fault}); nothing of it is lost",
    "journal-lost": "{entries} entries of the record were lost",
}
