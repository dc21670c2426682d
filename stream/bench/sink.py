"""The closed loop's sink: draws every overlay and writes every line, but keeps no picture."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neurosono.engine.contracts.frame import DisplayFrame
from neurosono.engine.contracts.manifest import Manifest
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.contracts.result import ExamSnapshot, Result
from neurosono.stream.bench.glass import GlassLog
from neurosono.stream.bench.resources import UsageReader
from neurosono.stream.bench.trace import Judged, Shown, Trace
from neurosono.stream.replay.outputs import Outputs
from neurosono.stream.view.state import AiState, OverlayState


class MeasuringSink(Outputs):
    """A replay's own outputs in `folder`, the overlay's video only where `record`, and a trace.

    `period` is that of the source's numbers (see `GlassLog`), 0 where it has none.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        *,
        record: bool,
        period: int,
        readers: tuple[str, ...] = (),
    ) -> None:
        super().__init__(folder, manifest, video=record, readers=readers)
        self._usage = UsageReader()
        glass = GlassLog(period) if period else None
        self.trace = Trace(asked_ns=time.monotonic_ns(), glass=glass)

    def open(self, rate_hz: float, pids: Mapping[str, int]) -> None:
        """Begin: the source is open and plays at about `rate_hz`; `pids` are the processes'."""
        super().open(rate_hz, pids)
        self.trace.rate_hz, self._pids = rate_hz, pids

    def write(self, result: Result) -> None:
        """Take one sampled frame's result."""
        super().write(result)
        self.trace.judged[result.seq] = Judged(result.seq, result.skip_reason, result.stage_ms)

    def read(self, reading: ReaderResult) -> None:
        """Take what a bundle beside the first says of a frame."""
        super().read(reading)
        self.trace.hear(reading)

    def show(self, picture: DisplayFrame, state: OverlayState) -> None:
        """Draw one picture's overlay, note the moments, and read the canvas as an eye would."""
        drawn = self.draw(picture, state)
        glass = self.trace.glass
        self.trace.shown.append(
            Shown(
                index=picture.index,
                seq=picture.seq,
                due_ns=None,
                captured_ns=picture.captured_ns,
                begun_ns=drawn.begun_ns,
                drawn_ns=drawn.drawn_ns,
                done_ns=drawn.done_ns,
                ai_on=state.ai is AiState.ON,
                result_seq=None if state.result is None else state.result.seq,
                seen=None if glass is None else glass.look(drawn.canvas, picture.index),
                stage_ms=picture.stage_ms,
            )
        )
        self.shown += 1
        if state.ai is AiState.ON:
            self._usage.look(self._pids, self.shown, drawn.done_ns, self.trace.readings)

    def finish(
        self, exam: ExamSnapshot, about: dict[str, Any], frames: dict[str, Any]
    ) -> dict[str, Any]:
        """Take the accounts of the run, too."""
        self.trace.frames, self.trace.engine = dict(frames), dict(about["engine"])
        return super().finish(exam, about, frames)
