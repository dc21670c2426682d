"""What a child process says is believed only where it can be so: one that went wrong says anything.

Every message has its form (`stream.processes.wire`). Here its content is held against what the
display process knows: which frames were sent and when, how many classes there are, what was asked.
"""

import math
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosono.engine.contracts.errors import InputError, WireError
from neurosono.engine.contracts.frame import DisplayFrame, Frame, Scaled, ScaleSource, Stamped
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.contracts.result import ExamSnapshot, Result
from neurosono.stream.journal.words import EVENTS, PLAIN_WORD, SKIPS, STAGE, check_event
from neurosono.stream.processes.wire import Event, Message
from neurosono.stream.session.drawn import check_drawn

FAR = 1000
"""How far a frame's number may be ahead of all that capture has told so far: what is judged while
the display process stands still for sixteen seconds, at 60 Hz."""

GAP = 1_000_000
"""How many pictures may be missing between two that are shown: hours of a display that is held."""

MOST_REPEATED = 20
"""Answers to frames that are answered already: some may cross a restart, not so many."""

LONGEST_S = 1e7
SLACK_NS = 1_000_000_000
MOST = 2**53
MOST_FIELDS, MOST_WORDS = 64, 2000
LARGEST_MM = 1000.0
"""Of a pixel: more than any patient."""
SUM_SLACK, SLACK = 1e-2, 1e-6
"""Of probabilities that some runtime made in half precision; of numbers in double."""

COUNTS = ("received", "overrun", "decoded", "displayed", "dropped", "sampled", "unanswered")


