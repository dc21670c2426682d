"""What the people at the screens do: keep a frame, say what it shows, begin another exam."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.contracts.errors import InputError
from engine.contracts.frame import DisplayFrame
from stream.display.protocol import Command
from stream.stage import Record, Stage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

REMEMBERED = 25
"""Pictures kept at hand: what a person sees and keeps was shown up to a second ago."""

_STATES = {
    "hide-ai": ("ai", "hidden"),
    "show-ai": ("ai", "shown"),
    "freeze": ("display", "frozen"),
    "unfreeze": ("display", "on"),
}
_STATUS = {"accept": "accepted", "reject": "rejected", "reassign": "reassigned"}


class Desk:
    """Obeys commands, and writes each of them down."""

    def __init__(self, stage: Stage, record: Record, begin_exam: Callable[[], None]) -> None:
        self._stage, self._record, self._begin_exam = stage, record, begin_exam
        self._seen: dict[int, DisplayFrame] = {}
        self._kept: dict[str, tuple[NDArray[np.uint8], dict[str, Any]]] = {}

    def see(self, picture: DisplayFrame) -> None:
        """Remember the picture that is shown now."""
        self._seen[picture.index] = picture
        while len(self._seen) > REMEMBERED:
            self._seen.pop(next(iter(self._seen)))

    def obey(self, command: Command) -> None:
        """Do what a command asks; what can no longer be done is left."""
        fields = command.fields
        match command.name:
            case "new-exam":
                self._kept.clear()
                self._begin_exam()
            case "keep":
                self._keep(int(fields["index"]), int(fields.get("seq", 0)))
            case "review":
                self._review(fields["key_frame_id"], fields["verdict"], fields.get("label"))
            case name if name in _STATES:
                self._record.state(*_STATES[name])

    def _keep(self, index: int, seq: int) -> None:
        picture = self._seen.get(index) or next(reversed(self._seen.values()), None)
        if picture is None:
            return
        try:
            name = self._record.keep(picture.seq or seq, picture.region, None)
        except InputError:
            return  # nothing was judged yet: the journal has no stream to file it under
        if name is None:
            return
        about = {"label": None, "verdict": "proposed", "pts_s": picture.pts_s, "kept_by": "key"}
        self._kept[name] = picture.region, about
        self._stage.publish_key_frame(name, picture.region, about)

    def _review(self, name: str, verdict: str, label: str | None) -> None:
        if name not in self._kept:
            return
        pixels, about = self._kept[name]
        try:
            self._record.review(name, verdict, label)
        except InputError:
            return  # a label or verdict that is none: the page offers only real ones
        about = about | {"verdict": _STATUS[verdict], "label": label or about["label"]}
        self._kept[name] = pixels, about
        self._stage.publish_key_frame(name, pixels, about)
