"""What was on the screen, as a film, if asked for: written so that a power cut costs two seconds.

A film is fragmented MP4: what stands on the disk can be played, whatever happens next. Everything
here runs on a thread of its own, so that a slow disk costs pictures of the film and nothing else.
"""

import contextlib
import logging
import os
import queue
import shutil
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import av
import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.manifest import Manifest
from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.files import writing
from neurosono.stream.keep.film import Film
from neurosono.stream.overlay.canvas import Overlay
from neurosono.stream.overlay.video import TICKS_HZ, add_video_stream
from neurosono.stream.view.state import OverlayState

if TYPE_CHECKING:
    from av.container import OutputContainer

log = logging.getLogger(__name__)

MAX_WAITING = 4
"""Pictures that wait for the encoder; what comes then is left out of the film, and counted."""

FRAGMENT_S = 0.5
SYNC_S = 0.5
"""A fragment is whole after the one and on the disk after the other: together half of what a power
cut may cost."""

SEGMENT_S = 600.0
"""A file for every ten minutes: a damaged one costs no more than these."""

NICENESS = 10
"""Of the film's thread: on a busy machine the exam goes first."""

STREAM_RATE_HZ = 30.0
"""What a film's header says; its pictures carry their own times."""

_FAILURES = (OSError, av.FFmpegError)


@dataclass(frozen=True)
class _Shot:
    exam_id: str
    region: Pixels
    captured_ns: int
    state: OverlayState


