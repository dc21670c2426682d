"""What a live session measures of itself, minute by minute: ages, memory, restarts, AI OFF."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from neurosono.stream.live.ages import Ages
from neurosono.stream.processes.usage import read_usage
from neurosono.stream.view.state import AiState

MINUTE_NS = 60_000_000_000
MOST_LISTED = 200
"""Restarts and spells that are listed one by one; all of them are counted."""

AGES = ("picture", "screen", "answer")
"""`picture`: from when a picture was received to when it was handed to the screens; `screen`: to
when a browser's word that it was painted came back; `answer`: to when its result was known."""

Counts = Callable[[], Mapping[str, Any]]


@dataclass
class Spell:
    """A time in which the AI was not on."""

    ai: str
    reason: str
    begun_s: float
    seconds: float = 0.0


@dataclass
class Measures:
    """Follows one session from `begun_ns`; `counts` tells its frames, as in `exam.json`."""

    begun_ns: int
    counts: Counts
    hear: Callable[[str, float], None] = lambda *_: None
    """Is told every age, too."""
    _whole: dict[str, Ages] = field(default_factory=lambda: {name: Ages() for name in AGES})
    _minute: dict[str, Ages] = field(default_factory=lambda: {name: Ages() for name in AGES})
    _timeline: list[dict[str, Any]] = field(default_factory=list)
    _memory: list[dict[str, Any]] = field(default_factory=list)
    _restarts: list[dict[str, Any]] = field(default_factory=list)
    _spells: list[Spell] = field(default_factory=list)
    _restarted: dict[str, int] = field(default_factory=dict)
    _spell: Spell | None = None
    _spell_count: int = 0
    _off_s: float = 0.0

    def add(self, what: str, age_ms: float) -> None:
        """Count an age, one of `AGES`."""
        self._minute[what].add(age_ms)
        self.hear(what, age_ms)

    def add_all(self, what: str, ages_ms: Sequence[float]) -> None:
        """Count several."""
        for age_ms in ages_ms:
            self.add(what, age_ms)

    def note_ai(self, ai: AiState, reason: str, now_ns: int) -> None:
        """Take what the screen says of the AI now."""
        if self._spell is not None and (ai is AiState.ON or self._spell.ai != ai):
            self._end_spell(now_ns)
        if ai is not AiState.ON and self._spell is None:
            self._spell = Spell(str(ai), reason, self._since_s(now_ns))

    def restart(self, role: str, now_ns: int) -> None:
        """A process is started again."""
        self._restarted[role] = self._restarted.get(role, 0) + 1
        if len(self._restarts) < MOST_LISTED:
            self._restarts.append({"role": role, "at_s": self._since_s(now_ns)})

    def look(self, pids: Mapping[str, int], now_ns: int) -> None:
        """Look at the processes once the session runs, and at every full minute from then on."""
        if not self._memory:
            self.weigh(pids, now_ns)
        elif now_ns - self.begun_ns >= (len(self._timeline) + 1) * MINUTE_NS:
            self.weigh(pids, now_ns)
            self._end_minute(now_ns)

    def weigh(self, pids: Mapping[str, int], now_ns: int) -> None:
        """Note what each process takes now: resident and own memory (MiB), CPU time so far."""
        found: dict[str, Any] = {"at_s": self._since_s(now_ns)}
        for role, pid in pids.items():
            usage = read_usage(pid)
            if usage is not None:
                found[role] = {
                    "resident": round(usage.resident_mib, 1),
                    "own": round(usage.own_mib, 1),
                    "cpu_s": round(usage.cpu_s, 2),
                }
        self._memory = [*self._memory[:1], found]

    def finish(self, now_ns: int) -> dict[str, Any]:
        """End the last minute and return everything; call `weigh` while the processes run."""
        self._end_spell(now_ns)
        self._end_minute(now_ns)
        return {
            "seconds": self._since_s(now_ns),
            "age_ms": {name: ages.summarise() for name, ages in self._whole.items()},
            "memory_mib": {"start": self._memory[0], "end": self._memory[-1]},
            "restarts": {"count": self._restarted, "listed": self._restarts},
            "ai_off": {
                "count": self._spell_count,
                "seconds": round(self._off_s, 3),
                "listed": [each.__dict__ for each in self._spells],
            },
            "timeline": self._timeline,
        }

    def _end_minute(self, now_ns: int) -> None:
        self._timeline.append(
            {
                "until_s": self._since_s(now_ns),
                "age_ms": {name: ages.summarise() for name, ages in self._minute.items()},
                "frames": dict(self.counts()),
                "memory_mib": self._memory[-1],
            }
        )
        for name in AGES:
            self._whole[name].merge(self._minute[name])
            self._minute[name] = Ages()

    def _end_spell(self, now_ns: int) -> None:
        spell, self._spell = self._spell, None
        if spell is None:
            return
        spell.seconds = round(self._since_s(now_ns) - spell.begun_s, 3)
        self._spell_count += 1
        self._off_s += spell.seconds
        if len(self._spells) < MOST_LISTED:
            self._spells.append(spell)

    def _since_s(self, now_ns: int) -> float:
        return round((now_ns - self.begun_ns) / 1e9, 3)
