"""Whether an engine's answers may be shown: it is ready, not given up, and not late.

Pure: the clock is handed in, and each time it is, lateness is noted.
"""

from dataclasses import dataclass, field

from neurosono.engine.contracts.frame import SkipReason
from neurosono.stream.view.reading import AiState
from neurosono.stream.view.state import LATE_MS

WAIT_MS = 400.0
"""The longest an answer may be awaited: with the time to the next picture and its drawing, nothing
of an engine that hangs is shown 500 ms after it began to."""

HELD_MS = 1000.0
"""For so long answers must have been in time, after late ones, until the AI is on again. An engine
that shares its core is late several times a second: a word that changes as often is not read."""

UNJUDGED = (SkipReason.SUPERSEDED, SkipReason.ENGINE_OFF)
"""What was not looked at makes no older word any younger."""


@dataclass
class Standing:
    """How one engine stands.

    `realtime` tells whether lateness counts: a lossless replay waits for each answer instead.
    `engine` is what runs, empty until it is ready; `off_reason` why it was given up.
    """

    realtime: bool
    engine: str = ""
    off_reason: str | None = None
    _awaited: dict[int, int] = field(default_factory=dict)
    """When each frame was captured whose answer has not come yet."""
    _current_ns: int | None = None
    """Up to when the last answer is known to be the latest word."""
    _word_seq: int = -1
    """The frame of the last answer."""
    _counted_seq: int = 0
    """The first frame whose answer tells whether the engine is in time."""
    _is_steady: bool = False
    """Whether such an answer was shown: what is late from here on is late by the engine itself."""
    _late_ns: int | None = None
    """When answers were late last, until the AI is on again."""

    def expect(self, seq: int, captured_ns: int) -> None:
        """A frame was sent to the engine."""
        if self.off_reason is None:
            self._awaited[seq] = captured_ns

    def answer(self, seq: int, captured_ns: int, skip_reason: SkipReason | None) -> None:
        """An answer came; an engine answers in order, so for older frames none will any more."""
        self._awaited = {each: at_ns for each, at_ns in self._awaited.items() if each > seq}
        if skip_reason not in UNJUDGED:
            self._word_seq = max(seq, self._word_seq)
            self._current_ns = max(captured_ns, self._current_ns or 0)

    def outlast(self, captured_ns: int) -> None:
        """A picture was shown that is not to be judged: the last answer is the latest word still.

        Not where a frame waits for its answer, nor after a pause.
        """
        last_ns = self._current_ns
        if last_ns is not None and not self._awaited and captured_ns - last_ns <= LATE_MS * 1e6:
            self._current_ns = captured_ns

    def forget(self) -> None:
        """Another exam began: nothing was said of it yet."""
        self._current_ns = None

    def age_ms(self, now_ns: int) -> float:
        """Return how old what it says is: since the picture that it is the latest word of.

        0 before the first word. A lossless replay has no clock: each picture waits for its answer.
        """
        if self._current_ns is None or not self.realtime:
            return 0.0
        return max(0.0, (now_ns - self._current_ns) / 1e6)

    def turn_off(self, reason: str) -> None:
        """The engine is gone: nothing of it is shown any more."""
        self.off_reason = reason
        self._awaited.clear()

    def turn_on(self, engine: str) -> None:
        """An engine is ready (again)."""
        self.engine, self.off_reason = engine, None
        self.excuse()

    def excuse(self) -> None:
        """What is late now is not the engine's doing: once it answers anew, that is shown at once.

        It has just begun, or those who bring it pictures or hear it were not there.
        """
        self._late_ns, self._is_steady = None, False
        self._counted_seq = max([*self._awaited, self._word_seq]) + 1

    def holds(self, now_ns: int) -> bool:
        """Whether answers were late a moment ago, so that nothing is shown yet."""
        return self._late_ns is not None and 0 <= now_ns - self._late_ns < HELD_MS * 1e6

    def judge(self, now_ns: int) -> tuple[AiState, str]:
        """Return how it stands now, and why it is not on."""
        if self.off_reason is not None:
            return AiState.OFF, self.off_reason
        if not self.engine:
            return AiState.STARTING, "the engine is loading"
        reason, blamed = self._tell_late(now_ns)
        if self._is_steady and (blamed or (reason and self.holds(now_ns))):
            self._late_ns = now_ns
        if reason:
            return AiState.OFF, reason
        if self.holds(now_ns):
            return AiState.OFF, "its answers were late; it is on again after a second in time"
        self._late_ns = None
        self._is_steady = self._is_steady or self._word_seq >= self._counted_seq
        return AiState.ON, ""

    def _tell_late(self, now_ns: int) -> tuple[str, bool]:
        """Return how late it is, empty where it is not, and whether that is the engine's doing."""
        if not self.realtime:
            return "", False
        waits_ns = self._awaited[min(self._awaited)] if self._awaited else None
        if waits_ns is not None and (late_ms := (now_ns - waits_ns) / 1e6) > WAIT_MS:
            return f"the engine is {late_ms / 1000:.1f} s late", True
        if (age_ms := self.age_ms(now_ns)) <= LATE_MS:
            return "", False
        # after a pause of the source nothing waits, or what came long after the last answer
        last_ns = self._current_ns or 0
        blamed = waits_ns is not None and waits_ns - last_ns <= LATE_MS * 1e6
        return f"the engine's last answer is {age_ms / 1000:.1f} s old", blamed
