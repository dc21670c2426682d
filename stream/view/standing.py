"""Whether an engine's answers may be shown: it is ready, not given up, and not late.

Pure: the clock is handed in.
"""

from dataclasses import dataclass, field

from neurosono.engine.contracts.frame import SkipReason
from neurosono.stream.view.reading import AiState
from neurosono.stream.view.state import LATE_MS

WAIT_MS = 400.0
"""The longest an answer may be awaited: with the time to the next picture and its drawing, nothing
of an engine that hangs is shown 500 ms after it began to."""

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

    def expect(self, seq: int, captured_ns: int) -> None:
        """A frame was sent to the engine."""
        if self.off_reason is None:
            self._awaited[seq] = captured_ns

    def answer(self, seq: int, captured_ns: int, skip_reason: SkipReason | None) -> None:
        """An answer came; an engine answers in order, so for older frames none will any more."""
        self._awaited = {each: at_ns for each, at_ns in self._awaited.items() if each > seq}
        if skip_reason not in UNJUDGED:
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

    def judge(self, now_ns: int) -> tuple[AiState, str]:
        """Return how it stands now, and why it is not on."""
        if self.off_reason is not None:
            return AiState.OFF, self.off_reason
        if not self.engine:
            return AiState.STARTING, "the engine is loading"
        if self.realtime and self._awaited:
            late_ms = (now_ns - self._awaited[min(self._awaited)]) / 1e6
            if late_ms > WAIT_MS:
                return AiState.OFF, f"the engine is {late_ms / 1000:.1f} s late"
        if (age_ms := self.age_ms(now_ns)) > LATE_MS:
            return AiState.OFF, f"the engine's last answer is {age_ms / 1000:.1f} s old"
        return AiState.ON, ""
