"""A recording at its own pace, once or over and over: a stand-in scanner."""

import threading
import time
from collections.abc import Callable, Generator

from neurosono.stream.sources.exam_source import ExamSource
from neurosono.stream.sources.live.feed import FeedInfo, Shot

SIGN_OF_LIFE_S = 0.5
"""A recording may stand still for seconds between two pictures; who waits still says so."""


class RecordedFeed:
    """Plays clips, folders of them or a phantom; each round goes on where the last one ended.

    A live picture cannot be decoded ahead of its time, so neither is one of these: it is received
    when it is due, as far as its forerunners tell, and what decoding takes is part of its age. A
    host that is too slow for the recording's rate plays it more slowly: what a scanner shows is new
    when it shows it, so no lag is handed on to the next picture.
    """

    def __init__(self, open_recording: Callable[[], ExamSource], *, once: bool = False) -> None:
        self._open, self._once = open_recording, once
        self._source: ExamSource | None = None
        self._stopped = threading.Event()
        self._begun_ns = 0
        self.progress_ns = time.monotonic_ns()

    def open(self) -> FeedInfo:
        """Open the recording; its size shows with its first picture."""
        self._source = self._open()
        return FeedInfo(self._source.description, 0, 0, self._source.nominal_rate_hz)

    def shots(self) -> Generator[Shot]:
        """Yield each picture at its time, to the end or without one; raises as the source does."""
        assert self._source is not None
        interval_s = 1 / self._source.nominal_rate_hz
        self._begun_ns, round_s = time.monotonic_ns(), 0.0
        while not self._stopped.is_set():
            at_s, due_s = round_s, round_s
            pictures = self._source.pictures()
            while self._waits_until(due_s) and (picture := next(pictures, None)) is not None:
                step_s, at_s = round_s + picture.pts_s - at_s, round_s + picture.pts_s
                if not self._waits_until(at_s):
                    return
                received_ns = self._begun_ns + int(at_s * 1e9)
                late_ns = time.monotonic_ns() - received_ns
                yield Shot(
                    picture.decoded,
                    at_s,
                    received_ns,
                    picture.decode_ms,
                    damaged=False,
                    stands_alone=False,
                    chroma=picture.chroma,
                    scale=picture.scale,
                )
                if late_ns > interval_s * 1e9:
                    self._begun_ns += late_ns
                due_s = at_s + (min(interval_s, step_s) if step_s > 0 else interval_s)
            if self._once:
                return
            round_s = at_s + interval_s

    def interrupt(self) -> None:
        """End before the next picture."""
        self._stopped.set()

    def close(self) -> None:
        """Nothing is held open between pictures."""
        self._stopped.set()

    def _waits_until(self, at_s: float) -> bool:
        """Wait for a moment of the recording; returns False where it is to end before."""
        while not self._stopped.is_set():
            self.progress_ns = now_ns = time.monotonic_ns()
            left_s = at_s - (now_ns - self._begun_ns) / 1e9
            if left_s <= 0:
                return True
            self._stopped.wait(min(left_s, SIGN_OF_LIFE_S))
        return False
