"""Where a replay's pictures and results go: files that are kept, or a bench that only measures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from neurosono.engine.contracts.frame import DisplayFrame
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.contracts.result import ExamSnapshot, Result
from neurosono.stream.view.state import OverlayState


@dataclass(frozen=True)
class Progress:
    """How far a replay is: for whoever shows it."""

    decoded: int
    sampled: int
    exam: ExamSnapshot | None
    told: tuple[str, ...] = ()
    """Sentences about what was given and is not used, once, before the first picture."""


class Sink(Protocol):
    """Takes what one replay yields, in the display process; `shown` counts the pictures."""

    shown: int

    def open(self, rate_hz: float, pids: Mapping[str, int]) -> None:
        """Begin: the source is open and plays at about `rate_hz`; `pids` are the processes'."""

    def write(self, result: Result) -> None:
        """Take one sampled frame's result."""

    def read(self, reading: ReaderResult) -> None:
        """Take what a reader says of one sampled frame."""

    def show(self, picture: DisplayFrame, state: OverlayState) -> None:
        """Draw one picture and pass it on."""

    def finish(
        self, exam: ExamSnapshot, about: dict[str, Any], frames: dict[str, Any]
    ) -> dict[str, Any]:
        """End well: keep what is to be kept and return what the replay is to return."""

    def abort(self) -> None:
        """Leave nothing of this replay behind."""

    def close_files(self) -> None:
        """Drop what was not finished; after `finish` there is nothing left to drop."""
