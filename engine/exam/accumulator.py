"""What adds up over an exam, whatever it is that is added: the one protocol for it."""

from typing import Any, Protocol, TypeVar

Seen = TypeVar("Seen", contravariant=True)


class Accumulator(Protocol[Seen]):
    """One exam as far as it has come; the same frames in the same order give the same state.

    The classifier's `Exam` adds members' probabilities, a reader's (`engine.kinds`) a
    `ReaderResult` each, also for frames of which nothing was said.
    """

    def update(self, seen: Seen, /) -> object:
        """Add what was seen of the next frame."""

    def snapshot(self) -> Any:
        """Return the exam as it now stands, to be shown and written down."""

    def to_json(self) -> dict[str, Any]:
        """Return all that `take_up` needs, exactly."""

    def take_up(self, found: dict[str, Any], /) -> None:
        """Go on where `to_json` was said; raises `InputError` where it is not whole."""
