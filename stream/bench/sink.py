"""The closed loop's sink: draws every overlay and writes every line, but keeps no picture."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neurosono.engine.contracts.frame import DisplayFrame
from neurosono.engine.contracts.manifest import Manifest
from neurosono.engine.contracts.result import ExamSnapshot, Result
from neurosono.stream.bench.glass import GlassLog
from neurosono.stream.bench.resources import UsageReader
from neurosono.stream.bench.trace import Judged, Shown, Trace
from neurosono.stream.overlay.canvas import Overlay
from neurosono.stream.overlay.video import VideoWriter
from neurosono.stream.replay.files import OVERLAY_NAME, FramesWriter
from neurosono.stream.view.state import AiState, OverlayState


class MeasuringSink:
    """A `Sink` that notes when what happened.

    `folder` takes `frames.jsonl`, and the overlay video where `record`. `period` is that of the
    source's numbers (see `GlassLog`), 0 where it has none.
    """

    def __init__(self, folder: Path, manifest: Manifest, *, record: bool, period: int) -> None:
        self._folder, self._manifest, self._record = folder, manifest, record
        self._frames: FramesWriter | None = FramesWriter(folder, manifest.labels)
        self._overlay: Overlay | None = None
        self._video: VideoWriter | None = None
        self._usage = UsageReader()
        self.shown = 0
        glass = GlassLog(period) if period else None
        self.trace = Trace(asked_ns=time.monotonic_ns(), glass=glass)

    def open(self, rate_hz: float, pids: Mapping[str, int]) -> None:
        """Begin: the source is open and plays at about `rate_hz`; `pids` are the processes'."""
        self.trace.rate_hz, self._pids = rate_hz, pids

    def write(self, result: Result) -> None:
        """Take one sampled frame's result."""
        assert self._frames is not None
        self._frames.write(result)
        self.trace.judged[result.seq] = Judged(result.seq, result.skip_reason, result.stage_ms)

    def show(self, picture: DisplayFrame, state: OverlayState) -> None:
        """Draw one picture's overlay, note the moments, and read the canvas as an eye would."""
        begun_ns = time.monotonic_ns()
        if self._overlay is None:
            self._overlay = self._open_overlay(picture)
        canvas = self._overlay.draw(picture.pixels, state)
        drawn_ns = time.monotonic_ns()
        if self._video is not None:
            self._video.write(canvas, picture.pts_s)
        done_ns = time.monotonic_ns()
        self.trace.shown.append(
            Shown(
                index=picture.index,
                seq=picture.seq,
                due_ns=None,
                captured_ns=picture.captured_ns,
                begun_ns=begun_ns,
                drawn_ns=drawn_ns,
                done_ns=done_ns,
                ai_on=state.ai is AiState.ON,
                result_seq=None if state.result is None else state.result.seq,
                seen=self._look(canvas, picture.index),
                stage_ms=picture.stage_ms,
            )
        )
        self.shown += 1
        if state.ai is AiState.ON:
            self._usage.look(self._pids, self.shown, done_ns, self.trace.readings)

    def finish(
        self, exam: ExamSnapshot, about: dict[str, Any], frames: dict[str, Any]
    ) -> dict[str, Any]:
        """Take the accounts of the run."""
        del exam
        self.trace.frames, self.trace.engine = dict(frames), dict(about["engine"])
        if self._video is not None:
            self._video.close()
        if self._frames is not None:
            self._frames.close()
        self._video, self._frames = None, None
        return about | {"frames": frames}

    def abort(self) -> None:
        """Leave nothing of this run behind."""
        self.close_files()

    def close_files(self) -> None:
        """Drop what was not finished."""
        if self._video is not None:
            self._video.abort()
        if self._frames is not None:
            self._frames.abort()
        self._video, self._frames = None, None

    def _open_overlay(self, picture: DisplayFrame) -> Overlay:
        height, width = picture.pixels.shape[:2]
        manifest = self._manifest
        overlay = Overlay((height, width), manifest.labels, manifest.preprocessing)
        if self._record:
            path = self._folder / OVERLAY_NAME
            self._video = VideoWriter(path, overlay.canvas_px, self.trace.rate_hz)
        return overlay

    def _look(self, canvas: Any, index: int) -> int | None:
        return None if self.trace.glass is None else self.trace.glass.look(canvas, index)
