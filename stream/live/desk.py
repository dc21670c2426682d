"""What the people at the screens do: keep a frame, say what it shows, begin another exam.

And what is kept for them meanwhile: the frames that `stream.keep.proposals` offers.
"""

from collections.abc import Callable, Mapping
from typing import Any

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.contracts.result import Result
from neurosono.engine.patterns.names import FINDINGS
from neurosono.stream.keep.proposals import EVIDENCE_STEP, Best, Proposal, Proposals
from neurosono.stream.live.stage import Record, Stage
from neurosono.stream.page.protocol import Command
from neurosono.stream.view.recent import Recent

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
        self,
        stage: Stage,
        record: Record,
        recent: Recent,
        begin_exam: Callable[[], None],
        *,
        blind: bool = False,
    ) -> None:
        """`recent` are the pictures on the screens; `blind`: nobody may see what the AI picked."""
        self._stage, self._record, self._begin_exam = stage, record, begin_exam
        self.recent = recent
        self._blind = blind
        self._kept: dict[str, tuple[Pixels, dict[str, Any]]] = {}
        self._proposals: Proposals | None = None
        self._best: dict[tuple[str, str], Best] = {}
        self.ended = False

    def open_exam(self, labels: tuple[str, ...]) -> None:
        """Another exam began: what was kept belongs to the one before."""
        self._kept.clear()
        self._best.clear()
        self._proposals = Proposals(labels)
        self.ended = False
        if self._blind:  # so that the record knows a second read, and when it is over
            self._record.state(*_STATES["hide-ai"])

    def judge(self, result: Result) -> None:
        """Take a result; keep what is offered of it, with its region where that is remembered."""
        if self._proposals is None:
            return
        for proposal in self._proposals.offer(result, self.recent.region_of(result.seq)):
            self._file(proposal, "auto", shown=not self._blind or proposal.reason == "freeze")

    def judge_reading(self, result: ReaderResult, best: object, own: Pixels | None) -> None:
        """Take what a reader says; keep the best frame of each thing, once it has stood for so.

        `best` is what the reader's exam calls the frame the best of, with a score each.
        """
        if isinstance(best, Mapping) and own is not None:
            for what, score in best.items():
                times = result.captured_ns, result.pts_s
                reason = "finding" if what in FINDINGS else "plane"
                frame = Proposal(reason, result.seq, *times, None, own, None)
                self._best.setdefault((result.reader, what), Best(0.0)).offer(score, frame)
        for standing in self._best.values():
            if (taken := standing.take(result.captured_ns)) is not None:
                standing.floor = taken[0] + EVIDENCE_STEP
                self._file(taken[1], "auto", shown=not self._blind)

    def obey(self, command: Command) -> None:
        """Do what a command asks; what can no longer be done is left."""
        fields = command.fields
        match command.name:
            case "new-exam":
                self._begin_exam()
            case "end-exam":
                if self._blind and not self.ended:
                    self._record.state(*_STATES["show-ai"])
                self.ended = True
            case "keep":
                self._keep(int(fields["index"]), int(fields.get("seq", 0)))
            case "review":
                self._review(fields["key_frame_id"], fields["verdict"], fields.get("label"))
            case "freeze" | "unfreeze" | "hide-ai" | "show-ai" as name:
                self.recent.pin(int(fields.get("viewer", 0)), fields.get("index"))
                self._record.state(*_STATES[name])
            case "worklist" | "take":
                self._record.obey(command)

    def _keep(self, index: int, seq: int) -> None:
        picture = self.recent.find(index)
        if picture is None:
            return
        number = seq if picture.seq is None else picture.seq
        heatmap = self.recent.heatmap_of(number)
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
