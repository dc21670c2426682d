"""Everything that a replay writes: all of it aside, and named only once whole."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurosono.engine.bundle import Bundle, write_json
from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.frame import DisplayFrame
from neurosono.engine.contracts.manifest import Manifest
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.contracts.result import ExamSnapshot, Result
from neurosono.engine.files import PRIVATE
from neurosono.stream.overlay.canvas import Overlay
from neurosono.stream.overlay.video import VideoWriter
from neurosono.stream.replay.best import BestFrames
from neurosono.stream.replay.files import (
    EXAM_NAME,
    OVERLAY_NAME,
    FramesWriter,
    lock_folder,
    prepare_folder,
)
from neurosono.stream.replay.options import ReplayOptions
from neurosono.stream.view.state import OverlayState
from neurosono.stream.view.summary import Latencies, describe_exam


def open_outputs(options: ReplayOptions, bundle: Bundle) -> "Outputs":
    """Open what a replay writes where nothing else is asked for; raises `OutputError`."""
    readers = tuple(options.load_readers())
    return Outputs(options.out, bundle.manifest, video=options.video, readers=readers)


@dataclass(frozen=True)
class Drawn:
    """One overlay, and when it was begun, drawn, and done with (monotonic clock)."""

    canvas: Pixels
    begun_ns: int
    drawn_ns: int
    done_ns: int


class Outputs:
    """A `Sink`: `overlay.mp4`, `frames.jsonl` and `exam.json` of one exam in the folder `out`.

    Every method raises `OutputError` where the place cannot be written.
    """

    def __init__(
        self, out: Path, manifest: Manifest, *, video: bool, readers: tuple[str, ...] = ()
    ) -> None:
        self._out, self._manifest, self._wants_video = out, manifest, video
        self._readers = len(readers)
        self._best = BestFrames()
        self._made = prepare_folder(out)
        self._lock: int | None = lock_folder(out)
        self._frames: FramesWriter | None = FramesWriter(out, manifest.labels, readers)
        self._overlay: Overlay | None = None
        self._video: VideoWriter | None = None
        self._rate_hz = 25.0
        self._latencies = Latencies()
        self.shown = 0

    def open(self, rate_hz: float, pids: Mapping[str, int]) -> None:
        """Begin: the source is open and plays at about `rate_hz`."""
        del pids
        self._rate_hz = rate_hz

    def write(self, result: Result) -> None:
        """Take one sampled frame's result."""
        assert self._frames is not None
        self._frames.write(result)
        self._latencies.add(result.stage_ms)

    def read(self, reading: ReaderResult) -> None:
        """Take what a reader says of one sampled frame."""
        assert self._frames is not None
        self._frames.read(reading)
        took_ms = reading.stage_ms.get("network")
        if took_ms is not None:
            self._latencies.add({f"reader:{reading.reader}": took_ms})

    def show(self, picture: DisplayFrame, state: OverlayState) -> None:
        """Draw one picture and write it."""
        self._best.see(state.readings)
        if self._wants_video:
            drawn = self.draw(picture, state)
            self._latencies.add(
                {
                    "overlay": (drawn.drawn_ns - drawn.begun_ns) / 1e6,
                    "display": (drawn.done_ns - drawn.drawn_ns) / 1e6,
                    "end_to_end": (drawn.done_ns - picture.captured_ns) / 1e6,
                }
            )
        self.shown += 1

    def draw(self, picture: DisplayFrame, state: OverlayState) -> "Drawn":
        """Draw one picture's overlay, and write it where a video is wanted."""
        begun_ns = time.monotonic_ns()
        if self._overlay is None:
            self._overlay = self._open_overlay(picture)
        canvas = self._overlay.draw(picture.pixels, state)
        drawn_ns = time.monotonic_ns()
        if self._video is not None:
            self._video.write(canvas, picture.pts_s)
        return Drawn(canvas, begun_ns, drawn_ns, time.monotonic_ns())

    def finish(
        self, exam: ExamSnapshot, about: dict[str, Any], frames: dict[str, Any]
    ) -> dict[str, Any]:
        """Give every file its name, `exam.json` last, and return what it holds."""
        assert self._frames is not None
        record = describe_exam(self._manifest.labels, exam)
        record |= about | {"frames": frames, "latency_ms": self._latencies.summarise()}
        record["gate"] = self._frames.gate.summarise()
        if self._video is not None:
            self._video.close()
        if self._frames is not None:
            self._frames.close()
        self._video, self._frames = None, None
        self._best.write(self._out)
        write_json(self._out / EXAM_NAME, record, mode=PRIVATE)
        return record

    def abort(self) -> None:
        """Leave nothing of this replay behind, nor the folder if it was made for it."""
        self.close_files()
        if self._made and self._out.is_dir() and not any(self._out.iterdir()):
            self._out.rmdir()

    def close_files(self) -> None:
        """Drop what was not finished; after `finish` there is nothing left to drop."""
        if self._video is not None:
            self._video.abort()
        if self._frames is not None:
            self._frames.abort()
        self._video, self._frames = None, None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _open_overlay(self, picture: DisplayFrame) -> Overlay:
        height, width = picture.pixels.shape[:2]
        manifest = self._manifest
        size, readers = (height, width), self._readers
        overlay = Overlay(size, manifest.labels, manifest.preprocessing, readers=readers)
        if self._wants_video:
            path = self._out / OVERLAY_NAME
            self._video = VideoWriter(path, overlay.canvas_px, self._rate_hz)
        return overlay