class Segment:
    """One file: pictures `(H, W, 3)` BGR of one even size, on the disk within `SYNC_S`."""

    def __init__(self, path: Path, size_px: tuple[int, int], begun_ns: int) -> None:
        """Raises `OSError` or `av.FFmpegError`, as every method does."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.size_px, self.begun_ns = size_px, begun_ns
        # never over a film that is there: an exam that was taken up again has one already
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._file = FileIO(os.open(path, flags, 0o600), "w+b")
        sync_folder(path.parent)
        options = {
            "movflags": "frag_keyframe+empty_moov+default_base_moof",
            "frag_duration": str(round(FRAGMENT_S * 1e6)),
            "flush_packets": "1",
        }
        self._container: OutputContainer = av.open(
            self._file, "w", format="mp4", container_options=options
        )
        self._container.metadata["comment"] = NOTICE
        self._stream = add_video_stream(
            self._container, size_px, STREAM_RATE_HZ, keyframe_every_s=1.0, threads=1
        )
        self._last_tick = -1
        self._synced_ns = begun_ns

    def write(self, canvas: Pixels, captured_ns: int) -> None:
        """Add a picture at its own time."""
        planes = np.asarray(cv2.cvtColor(canvas, cv2.COLOR_BGR2YUV_I420), dtype=np.uint8)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        tick = (captured_ns - self.begun_ns) * TICKS_HZ // 1_000_000_000
        self._last_tick = max(tick, self._last_tick + 1)
        frame.pts, frame.time_base = self._last_tick, Fraction(1, TICKS_HZ)
        self._container.mux(self._stream.encode(frame))
        if captured_ns - self._synced_ns >= SYNC_S * 1e9:
            self._synced_ns = captured_ns
            os.fdatasync(self._file.fileno())

    def close(self) -> None:
        """Write what the encoder still holds."""
        try:
            self._container.mux(self._stream.encode(None))
            self._container.close()
            os.fdatasync(self._file.fileno())
        finally:
            self._file.close()

    def drop(self) -> None:
        """Let go of a file that can no longer be written; what is in it stays."""
        with contextlib.suppress(*_FAILURES):
            self._container.close()
        with contextlib.suppress(OSError):
            self._file.close()


class Recorder:
    """Films one session into `folder`, a folder an exam.

    `failure` says why it stopped, once it has: then the exam goes on without it.
    """

    def __init__(self, folder: Path, film: Film, manifest: Manifest) -> None:
        """Raises `OutputError` where the place cannot be written."""
        self._folder, self.film, self._manifest = folder, film, manifest
        self.pictures = self.dropped = self.segments = 0
        self._number = 0
        self.files: tuple[str, ...] = ()
        """The films of the exam that runs, those of a killed session before it, too."""
        self.failure: str | None = None
        self._queue: queue.Queue[_Shot | None] = queue.Queue(MAX_WAITING)
        self._segment: Segment | None = None
        self._exam_id: str | None = None
        self._overlay: tuple[tuple[int, ...], Overlay] | None = None
        with writing(f"to {folder}", "choose another --record-to", doing="record"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK):
                raise PermissionError(13, "permission denied")
        self._thread = threading.Thread(target=self._run, name="recorder")
        self._thread.start()

    def take(self, exam_id: str, region: Pixels, captured_ns: int, state: OverlayState) -> None:
        """Take the region that is shown now, and what is said of it; never waits."""
        if self.failure is not None:
            return
        try:
            self._queue.put_nowait(_Shot(exam_id, region, captured_ns, state))
        except queue.Full:
            self.dropped += 1

    def describe(self) -> dict[str, Any]:
        """Return how it stands, for the screens and the record."""
        return {
            "film": str(self.film),
            "on": self.failure is None,
            "reason": self.failure or "",
            "pictures": self.pictures,
            "dropped": self.dropped,
            "segments": self.segments,
            "files": list(self.files),
        }

    def close(self) -> None:
        """Write what waits, and end."""
        if self._thread.is_alive():
            self._queue.put(None)
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        with contextlib.suppress(OSError):  # where a thread cannot be made nicer it is not
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        while (shot := self._queue.get()) is not None:
            if self.failure is None:
                self._try_to_write(shot)
        if self._segment is not None:
            self._end_segment()

    def _try_to_write(self, shot: _Shot) -> None:
        try:
            canvas = self._draw(shot)
            self._segment_for(shot, canvas.shape[:2]).write(canvas, shot.captured_ns)
            self.pictures += 1
        except _FAILURES as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self.failure = f"recording stopped: {getattr(error, 'strerror', None) or error}"
        log.warning("%s", self.failure)
        if self._segment is not None:
            self._segment.drop()
            self._segment = None

    def _draw(self, shot: _Shot) -> Pixels:
        if self.film is Film.CLEAN:
            return _make_even(shot.region)
        if self._overlay is None or self._overlay[0] != shot.region.shape[:2]:
            labels, spec = self._manifest.labels, self._manifest.preprocessing
            size, readers = shot.region.shape[:2], len(shot.state.readings)
            self._overlay = size, Overlay(size, labels, spec, readers=readers)
        return self._overlay[1].draw(shot.region, shot.state)

    def _segment_for(self, shot: _Shot, size_px: tuple[int, ...]) -> Segment:
        segment = self._segment
        if segment is not None:
            old = shot.captured_ns - segment.begun_ns > SEGMENT_S * 1e9
            if old or segment.size_px != size_px or shot.exam_id != self._exam_id:
                segment.close()
                segment = None
        if segment is None:
            there = list_films(self._folder / shot.exam_id)
            self._number = max([self._number, *(int(name[:4]) for name in there)]) + 1
            name = f"{self._number:04d}-{self.film}.mp4"
            height, width = size_px
            path = self._folder / shot.exam_id / name
            segment = Segment(path, (height, width), shot.captured_ns)
            self.segments += 1
            self.files = (*there, name)
        self._segment, self._exam_id = segment, shot.exam_id
        return segment

    def _end_segment(self) -> None:
        try:
            assert self._segment is not None
            self._segment.close()
        except _FAILURES as error:
            self._give_up(error)


def list_films(folder: Path) -> tuple[str, ...]:
    """Return the names of an exam's films, in the order in which they were begun."""
    return tuple(sorted(path.name for path in folder.glob("[0-9][0-9][0-9][0-9]-*.mp4")))


def recording_folder(journal_path: Path) -> Path:
    """Return where the recordings of a journal's exams lie: beside it, a folder an exam."""
    return journal_path.with_name(f"{journal_path.stem}-recordings")


def delete_recordings(journal_path: Path, exam_ids: Iterable[str]) -> None:
    """Delete the recordings of exams that were deleted from the journal."""
    for exam_id in exam_ids:
        shutil.rmtree(recording_folder(journal_path) / exam_id, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Make sure that a new file's name is on the disk too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_even(region: Pixels) -> Pixels:
    """Return the region in colour, less a last odd row and column: H.264 has none."""
    height, width = (side - side % 2 for side in region.shape[:2])
    even = region[:height, :width]
    if even.ndim == 2:
        even = np.asarray(cv2.cvtColor(even, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    return even
