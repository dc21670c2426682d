"""A recording, over and over at its own pace: a stand-in scanner."""

import threading
import time
from collections.abc import Generator

from neurosono.stream.sources.exam_source import ExamSource, open_source
from neurosono.stream.sources.live.feed import FeedInfo, Shot
from neurosono.stream.sources.live.links import LOOP_PREFIX, Link


class LoopFeed:
    """Plays clips, folders of them or a phantom; each round goes on where the last one ended.

    A host that is too slow for the recording's rate plays it more slowly: what a scanner shows is
    new when it shows it, so no lag is made up.
    """

    def __init__(self, link: Link) -> None:
        self._argument = link.argument.removeprefix(LOOP_PREFIX)
        self._source: ExamSource | None = None
        self._stopped = threading.Event()
        self.progress_ns = time.monotonic_ns()

    def open(self) -> FeedInfo:
        """Open the recording; its size shows with its first picture."""
        self._source = open_source([self._argument], frame_threads=False)
        return FeedInfo(self._source.description, 0, 0, self._source.nominal_rate_hz)

    def shots(self) -> Generator[Shot]:
        """Yield each picture at its time, without end."""
        assert self._source is not None
        interval_s = 1 / self._source.nominal_rate_hz
        begun_ns, round_s = time.monotonic_ns(), 0.0
        while not self._stopped.is_set():
            end_s = round_s
            for picture in self._source.pictures():
                end_s = round_s + picture.pts_s
                late_s = (time.monotonic_ns() - begun_ns) / 1e9 - end_s
                if late_s > interval_s:
                    begun_ns += int(late_s * 1e9)
                elif self._stopped.wait(max(0.0, -late_s)):
                    return
                self.progress_ns = now_ns = time.monotonic_ns()
                yield Shot(
                    picture.decoded,
                    end_s,
                    now_ns,
                    picture.decode_ms,
                    damaged=False,
                    stands_alone=False,
                    chroma=picture.chroma,
                )
            round_s = end_s + interval_s

    def interrupt(self) -> None:
        """End before the next picture."""
        self._stopped.set()

    def close(self) -> None:
        """Nothing is held open between pictures."""
        self._stopped.set()