class Trust:
    """Follows one session; every check raises `WireError` in one sentence."""

    def __init__(self, labels: tuple[str, ...], roles: tuple[str, ...]) -> None:
        """`roles` are those of the children that there may be."""
        self._labels, self._roles = labels, roles
        self._streams: set[str] = set()
        self._stream = ""
        self._next_index = self._first_seq = 0
        self.next_seq = 0
        """After the last frame that capture is known to have sampled."""
        self._top: tuple[int, int] | None = None
        self._sent: dict[int, int] = {}
        self._repeated = 0
        self._asked_exams = 0
        self._begun: Counter[str] = Counter()
        """How many exams each speaker has begun, readers by their names."""

    def begin_capture(self, stream_id: str, first_seq: int, first_index: int) -> None:
        """Another capture process begins to number its pictures and frames."""
        self._streams.add(stream_id)
        self._stream = stream_id
        self._first_seq, self._next_index = first_seq, first_index
        self.next_seq = max(self.next_seq, first_seq)

    def is_past(self, message: Message) -> bool:
        """Whether it is a picture of a capture process before this one, which came late."""
        if not isinstance(message, DisplayFrame):
            return False
        return message.stream_id != self._stream and message.stream_id in self._streams

    def begin_engine(self) -> None:
        """Another engine process has repeated nothing yet."""
        self._repeated = 0

    def ask_exam(self) -> None:
        """A person asks for another exam: one more may begin."""
        self._asked_exams += 1

    def check_engine(self, message: Message) -> None:
        """Check what comes from the engine process, or as another process's last word."""
        match message:
            case Result() as result:
                self._check_result(result)
            case ReaderResult() as reading:
                self._check_stamps(reading)
                _check_stages(reading.stage_ms)
                check_drawn(reading.said or {})
            case Event(name="exam-begun", fields=fields):
                self._check_begun(str(fields.get("reader", "")), fields.get("first_seq"))
            case Event(name="failed", fields=fields):
                _require(fields["role"] in self._roles, "no such process has failed")
                _check_fields(fields)
            case Event(name=name, fields=fields):
                _check_fields(fields)
                _require("ensemble" not in fields, "an engine says what is ours to say")
                _check_words(name, fields)
            case _:
                raise WireError(f"an engine sent a {type(message).__name__}")

    def _check_begun(self, speaker: str, first_seq: object) -> None:
        known = not speaker or f"reader:{speaker}" in self._roles
        _require(known, "an exam began for no reader of this session")
        self._begun[speaker] += 1
        _require(self._begun[speaker] <= self._asked_exams, "an exam began that nobody asked for")
        if type(first_seq) is not int:
            raise WireError("an exam began with no frame")
        self._check_seq(first_seq, 0)

    def check_capture(self, message: Message) -> None:
        """Check what comes from the capture process."""
        match message:
            case DisplayFrame() as picture:
                self._check_picture(picture)
            case Frame() | ReaderResult() as frame:
                self._check_stamps(frame)
                self.next_seq = max(self.next_seq, frame.seq + 1)
            case Event(name="alive" | "end", fields=fields):
                _check_fields(fields)
                self._check_counts(fields)
            case Event(fields=fields):
                _check_fields(fields)
            case _:
                raise WireError(f"a capture process sent a {type(message).__name__}")

    def repeats_too_often(self) -> bool:
        """A frame was answered that had its answer: say whether there are too many of these."""
        self._repeated += 1
        return self._repeated > MOST_REPEATED

    def _check_picture(self, picture: DisplayFrame) -> None:
        _require(picture.stream_id in self._streams, "a picture is of no stream of this session")
        ahead = picture.index - self._next_index
        _require(0 <= ahead < GAP, "a picture's number is out of order")
        _check_times(picture.captured_ns, picture.pts_s)
        height, width = picture.pixels.shape[:2]
        _require(height > 0 and width > 0, "a picture is empty")
        if picture.region_px is not None:
            x, y, w, h = picture.region_px
            inside = min(x, y) >= 0 and min(w, h) > 0 and x + w <= width and y + h <= height
            _require(inside, "a region lies outside its picture")
        _check_stages(picture.stage_ms)
        if picture.seq is not None:
            self._check_seq(picture.seq, self._first_seq)
            self.next_seq = max(self.next_seq, picture.seq + 1)
            self._sent[picture.seq] = picture.captured_ns
            while len(self._sent) > FAR:
                self._sent.pop(next(iter(self._sent)))
        self._next_index = picture.index + 1

    def _check_counts(self, fields: Mapping[str, Any]) -> None:
        counts = [fields[name] for name in COUNTS if name in fields]
        whole = all(type(count) is int and 0 <= count <= MOST for count in counts)
        _require(whole, "a count is no number of pictures")
        told = self._first_seq + fields.get("sampled", 0)
        _require(told <= self.next_seq + GAP, "more frames were sampled than there can be")
        self.next_seq = max(self.next_seq, told)

    def _check_result(self, result: Result) -> None:
        self._check_stamps(result)
        if result.seq in self._sent:
            _require(self._sent[result.seq] == result.captured_ns, "a result is of another frame")
        if self._top is not None:
            seq, captured_ns = self._top
            later = (result.seq > seq, result.seq < seq)
            _require(
                not (later[0] and result.captured_ns < captured_ns)
                and not (later[1] and result.captured_ns > captured_ns),
                "a result's time is not that of its frame",
            )
        if self._top is None or result.seq > self._top[0]:
            self._top = result.seq, result.captured_ns
        self._check_answer(result)
        self._check_exam(result.exam)

    def _check_answer(self, result: Result) -> None:
        members = result.member_probabilities
        there = {result.used, result.probabilities is not None, members is not None}
        _require(len(there) == 1, "a used frame has probabilities and a skipped one has none")
        for values in (result.probabilities, members):
            self._check_probabilities(values)
        if result.ensemble is not None:
            self._check_probabilities(result.ensemble.probabilities)
        if result.cam is not None:
            classes, *sides = result.cam.shape
            fits = classes == len(self._labels) and 0 < min(sides) <= max(sides) <= 1024
            _require(fits, "a heatmap is of no size that there is")
        numbers = (result.disagreement, result.gate, result.unfamiliarity, result.strangeness)
        _require(all(each is None or math.isfinite(each) for each in numbers), "a score is none")
        named = result.plane is None or PLAIN_WORD.fullmatch(result.plane) is not None
        _require(named, "a plane's name is none")
        _check_stages(result.stage_ms)

    def _check_probabilities(self, values: NDArray[Any] | None) -> None:
        if values is None:
            return
        rows = np.atleast_2d(values)
        _require(rows.shape[0] > 0 and rows.shape[1] == len(self._labels), "classes do not fit")
        sums = rows.sum(axis=1, dtype=np.float64)
        whole = bool((rows >= -SLACK).all()) and bool((np.abs(sums - 1) < SUM_SLACK).all())
        _require(whole, "probabilities are none")  # a NaN is neither

    def _check_exam(self, exam: ExamSnapshot) -> None:
        for values in (exam.probabilities, exam.low, exam.high, exam.mean):
            if values is None:
                continue
            fits = values.shape == (len(self._labels),)
            known = np.isnan(values) | ((values >= -SLACK) & (values <= 1 + SLACK))
            _require(fits and bool(known.all()), "an exam's numbers are none")
        _require(set(exam.prediction_set) <= set(self._labels), "a set names no class of ours")
        counts = (exam.used, *exam.skipped.values())
        _require(
            all(0 <= count <= MOST for count in counts) and SKIPS.issuperset(exam.skipped),
            "an exam's counts are none",
        )
        effective = exam.effective_frames
        _require(math.isfinite(effective) and effective >= 0, "an exam's counts are none")

    def _check_stamps(self, stamped: Stamped) -> None:
        _require(stamped.stream_id in self._streams, "a frame is of no stream of this session")
        self._check_seq(stamped.seq, 0)
        _check_times(stamped.captured_ns, stamped.pts_s)
        _check_scale(stamped)

    def _check_seq(self, seq: int, first: int) -> None:
        _require(first <= seq < self.next_seq + FAR, "a frame has a number that was never given")


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise WireError(otherwise)


