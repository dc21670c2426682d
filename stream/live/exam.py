"""The running exam of a live session, as the display process knows it and the screens show it.

It is kept here result by result, so that no other process takes it along when it dies.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.frame import DisplayFrame, SkipReason, Stamped
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.contracts.result import Result
from neurosono.engine.exam.exam import Exam
from neurosono.engine.exam.pair import PairedExam, open_exam
from neurosono.stream.keep.highlights import Highlights
from neurosono.stream.live.desk import Desk
from neurosono.stream.live.measures import Measures
from neurosono.stream.live.stage import Record, Stage
from neurosono.stream.pictures.picture import shrink
from neurosono.stream.processes.ledger import Ledger, count_frames
from neurosono.stream.session.beside import Beside
from neurosono.stream.view.heatmap import paint_heatmap
from neurosono.stream.view.reading import LONGEST_PX, ShownReading, describe_reading
from neurosono.stream.view.state import AiState, OverlayState
from neurosono.stream.view.status import describe_record, describe_status
from neurosono.stream.view.viewer import Viewer

MOST_OWED = 256
"""Frames remembered for readers that are behind: eight seconds at 30 Hz, and one that is half a
second late is off."""


READ_EVERY_S = 0.19
"""Between two frames with what a reader found on them: five a second, as heatmaps."""


class LiveExam:
    """Takes pictures and results; shows them, writes them down, and counts them."""

    def __init__(
        self,
        bundle: Bundle,
        student: Bundle | None,
        viewer: Viewer,
        ledger: Ledger,
        stage: Stage,
        record: Record,
        exam: Exam | None,
        *,
        ask_new_exam: Callable[[], None],
        second_read: bool,
        readers: Mapping[str, Beside] = MappingProxyType({}),
    ) -> None:
        """`ask_new_exam` is called when a person asks for another exam; `exam` is to go on with.

        `student` judges every frame where it is given, `bundle` as many as time allows.
        """
        self._student, self._readers = student, readers
        self._stamps: dict[int, Result] = {}
        """Frames of this exam that a reader may still owe an answer to."""
        self._read_s: dict[str, float] = {}
        """Source time of the last frame that was shown of each reader."""
        self._bundle, self._stage, self._record = bundle, stage, record
        self._labels = bundle.manifest.labels
        self._mode = "second-read" if second_read else "concurrent"
        self._over = False
        self._ai: AiState | None = None
        self.has_news = False
        """Whether an answer came after the last picture: worth a word without the next one."""
        self.viewer, self._ledger = viewer, ledger
        self.desk = Desk(stage, record, viewer.recent, ask_new_exam, blind=second_read)
        self.measures = Measures(time.monotonic_ns(), self.count, record.note_age)
        self.source: Mapping[str, Any] = {}
        """What the capture process said last of its counts."""
        self.begin(exam)

    def begin(self, exam: Exam | None = None) -> None:
        """Begin an exam at nothing, or where `exam` stands."""
        self.exam = exam or open_exam(self._bundle, self._student)
        carried = self.exam.snapshot().carried
        self._carrier = None if carried is None else carried.by
        self._highlights = Highlights(self._labels)
        self._planes: Counter[str] = Counter()
        self._before = (self.viewer.decoded, self.viewer.displayed)
        self.viewer.begin_exam()
        self._stamps.clear()
        for reader in self._readers.values():
            reader.begin_exam()
        self.desk.open_exam(self._labels)

    def show(self, picture: DisplayFrame) -> None:
        """Show a picture."""
        now_ns = time.monotonic_ns()
        self.has_news = False
        self.viewer.see(picture)
        state = self._judge(picture.pts_s, now_ns)
        if self._readers:
            state = replace(state, readings=self._show_readings(now_ns))
        self._record.see(picture, state)
        status = self._describe(state, now_ns)
        age_ms = (now_ns - picture.captured_ns) / 1e6
        self._stage.publish(picture.pixels, {**status, "index": picture.index, "age_ms": age_ms})
        self.measures.add("picture", age_ms)

    def say(self, now_ns: int) -> None:
        """Say how things stand, without a picture."""
        self.has_news = False
        state = self._judge(self._last_pts_s(), now_ns)
        if self._ai is AiState.ON and state.ai is not AiState.ON:
            self._record.turn(state, now_ns)
        self._stage.publish_status(self._describe(state, now_ns))
        self.measures.add_all("screen", self._stage.painted_ages_ms())

    def has_turned(self, now_ns: int) -> bool:
        """Whether the AI stands otherwise than was said last: worth a word at once."""
        return self.viewer.judge_engine(now_ns)[0] is not self._ai

    def end(self, now_ns: int) -> None:
        """Say the last word: the session is over, and this is how the exam ended.

        `now_ns` is when it was asked to end: what came after that was on its way, and is not late.
        """
        self._over = True
        self.desk.ended = True
        self.say(now_ns)

    def take(self, result: Result, *, judged: bool = True) -> None:
        """Enter a result; the exam here is the engine's own, step by step."""
        self._record.record(result)
        self._remember(result)
        if result.skip_reason is not None:
            self.exam.skip(result.skip_reason)
        elif result.member_probabilities is not None:
            self.exam.update(result.member_probabilities)
            self.has_news = True
            if result.plane is not None:
                self._planes[result.plane] += 1
            self.measures.add("answer", (time.monotonic_ns() - result.captured_ns) / 1e6)
        self._follow_ensemble(result)
        own = self.viewer.recent.region_of(result.seq)
        before = self.viewer.heatmap
        if result.skip_reason != SkipReason.ENGINE_OFF:
            self.viewer.hear(result)
        elif judged:  # the engine process itself says that it got no answer
            self.viewer.miss()
        self._publish_heatmap(before, result.captured_ns)
        self.desk.judge(result)
        if own is not None and (kept := self._highlights.offer(result, own)) is not None:
            about = {"seq": kept.seq, "pts_s": kept.pts_s, "evidence": round(kept.evidence, 4)}
            self._stage.publish_evidence(kept.label, kept.pixels, about)

    def take_reading(self, reader: Beside, result: ReaderResult) -> None:
        """Enter what a reader says of a frame; its exam is kept here alone."""
        self._record.record_reading(result)
        own = self.viewer.recent.region_of(result.seq)
        best = reader.hear(result, own)
        self.has_news = self.has_news or result.used
        self._publish_reading(reader, result)
        self.desk.judge_reading(result, best, own)

    def _publish_reading(self, reader: Beside, result: ReaderResult) -> None:
        """Show what was found, with its own frame, a few times a second."""
        own = self.viewer.recent.region_of(result.seq)
        since_s = result.pts_s - self._read_s.get(reader.name, float("-inf"))
        if own is None or result.said is None or 0 <= since_s < READ_EVERY_S:
            return
        self._read_s[reader.name] = result.pts_s
        about = {
            "seq": result.seq,
            "age_ms": (time.monotonic_ns() - result.captured_ns) / 1e6,
            "frame": result.said,
            "region_px": result.region_px,
        }
        self._stage.publish_reading(reader.name, shrink(own, LONGEST_PX), about)

    def unread(self, reader: Beside) -> list[ReaderResult]:
        """Return, of the frames of this exam that a reader has not answered, that it did not."""
        owed = (each for seq, each in self._stamps.items() if not reader.ledger.has(seq))
        return [_describe_unread(each, reader.name) for each in owed]

    def _follow_ensemble(self, result: Result) -> None:
        if result.ensemble is not None and isinstance(self.exam, PairedExam):
            self.exam.follow(result.ensemble)
        carried = self.exam.snapshot().carried
        if carried is not None and carried.by is not self._carrier:
            self._carrier = carried.by
            fields = {"by": str(carried.by), "judged": carried.judged}
            self._record.event("carried-by", fields)

    def count(self) -> dict[str, Any]:
        """Return the frames of this exam, as in `exam.json`."""
        decoded, displayed = self._before
        return count_frames(
            self.viewer.decoded - decoded, self.viewer.displayed - displayed, self.exam.snapshot()
        )

    def _judge(self, pts_s: float, now_ns: int) -> OverlayState:
        self.viewer.unrecorded = self._record.trouble()
        return self.viewer.state(pts_s, now_ns)

    def _describe(self, state: OverlayState, now_ns: int) -> dict[str, Any]:
        self._ai = state.ai
        self._record.note_ai(state.ai)
        self.measures.note_ai(state.ai, state.ai_reason, now_ns)
        about = {
            "exam": self._record.exam_id,
            "frames": self.count(),
            "ended": self.desk.ended,
            "over": self._over,
            "mode": self._mode,
            "seq": self._ledger.next_seq,
            "source": dict(self.source),
            "source_note": self.viewer.source_note,
            "planes": dict(self._planes) if state.ai is AiState.ON else {},
            "record": describe_record(self.viewer.unrecorded),
            "recording": self._record.recording(),
            "viewers": self._stage.viewers(),
            "readings": self.describe_readings(now_ns),
        }
        return describe_status(self._labels, state, self.exam.snapshot(), about)

    def _remember(self, result: Result) -> None:
        if not self._readers:
            return
        self._stamps[result.seq] = result
        if len(self._stamps) > MOST_OWED:
            self._stamps.pop(next(iter(self._stamps)))

    def describe_readings(self, now_ns: int) -> dict[str, Any]:
        """Return how each reader stands, and what may be shown of it."""
        shown = self._show_readings(now_ns)
        return {name: describe_reading(each, now_ns) for name, each in shown.items()}

    def _show_readings(self, now_ns: int) -> dict[str, ShownReading]:
        shown = {name: reader.show(now_ns) for name, reader in self._readers.items()}
        lost = self.viewer.no_signal
        if lost is not None:  # what was read last is not what is seen now
            shown = {
                n: ShownReading(each.kind, AiState.NO_SIGNAL, lost) for n, each in shown.items()
            }
        return shown

    def _publish_heatmap(self, before: object, captured_ns: int) -> None:
        heatmap = self.viewer.heatmap
        if heatmap is None or heatmap is before:
            return
        height, width = heatmap.pixels.shape[:2]
        shrunk = min(1.0, LONGEST_PX / max(height, width))
        size = max(1, round(height * shrunk)), max(1, round(width * shrunk))
        painted = paint_heatmap(heatmap, size, self._bundle.manifest.preprocessing)
        age_ms = (time.monotonic_ns() - captured_ns) / 1e6
        about = {"label": heatmap.label, "seq": heatmap.seq, "age_ms": age_ms}
        self._stage.publish_heatmap(painted, about)

    def _last_pts_s(self) -> float:
        return 0.0 if self.viewer.result is None else self.viewer.result.pts_s


def _describe_unread(result: Result, name: str) -> ReaderResult:
    stamps = {each: getattr(result, each) for each in Stamped.__struct_fields__}
    return ReaderResult(**stamps, reader=name, skip_reason=SkipReason.SUPERSEDED)
