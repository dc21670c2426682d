"""What the screen shows at each moment: the picture, the exam so far, and whether the AI is alive.

Pure bookkeeping: pictures and results go in, an `OverlayState` comes out. No clock of its own.
"""

from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from typing import Any

import numpy as np

from neurosono.engine.contracts.frame import DisplayFrame, SkipReason
from neurosono.engine.contracts.result import Result
from neurosono.stream.view.recent import Recent
from neurosono.stream.view.standing import Standing
from neurosono.stream.view.state import LATE_MS, AiState, Heatmap, OverlayState

__all__ = ["LATE_MS", "Viewer"]

SECOND_SENDER = "another device sends to this port: it is not followed"


@dataclass
class Viewer:
    """Follows one exam.

    `realtime` tells whether lateness counts: a lossless replay waits for each answer instead.
    """

    labels: tuple[str, ...]
    realtime: bool
    result: Result | None = None
    heatmap: Heatmap | None = None
    engine: InitVar[str] = ""
    no_signal: str | None = None
    source_said: str = ""
    """Why the last connection to a live source failed, where possible in the other side's words."""
    source_note: str = ""
    """What whoever scans should know of a live source that is well."""
    unrecorded: str | None = None
    """Why what is shown is not recorded; empty where it is, None where no record is kept."""
    decoded: int = 0
    displayed: int = 0
    sampled: int = 0
    recent: Recent = field(default_factory=Recent)
    _shown_skip: SkipReason | None = None
    _is_unanswered: bool = False
    """Whether the last frame that was asked for got no answer: a server is away."""

    def __post_init__(self, engine: str) -> None:
        self.standing = Standing(self.realtime, engine)

    @property
    def off_reason(self) -> str | None:
        """Why the engine was given up; None while it was not."""
        return self.standing.off_reason

    def see(self, picture: DisplayFrame) -> None:
        """Take the picture that is shown next."""
        self.displayed += 1
        self.decoded = picture.index + 1
        self.recent.see(picture)
        if picture.seq is None:
            self.standing.outlast(picture.captured_ns)
            return
        self.sampled = max(self.sampled, picture.seq + 1)
        off = self.off_reason is not None
        self._shown_skip = picture.skip_reason or (SkipReason.ENGINE_OFF if off else None)
        if self.result is None or picture.seq > self.result.seq:
            self.standing.expect(picture.seq, picture.captured_ns)

    def hear(self, result: Result) -> None:
        """Take a result, and with it the heatmap of the very picture that it was computed from."""
        if "network" in result.stage_ms:  # a frame that was skipped before says nothing of a server
            self._is_unanswered = False
        self.standing.answer(result.seq, result.captured_ns, result.skip_reason)
        heatmap = self.recent.hear(result)
        if self.result is not None and result.seq <= self.result.seq:
            return
        self.result = result
        own = self.recent.region_of(result.seq)
        if heatmap is not None and result.probabilities is not None and own is not None:
            self.heatmap = Heatmap(
                cam=heatmap,
                pixels=own,
                label=self.labels[int(np.argmax(result.probabilities))],
                seq=result.seq,
                pts_s=result.pts_s,
            )

    def miss(self) -> None:
        """A frame got no answer though the engine runs: AI OFF until the next one that does."""
        self._is_unanswered, self.heatmap = True, None
        self.standing.excuse()  # it is not late: the server is away, and said to be

    def turn_off(self, reason: str) -> None:
        """The engine is gone for good: nothing of it is shown any more."""
        self.standing.turn_off(reason)
        self.heatmap = None

    def turn_on(self, engine: str) -> None:
        """An engine is ready (again)."""
        self.standing.turn_on(engine)
        self._is_unanswered = False

    def note_source(self, name: str, fields: Mapping[str, Any]) -> None:
        """Hear what happened to a live source."""
        if name == "lost":
            self.source_said = str(fields.get("reason", ""))
        elif name == "connected":
            self.source_said = self.source_note = ""
        elif name == "second-sender":
            self.source_note = SECOND_SENDER

    def begin_exam(self) -> None:
        """Another exam: what was said of the one before is not shown any more."""
        self.result, self.heatmap = None, None
        self.standing.forget()

    def state(self, pts_s: float, now_ns: int) -> OverlayState:
        """Return what to show at `pts_s`; `now_ns` is the monotonic clock."""
        ai, reason = self.judge_engine(now_ns)
        used = 0 if self.result is None else self.result.exam.used
        return OverlayState(
            ai=ai,
            ai_reason=reason,
            result=self.result,
            heatmap=self.heatmap,
            skip_reason=self._shown_skip or self._refused_by_engine(),
            decoded=self.decoded,
            sampled=self.sampled,
            used=used,
            dropped=self.decoded - self.displayed,
            pts_s=pts_s,
            engine=self.standing.engine,
            unrecorded=self.unrecorded or "",
            opinion_age_ms=self.standing.age_ms(now_ns),
        )

    def _refused_by_engine(self) -> SkipReason | None:
        """Return why the engine refused the latest frame: only its result says so."""
        if self.off_reason is not None or self.result is None:
            return None
        reason = self.result.skip_reason
        of_engine = self.result.gate is not None or reason is SkipReason.UNFAMILIAR_TO_MODEL
        return reason if of_engine else None

    def judge_engine(self, now_ns: int) -> tuple[AiState, str]:
        """Return whether the AI is on, and why it is not."""
        if self.no_signal is not None:
            said = f": {self.source_said}" if self.source_said else ""
            return AiState.NO_SIGNAL, self.no_signal + said
        ai, reason = self.standing.judge(now_ns)
        unanswered = self._is_unanswered and self.off_reason is None and ai is not AiState.STARTING
        return (AiState.OFF, "the inference server gives no answer") if unanswered else (ai, reason)
