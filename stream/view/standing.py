"""Whether an engine's answers may be shown: it is ready, not given up, and not late.

Pure: the clock is handed in.
"""

from dataclasses import dataclass, field

from neurosono.stream.view.reading import AiState

LATE_MS = 500.0
"""An answer that is older than this is no answer: the AI is OFF (docs/architecture.md, rule 1)."""


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

    def expect(self, seq: int, captured_ns: int) -> None:
        """A frame was sent to the engine."""
        if self.off_reason is None:
            self._awaited[seq] = captured_ns

    def answer(self, seq: int) -> None:
        """An answer came; an engine answers in order, so for older frames none will any more."""
        self._awaited = {each: at_ns for each, at_ns in self._awaited.items() if each > seq}

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
            if late_ms > LATE_MS:
                return AiState.OFF, f"the engine is {late_ms / 1000:.1f} s late"
        return AiState.ON, ""
