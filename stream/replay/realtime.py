"""A replay in real time: the live session, of a recording, and its record are a replay's files."""

from collections.abc import Callable, Mapping
from typing import Any

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.frame import DisplayFrame
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.contracts.result import Result
from neurosono.stream.live.session import Live
from neurosono.stream.live.stage import Record
from neurosono.stream.page.hub import Hub
from neurosono.stream.replay.options import ReplayOptions
from neurosono.stream.replay.sink import Progress, Sink
from neurosono.stream.view.state import OverlayState


def open_realtime(
    options: ReplayOptions,
    bundle: Bundle,
    student: Bundle | None,
    outputs: Sink,
    on_progress: Callable[[Progress], None],
    readers: Mapping[str, Bundle],
) -> Live:
    """Return the live session of a recording; nobody watches it, and `outputs` takes what comes."""

    def list_processes() -> Mapping[str, int]:
        return live.children.pids()

    record = SinkRecord(outputs, on_progress, list_processes)
    live = Live(options, bundle, Hub(), record, student=student, readers=readers)
    return live


class SinkRecord(Record):
    """Hands pictures and results to a replay's sink, and keeps nothing else."""

    def __init__(
        self,
        sink: Sink,
        on_progress: Callable[[Progress], None],
        pids: Callable[[], Mapping[str, int]],
    ) -> None:
        self._sink, self._on_progress, self._pids = sink, on_progress, pids

    def record(self, result: Result) -> None:
        """Write down a result."""
        self._sink.write(result)

    def record_reading(self, reading: ReaderResult) -> None:
        """Write down what a reader says."""
        self._sink.read(reading)

    def see(self, picture: DisplayFrame, state: OverlayState) -> None:
        """Draw the picture that is shown now."""
        self._sink.show(picture, state)
        exam = None if state.result is None else state.result.exam
        self._on_progress(Progress(state.decoded, state.sampled, exam))

    def event(self, name: str, fields: Mapping[str, Any]) -> None:
        """Begin once the source is open; the files tell the rest frame by frame."""
        if name == "opened":
            self._on_progress(Progress(0, 0, None, tuple(fields["told"])))
            self._sink.open(float(fields["rate_hz"]), self._pids())
