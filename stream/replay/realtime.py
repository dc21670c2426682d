"""A replay in real time: the live session, of a recording, and its record are a replay's files."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.frame import DisplayFrame
from neurosono.engine.contracts.result import Result
from neurosono.stream.keep.proposals import Proposal
from neurosono.stream.live.session import Live
from neurosono.stream.page.hub import Hub
from neurosono.stream.replay.options import ReplayOptions
from neurosono.stream.replay.sink import Progress, Sink
from neurosono.stream.view.state import AiState, OverlayState


def open_realtime(
    options: ReplayOptions,
    bundle: Bundle,
    student: Bundle | None,
    outputs: Sink,
    on_progress: Callable[[Progress], None],
) -> Live:
    """Return the live session of a recording; nobody watches it, and `outputs` takes what comes."""

    def list_processes() -> Mapping[str, int]:
        return live.children.pids()

    record = SinkRecord(outputs, on_progress, list_processes)
    live = Live(options, bundle, Hub(), record, student=student)
    return live


class SinkRecord:
    """A `Record` that hands pictures and results to a replay's sink, and keeps nothing else."""

    exam_id = ""

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

    def film(self, picture: DisplayFrame, state: OverlayState) -> None:
        """Draw the picture that is shown now."""
        self._sink.show(picture, state)
        exam = None if state.result is None else state.result.exam
        self._on_progress(Progress(state.decoded, state.sampled, exam))

    def event(self, name: str, fields: Mapping[str, Any]) -> None:
        """Begin once the source is open; nothing else has a place in a replay's files."""
        if name == "opened":
            self._sink.open(float(fields["rate_hz"]), self._pids())

    def state(self, part: str, value: str) -> None:
        """Leave it: a replay's files tell frame by frame what was skipped, and why."""

    def note_ai(self, ai: AiState) -> None:
        """Leave it: the overlay shows it."""

    def see(self, pixels: NDArray[np.uint8], captured_ns: int) -> None:
        """Leave it: a replay keeps no clips of a recording that is there."""

    def recording(self) -> dict[str, Any] | None:
        """Return None: what is written is no recording of a scanner."""
        return None

    def keep(self, frame: Proposal) -> str | None:
        """Return None: a replay keeps no frames."""
        del frame
        return None

    def review(self, key_frame_id: str, verdict: str, label: str | None) -> None:
        """Leave it: there are no kept frames."""

    def next_exam(self, counts: Mapping[str, Any]) -> None:
        """Leave it: a replay is one exam."""
