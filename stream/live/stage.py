"""Where a live exam goes: to whoever watches it, and into the record."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.frame import DisplayFrame
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.contracts.result import Result
from neurosono.engine.exam.exam import Exam
from neurosono.stream.keep.proposals import Proposal
from neurosono.stream.page.protocol import Command
from neurosono.stream.view.state import AiState, OverlayState


class Stage(Protocol):
    """Where a live exam is shown: the web page's hub, or a terminal."""

    def publish(self, pixels: Pixels, status: dict[str, Any]) -> None:
        """Show a picture and what is known with it."""

    def publish_heatmap(self, pixels: Pixels, about: dict[str, Any]) -> None:
        """Show a heatmap, already over its own frame."""

    def publish_reading(self, reader: str, pixels: Pixels, about: dict[str, Any]) -> None:
        """Show what a reader found, beside its own frame's pixels."""

    def publish_evidence(self, label: str, pixels: Pixels, about: dict[str, Any]) -> None:
        """Show a frame that moved the exam."""

    def publish_status(self, status: dict[str, Any]) -> None:
        """Say how things stand without a picture."""

    def publish_key_frame(self, key_frame_id: str, pixels: Pixels, about: dict[str, Any]) -> None:
        """List a kept picture, or say anew what became of it."""

    def commands(self) -> list[Command]:
        """Return what the people at the screens asked for since the last call."""

    def viewers(self) -> int:
        """Return how many screens watch."""

    def painted_ages_ms(self) -> list[float]:
        """Return how old each picture was that a screen has painted since the last call."""


class Watcher(Protocol):
    """Who hears what a record is told, as it happens: metrics, a log."""

    def note_event(self, name: str, fields: Mapping[str, Any]) -> None:
        """Hear an event in the journal's words, checked; also before the exam has begun."""

    def note_age(self, what: str, age_ms: float) -> None:
        """Hear how old something was."""


class Record:
    """Where a live exam is written down; this one keeps nothing, for others to build on."""

    def record(self, result: Result) -> None:
        """Write down what the engine said of a frame."""

    def record_reading(self, reading: ReaderResult) -> None:
        """Write down what a reader says of a frame."""

    def event(self, name: str, fields: Mapping[str, Any]) -> None:
        """Write down what happened."""

    def state(self, part: str, value: str) -> None:
        """Write down that `part` (`ai`, `signal`, ...) is now `value`."""

    def note_ai(self, ai: AiState) -> None:
        """Write down what the screen says of the AI, when that changes."""

    def note_age(self, what: str, age_ms: float) -> None:
        """Hear how old something was, one of `stream.live.measures.AGES`."""

    @property
    def exam_id(self) -> str:
        """The id of the exam that runs."""
        return ""

    def trouble(self) -> str | None:
        """Return why what is shown now is not written down; empty where it is.

        None where nothing is to be written down.
        """
        return None

    def see(self, picture: DisplayFrame, state: OverlayState) -> None:
        """Take the picture that is shown now, and what is said of it, for clips and films."""

    def turn(self, state: OverlayState, now_ns: int) -> None:
        """The AI is not on any more, and no picture came to say so with: for films."""

    def recording(self) -> dict[str, Any] | None:
        """Return how the recording stands, or None where none is made."""
        return None

    def keep(self, frame: Proposal) -> str | None:
        """Keep a frame; returns its id, or None where nothing can be kept."""
        del frame
        return None

    def review(self, key_frame_id: str, verdict: str, label: str | None) -> None:
        """Write down what a person said of a kept picture."""

    def obey(self, command: Command) -> None:
        """Do what a person asks about whose exam it is."""

    def next_exam(self, counts: Mapping[str, Any]) -> None:
        """End the exam and begin another."""


@dataclass(frozen=True)
class Ended:
    """A session that is over: the exam as it then stood, its counts, and what judged it.

    `measured` is what `stream.live.measures` and the processes' own accounts say of it.
    """

    exam: Exam
    counts: dict[str, Any]
    engine: dict[str, Any]
    measured: dict[str, Any]
    readings: dict[str, Any] = field(default_factory=dict)
