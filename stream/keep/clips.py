"""What was seen in the seconds before each kept frame, as a clip beside the journal, if asked for.

A clip is the ring's very JPEGs in an MP4: nothing is encoded again while an exam runs.
"""

import contextlib
import logging
import shutil
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from io import FileIO
from pathlib import Path
from typing import Self

import av

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.errors import OutputError
from neurosono.engine.files import create_private
from neurosono.stream.keep.ring import Ring, Still

log = logging.getLogger(__name__)

TIME_BASE = Fraction(1, 1000)
MAX_WAITING = 4
"""Clips that wait for a slow disk; each holds pictures that the ring has forgotten."""


class Clips:
    """Writes clips on a thread of its own, so that nobody waits for the disk."""

    def __init__(self, journal_path: Path) -> None:
        self._folder = clip_folder(journal_path)
        self._ring = Ring()
        self._pool = ThreadPoolExecutor(1, "clips")
        self._waiting: list[Future[None]] = []
        self.written = 0
        self.lost = 0

    def see(self, pixels: Pixels, captured_ns: int) -> None:
        """Take the region that is shown now."""
        self._ring.push(pixels, captured_ns)

    def keep(self, exam_id: str, key_frame_id: str, captured_ns: int) -> None:
        """Write what was seen up to `captured_ns`; what cannot be written is counted as lost."""
        stills = self._ring.before(captured_ns)
        self._waiting = [each for each in self._waiting if not each.done()]
        if not stills or len(self._waiting) >= MAX_WAITING:
            self.lost += 1
            return
        path = self._folder / exam_id / f"{key_frame_id}.mp4"
        self._waiting.append(self._pool.submit(self._write, stills, path))

    def begin_exam(self) -> None:
        """Forget what was seen: a clip never shows the exam before."""
        self._ring.clear()

    def close(self) -> None:
        """Wait until all clips are written."""
        self._pool.shutdown()

    def _write(self, stills: list[Still], path: Path) -> None:
        try:
            write_clip(stills, path)
            self.written += 1
        except OutputError as error:
            log.warning("a clip was not written: %s", error)
            self.lost += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def clip_folder(journal_path: Path) -> Path:
    """Return where the clips of a journal lie: beside it, a folder an exam."""
    return journal_path.with_name(f"{journal_path.stem}-clips")


def delete_clips(journal_path: Path, exam_ids: Iterable[str]) -> None:
    """Delete the clips of exams that were deleted from the journal."""
    for exam_id in exam_ids:
        shutil.rmtree(clip_folder(journal_path) / exam_id, ignore_errors=True)


def write_clip(stills: list[Still], path: Path) -> None:
    """Write `stills` as an MP4 of JPEGs, aside and then renamed, private to the user.

    Raises `OutputError`.
    """
    aside = path.with_name(f".{path.name}.part")
    try:
        for folder in (path.parent.parent, path.parent):  # parents get no mode of their own
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (
            FileIO(create_private(aside), "wb") as file,
            av.open(file, "w", format="mp4") as container,
        ):
            stream = container.add_stream("mjpeg", rate=30)
            stream.width, stream.height = stills[0].width_px, stills[0].height_px
            stream.pix_fmt, stream.time_base = "yuvj420p", TIME_BASE
            for still in stills:
                packet = av.Packet(still.jpeg)
                packet.stream, packet.time_base, packet.is_keyframe = stream, TIME_BASE, True
                packet.pts = packet.dts = (still.captured_ns - stills[0].captured_ns) // 1_000_000
                container.mux(packet)
        aside.replace(path)
    except (OSError, av.FFmpegError) as error:
        with contextlib.suppress(OSError):  # where it could not even be made
            aside.unlink(missing_ok=True)
        raise OutputError(
            f"cannot write the clip {path}: {error.strerror}; free some space, or leave out "
            "--keep-clips"
        ) from error