def _check_times(captured_ns: int, pts_s: float) -> None:
    _require(0 <= captured_ns <= time.monotonic_ns() + SLACK_NS, "a time has not come yet")
    _require(0 <= pts_s < LONGEST_S, "a time in the exam is none")


def _check_scale(scaled: Scaled) -> None:
    used, told = scaled.mm_per_px, scaled.told_mm_per_px
    _require((used is None) == (scaled.mm_per_px_from is None), "a scale is nobody's")
    sizes = (*told.values(), *(() if used is None else (used,)))
    fits = all(0 < each < LARGEST_MM for each in sizes)  # a NaN is not
    _require(fits and set(ScaleSource).issuperset(told), "a scale is none")


def _check_stages(stage_ms: Mapping[str, float]) -> None:
    named = all(STAGE.fullmatch(name) is not None for name in stage_ms)
    fits = len(stage_ms) <= MOST_FIELDS and all(map(math.isfinite, stage_ms.values()))
    _require(named and fits, "a stage's time is none")


def _check_words(name: str, fields: Mapping[str, Any]) -> None:
    """Check what the record has a place for: it is to go there, and no exam may end by it."""
    places = EVENTS.get(name)
    if places is None:
        return
    try:
        check_event(name, {key: each for key, each in fields.items() if key in places})
    except InputError as error:
        raise WireError(f"a child says what the record does not take: {error}") from error


def _check_fields(fields: Mapping[str, Any], depth: int = 0) -> None:
    _require(len(fields) <= MOST_FIELDS, "an event says too much")
    for name, value in fields.items():
        _require(len(name) <= MOST_FIELDS, "a field's name is none")
        if isinstance(value, Mapping):
            _require(depth == 0 and all(isinstance(key, str) for key in value), "a field is none")
            _check_fields(value, depth + 1)
        elif isinstance(value, list):
            _require(len(value) <= MOST_WORDS and all(map(_is_plain, value)), "a list is none")
        else:
            _require(_is_plain(value), "a field is none")


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= MOST_WORDS and value.isprintable()
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or (isinstance(value, int) and abs(value) <= MOST)
