"""The sink that measures: draws every overlay and writes every line, but keeps no picture."""

import time
from pathlib import Path
from typing import Any

from neurosono.engine.contracts.frame import DisplayFrame
from neurosono.engine.contracts.manifest import Manifest
from neurosono.engine.contracts.result import ExamSnapshot, Result
from neurosono.stream.bench.glass import GlassLog
from neurosono.stream.bench.resources import find_processes, read_all
from neurosono.stream.bench.trace import Judged, Shown, Trace
from neurosono.stream.overlay.canvas import Overlay
from neurosono.stream.overlay.video import VideoWriter
from neurosono.stream.processes.ledger import Ledger
from neurosono.stream.replay.files import OVERLAY_NAME, FramesWriter
from neurosono.stream.view.state import AiState, OverlayState

READ_EVERY_NS = 500_000_000
"""Pause between two readings of CPU and memory; one takes 0.3 ms."""
SHARE_EVERY = 16
"""Readings to one that also reads what memory is shared, which takes 4 to 12 ms."""


class MeasuringSink:
    """A `Sink` that notes when what happened.

    `folder` takes `frames.jsonl`, and the overlay video where `record`. `period` is that of the
    source's numbers (see `GlassLog`), 0 where it has none.
    """

    def __init__(
        self, folder: Path, manifest: Manifest, *, record: bool, period: int, paced: bool
    ) -> None:
        self._paced = paced
        self._folder, self._manifest, self._record = folder, manifest, record
        self._frames: FramesWriter | None = FramesWriter(folder, manifest.labels)
        self._overlay: Overlay | None = None
        self._video: VideoWriter | None = None
        self._pids: dict[str, int] | None = None
        self._read_ns = 0
        self.shown = 0
        glass = GlassLog(period) if period else None
        self.trace = Trace(asked_ns=time.monotonic_ns(), glass=glass)

    @property
    def ledger(self) -> Ledger:
        """Which sampled frames are accounted for."""
        assert self._frames is not None
        return self._frames.ledger

    def open(self, rate_hz: float) -> None:
        """Begin: the source is open and plays at about `rate_hz`."""
        self.trace.rate_hz = rate_hz

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
                due_ns=picture.captured_ns if self._paced else None,
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
        self._read_usage(done_ns, on=state.ai is AiState.ON)

    def refresh(self, picture: DisplayFrame, state: OverlayState) -> None:
        """Draw the latest overlay anew with an answer, and note when it was finished."""
        if self._overlay is None or state.result is None or state.ai is not AiState.ON:
            return
        self._overlay.draw(picture.pixels, state)
        self.trace.refreshed.append((state.result.seq, time.monotonic_ns()))

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

    def _read_usage(self, now_ns: int, *, on: bool) -> None:
        if not on or now_ns - self._read_ns < READ_EVERY_NS:
            return
        self._read_ns = now_ns
        if self._pids is None:
            self._pids = find_processes()
        count = len(self.trace.readings)
        share = count % SHARE_EVERY == 0  # the first comes before anything is measured
        self.trace.readings.append(read_all(self._pids, self.shown, share=share))
