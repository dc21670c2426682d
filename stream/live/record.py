"""A live exam's way into the journal: what happened, in the journal's own words."""

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from neurosono.engine import __version__
from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.frame import DisplayFrame
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.contracts.result import Result
from neurosono.stream.journal.journal import ExamJournal, Journal
from neurosono.stream.journal.reader import Tally
from neurosono.stream.journal.words import EVENTS, check_event, describe_bundle
from neurosono.stream.keep.film import Film
from neurosono.stream.keep.proposals import Proposal
from neurosono.stream.live.stage import Record, Watcher
from neurosono.stream.page.protocol import Command
from neurosono.stream.view.state import AiState, OverlayState

if TYPE_CHECKING:  # who asks for no clip, no film and no worklist loads nothing of it
    from neurosono.stream.keep.clips import Clips
    from neurosono.stream.keep.recording import Recorder
    from neurosono.stream.live.register import Register

_NAMES = {"connected": "opened"}
"""Where a source's word for what happened is not the journal's."""

MAX_WAITING = 200
"""Events remembered from before the first frame: a source that tries and tries is not an exam."""

_AI_WORDS = {
    AiState.ON: "on",
    AiState.OFF: "off",
    AiState.STARTING: "starting",
    AiState.NO_SIGNAL: "no-signal",
}


