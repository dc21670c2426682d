"""What the people at the screens do: keep a frame, say what it shows, begin another exam.

And what is kept for them meanwhile: the frames that `stream.keep.proposals` offers.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.frame import DisplayFrame
from neurosono.engine.contracts.result import Result
from neurosono.stream.keep.proposals import Proposal, Proposals
from neurosono.stream.live.stage import Record, Stage
from neurosono.stream.page.protocol import Command

REMEMBERED = 25
"""Pictures kept at hand: what a person sees and keeps was shown up to a second ago."""

MAX_PINNED = 16
"""Frozen screens at once; the hub takes no more viewers."""

_STATES = {
    "hide-ai": ("ai", "hidden"),
    "show-ai": ("ai", "shown"),
    "freeze": ("display", "frozen"),
    "unfreeze": ("display", "on"),
}
_STATUS = {"accept": "accepted", "reject": "rejected", "reassign": "reassigned"}


class Desk:
    """Obeys commands, and writes each of them down."""

    def __init__(
        self, stage: Stage, record: Record, begin_exam: Callable[[], None], *, blind: bool = False
    ) -> None:
        """`blind`: a second read, in which nobody may see what the AI picked."""
        self._stage, self._record, self._begin_exam = stage, record, begin_exam
        self._blind = blind
        self._seen: dict[int, DisplayFrame] = {}
        self._heatmaps: dict[int, NDArray[np.float32]] = {}
        self._kept: dict[str, tuple[NDArray[np.uint8], dict[str, Any]]] = {}
        self._proposals: Proposals | None = None
        self._pinned: dict[int, DisplayFrame] = {}
        self.ended = False

    def open_exam(self, labels: tuple[str, ...]) -> None:
        """Another exam began: what was kept belongs to the one before."""
        self._kept.clear()
        self._proposals = Proposals(labels)
        self.ended = False

    def see(self, picture: DisplayFrame) -> None:
        """Remember the picture that is shown now."""
        self._seen[picture.index] = picture
        while len(self._seen) > REMEMBERED:
            self._seen.pop(next(iter(self._seen)))
        self._record.see(picture.region, picture.captured_ns)

    def judge(self, result: Result, region: NDArray[np.uint8] | None) -> None:
        """Take a result, with its region where that is at hand; keep what is offered of it."""
        if result.cam is not None and result.probabilities is not None:
            self._heatmaps[result.seq] = result.cam[int(np.argmax(result.probabilities))]
            while len(self._heatmaps) > REMEMBERED:
                self._heatmaps.pop(next(iter(self._heatmaps)))
        if self._proposals is None:
            return
        pixels = self._find_region(result.seq) if region is None else region
        for proposal in self._proposals.offer(result, pixels):
            self._file(proposal, "auto", shown=not self._blind or proposal.reason == "freeze")

    def obey(self, command: Command) -> None:
        """Do what a command asks; what can no longer be done is left."""
        fields = command.fields
        match command.name:
            case "new-exam":
                self._begin_exam()
            case "end-exam":
                self.ended = True
            case "keep":
                self._keep(int(fields["index"]), int(fields.get("seq", 0)))
            case "review":
                self._review(fields["key_frame_id"], fields["verdict"], fields.get("label"))
            case "freeze" | "unfreeze" | "hide-ai" | "show-ai" as name:
                self._pin(int(fields.get("viewer", 0)), fields.get("index"))
                self._record.state(*_STATES[name])

    def _pin(self, viewer: int, index: int | None) -> None:
        """Hold the picture that a viewer froze, for as long as it stands on that screen."""
        self._pinned.pop(viewer, None)
        if index in self._seen and len(self._pinned) < MAX_PINNED:
            self._pinned[viewer] = self._seen[index]

    def _keep(self, index: int, seq: int) -> None:
        frozen = {picture.index: picture for picture in self._pinned.values()}
        picture = self._seen.get(index) or frozen.get(index)
        if picture is None:
            return
        number = seq if picture.seq is None else picture.seq
        heatmap = self._heatmaps.get(number)
        times = picture.captured_ns, picture.pts_s
        # no label: nobody is to accept an opinion that was not on the screen
        self._file(Proposal("key", number, *times, None, picture.region, heatmap), "key")

    def _file(self, frame: Proposal, kept_by: str, *, shown: bool = True) -> None:
        try:
            name = self._record.keep(frame)
        except InputError:
            return  # nothing was judged yet: the journal has no stream to file it under
        if name is None:
            return
        about = {"label": frame.label, "verdict": "proposed", "pts_s": frame.pts_s}
        about |= {"kept_by": kept_by, "reason": frame.reason}
        self._kept[name] = frame.pixels, about
        if shown:
            self._stage.publish_key_frame(name, frame.pixels, about)

    def _find_region(self, seq: int) -> NDArray[np.uint8] | None:
        for picture in reversed(self._seen.values()):
            if picture.seq == seq:
                return picture.region
        return None

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