class LiveRecord(Record):
    """Writes one exam after the other into a journal."""

    def __init__(
        self,
        journal: Journal,
        bundle: Bundle,
        clips: "Clips | None" = None,
        resume: str | None = None,
        recorder: "Recorder | None" = None,
        student: Bundle | None = None,
        readers: Mapping[str, Bundle] = MappingProxyType({}),
        watchers: Sequence[Watcher] = (),
        register: "Register | None" = None,
    ) -> None:
        """`clips` takes what was seen before each kept frame; without it no clip is made.

        `resume` is the exam to go on with, whose session was killed; `recorder` films it;
        `student` judges beside `bundle`, `readers` read. `watchers` hear every event as it happens,
        and every age. `register` knows whose each exam is.
        """
        self._register = register
        self._watchers = tuple(watchers)
        self._journal, self._clips = journal, clips
        self._models = describe_bundle(bundle, student, readers)
        self._recorder, self._filming, self._failed = recorder, False, False
        self._last_seen: DisplayFrame | None = None
        self._engine: dict[str, Any] = {}
        self._ai: AiState | None = None
        self._connections = 0
        self._exam: ExamJournal | None = None if resume is None else journal.resume(resume)
        self._id = journal.make_exam_id() if resume is None else resume
        self._waiting: list[tuple[str, dict[str, Any]]] = []
        self._told: dict[str, Counter[str]] = {}
        self._before = Tally() if resume is None else journal.tally(resume)
        self._resumed = resume
        if register is not None:
            register.open_exam(self._id)

    @property
    def exam_id(self) -> str:
        """The id of the exam that runs."""
        return self._id

    @property
    def begun(self) -> bool:
        """Whether the exam stands in the journal: from its first sampled frame on."""
        return self._exam is not None

    def record(self, result: Result) -> None:
        """Write down a result, before it is shown; the first one begins the exam."""
        # what passed through the engine has waited for it; the rest was never counted by it
        self._open().record(result, judged="wait" in result.stage_ms)
        self._count("results")

    def trouble(self) -> str | None:
        """Return why what is shown now is not recorded; empty where it is."""
        return self._journal.status.trouble

    def check(self) -> dict[str, Any]:
        """Count in the journal's file what this session told it; once the journal is closed.

        `missing` is what was told and is not there, `trouble` how the journal says so.
        """
        told: Counter[str] = sum(self._told.values(), Counter())
        found: Counter[str] = Counter()
        for exam_id in self._told:
            tally = self._journal.tally(exam_id)
            before = self._before if exam_id == self._resumed else Tally()
            found["results"] += tally.results - before.results
            found["key_frames"] += tally.key_frames - before.key_frames
        kinds = ("results", "key_frames")
        status = self._journal.status
        return {
            "told": {kind: told[kind] for kind in kinds},
            "missing": {kind: max(0, told[kind] - found[kind]) for kind in kinds},
            "waiting_bytes": status.pending_bytes,
            "trouble": status.trouble or status.message,
        }

    def record_reading(self, reading: ReaderResult) -> None:
        """Write down what a reader says, before it is shown."""
        self._open().record_reading(reading)

    def event(self, name: str, fields: Mapping[str, Any]) -> None:
        """Write down an event; of its fields only those that the journal has a place for."""
        word = _NAMES.get(name, name)
        places = EVENTS.get(word)
        if places is None:
            return
        kept = {key: value for key, value in fields.items() if key in places}
        if word == "ready":
            self._engine = kept
        self._say(word, kept)
        if name == "connected":
            self._connections += 1
            if self._connections > 1:
                self._say("reconnected", {"count": self._connections - 1})

    def state(self, part: str, value: str) -> None:
        """Write down that `part` is now `value`."""
        self._say("state", {"part": part, "value": value})

    def note_ai(self, ai: AiState) -> None:
        """Write down what the screen says of the AI, when that changes."""
        if ai is not self._ai:
            self._ai = ai
            self.state("ai", _AI_WORDS[ai])

    def see(self, picture: DisplayFrame, state: OverlayState) -> None:
        """Take what is shown now, region only: for clips, and for a film once the exam began."""
        if self._clips is not None:
            self._clips.see(picture.region, picture.captured_ns)
        if self._recorder is None or self._exam is None:
            return
        self._last_seen = picture
        if not self._filming:
            self._filming = True
            self._say("recording-begun", {"overlay": self._recorder.film is Film.OVERLAY})
        if self._recorder.failure is not None:
            if not self._failed:
                self._failed = True
                self.state("recording", "off")
            return
        self._recorder.take(self._id, picture.region, picture.captured_ns, state)

    def turn(self, state: OverlayState, now_ns: int) -> None:
        """Film the last picture once more, without what was said of it: it stands while none comes.

        A film holds each picture until the next one, and with it what the AI said.
        """
        if self._recorder is not None and self._filming and self._last_seen is not None:
            self._recorder.take(self._id, self._last_seen.region, now_ns, state)

    def recording(self) -> dict[str, Any] | None:
        """Return how the recording stands, or None where none is made."""
        return None if self._recorder is None else self._recorder.describe()

    def keep(self, frame: Proposal) -> str | None:
        """Keep a frame; returns its id, or None where nothing can be kept."""
        seq, pixels, reason = frame.seq, frame.pixels, frame.reason
        name = self._open().keep(seq, pixels, reason, heatmap=frame.heatmap, label=frame.label)
        self._count("key_frames")
        if name is not None and self._clips is not None:
            self._clips.keep(self.exam_id, name, frame.captured_ns)
        return name

    def review(self, key_frame_id: str, verdict: str, label: str | None) -> None:
        """Write down what a person said of a kept picture."""
        self._open().review(key_frame_id, verdict, label)

    def next_exam(self, counts: Mapping[str, Any]) -> None:
        """End the exam and begin another."""
        self.end(counts)
        if self._clips is not None:
            self._clips.begin_exam()
        self._exam, self._id = None, self._journal.make_exam_id()
        self._last_seen = None
        if self._register is not None:
            self._register.open_exam(self._id)

    def obey(self, command: Command) -> None:
        """Do what a person asks about whose exam it is."""
        if self._register is not None:
            self._register.obey(command)

    def end(self, counts: Mapping[str, Any]) -> None:
        """End the exam, if it ever began; `counts` is `frames` of `exam.json`."""
        if self._exam is not None:
            if self._recorder is not None and self._filming:
                told = self._recorder.describe()
                self._say("recording-ended", {key: told[key] for key in ("segments", "pictures")})
            self._filming = False
            self._exam.end({"complete": True, "frames": dict(counts)})
        if self._register is not None:
            self._register.close_exam(self._id, begun=self._exam is not None)

    def _open(self) -> ExamJournal:
        """Return the exam, begun now if it was not: a session without a frame leaves no trace."""
        if self._exam is None:
            about = {"mode": "live", "release": __version__, **self._engine}
            self._exam = self._journal.begin(self._models | about, self._id)
            for word, fields in self._waiting:
                self._enter(self._exam, word, fields)
            self._waiting.clear()
        return self._exam

    def note_age(self, what: str, age_ms: float) -> None:
        """Hand an age on to whoever watches; the journal has results, and with them their ages."""
        for watcher in self._watchers:
            watcher.note_age(what, age_ms)

    def _count(self, kind: str) -> None:
        self._told.setdefault(self._id, Counter())[kind] += 1

    def _say(self, word: str, fields: dict[str, Any]) -> None:
        for watcher in self._watchers:
            watcher.note_event(word, _check(word, fields))
        if self._exam is None:
            self._waiting = [*self._waiting[-MAX_WAITING:], (word, fields)]
        else:
            self._enter(self._exam, word, fields)

    def _enter(self, exam: ExamJournal, word: str, fields: dict[str, Any]) -> None:
        exam.event(word, _check(word, fields))


def _check(word: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Return an event's fields; none where the journal has no word for one: it happened, though."""
    try:
        return check_event(word, fields)
    except InputError:
        return {}
