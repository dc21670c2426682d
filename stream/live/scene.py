"""A live session with all that is kept of it: the journal, clips, films, an exam to go on with."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.exam.exam import Exam
from neurosono.stream.journal.journal import Journal
from neurosono.stream.journal.rebuild import rebuild_exam, rebuild_readings
from neurosono.stream.keep.film import Film
from neurosono.stream.live.log import JsonLog
from neurosono.stream.live.metrics import Metrics
from neurosono.stream.live.options import SessionOptions
from neurosono.stream.live.record import LiveRecord
from neurosono.stream.live.session import Live
from neurosono.stream.live.stage import Ended, Stage, Watcher
from neurosono.stream.page.hub import Hub
from neurosono.stream.view.summary import describe_exam, describe_models

if TYPE_CHECKING:  # most sessions need none of these, nor what these load
    from neurosono.stream.keep.clips import Clips
    from neurosono.stream.keep.recording import Recorder
    from neurosono.stream.live.igtl_out import IgtlOut
    from neurosono.stream.live.register import Register, Registering


@dataclass(frozen=True, kw_only=True)
class Keeping:
    """What is kept of a live session, and where.

    `journal` is the exam record (None: in the user's data folder), `resume` an exam in it to go on
    with. `keep_clips` writes a clip of what was seen before each kept frame, `record` films the
    exam, into the folder `record_to` (None: beside the journal). `log_json` gets a line an event.
    `registering` asks the worklist whose each exam is, and sends what ended.
    `igtl_port` is where what is shown goes out by OpenIGTLink.
    """

    journal: Path | None = None
    keep_clips: bool = False
    resume: str | None = None
    record: Film | None = None
    record_to: Path | None = None
    log_json: Path | None = None
    registering: "Registering | None" = None
    igtl_port: int | None = None

    def __post_init__(self) -> None:
        if self.record_to is not None and self.record is None:
            raise InputError("--record-to says where: say what too, --record overlay or clean")


@dataclass
class Scene:
    """A live session that is ready to run."""

    options: SessionOptions
    bundle: Bundle
    student: Bundle | None
    journal: Journal
    record: LiveRecord
    clips: "Clips | None"
    recorder: "Recorder | None"
    begun: Exam | None
    readers: dict[str, Bundle]
    read: dict[str, dict[str, Any]]
    """Where the exams of the readers stood, to go on with."""
    hub: Hub
    metrics: Metrics
    register: "Register | None" = None
    igtl: "IgtlOut | None" = None
    ended: Ended | None = None

    def run(
        self, stopped: Callable[[], bool], meanwhile: Callable[[], None] = lambda: None
    ) -> None:
        """Run until `stopped`, and end the exam's record; as `Live.run` does, and raises as it."""
        stage: Stage = self.hub
        if self.igtl is not None:
            from neurosono.stream.live.igtl_out import RelayedStage

            stage = RelayedStage(self.hub, self.igtl)
        live = Live(
            self.options,
            self.bundle,
            stage,
            self.record,
            self.begun,
            student=self.student,
            second_read=self.options.second_read,
            readers=self.readers,
            read=self.read,
        )
        self.ended = live.run(stopped, meanwhile)
        self.record.end(self.ended.counts)

    def describe(self) -> dict[str, Any]:
        """Return the exam that ended, as `exam.json` would; once the scene is closed, all of it."""
        assert self.ended is not None, "it has to run first"
        counts = self.hub.counts
        screens = ("viewers_seen", "published", "encoded", "superseded", "painted")
        written = self.record.check()
        accounts = dict(self.ended.measured["accounts"])
        accounts["recorded"] -= written["missing"]["results"]
        accounts["unaccounted"] += written["missing"]["results"]
        measured = {
            **self.ended.measured,
            "accounts": accounts,
            "record": written,
            "screens": {n: getattr(counts, n) for n in screens},
        }
        return {
            **describe_exam(self.bundle.manifest.labels, self.ended.exam.snapshot()),
            "exam": self.record.exam_id,
            "source": "live",
            "frames": self.ended.counts,
            "latency_ms": {},
            "session": measured,
            "engine": self.ended.engine,
            **describe_models(self.bundle, self.student),
            **({"readings": self.ended.readings} if self.readers else {}),
        } | ({} if self.recorder is None else {"recording": self.recorder.describe()})


@contextmanager
def open_scene(options: SessionOptions, keeping: Keeping) -> Iterator[Scene]:
    """Open all that a live session needs, and close it on the way out.

    Raises `InputError` where source, bundle, engine or a place to write cannot be used.
    """
    bundle = options.load_bundle()
    student = options.load_student(bundle)
    readers = options.load_readers()
    options.check(bundle)
    with ExitStack() as stack:
        journal = stack.enter_context(Journal.open(keeping.journal))
        clips, recorder, resume = None, None, keeping.resume
        if keeping.keep_clips:
            from neurosono.stream.keep.clips import Clips

            clips = stack.enter_context(Clips(journal.path))
        if keeping.record is not None:
            from neurosono.stream.keep.recording import Recorder, recording_folder

            folder = keeping.record_to or recording_folder(journal.path)
            recorder = stack.enter_context(Recorder(folder, keeping.record, bundle.manifest))
        begun = None if resume is None else rebuild_exam(journal, resume, bundle, student)
        read = {} if resume is None else rebuild_readings(journal, resume, readers)
        hub = Hub()
        watchers: list[Watcher] = [metrics := Metrics(hub)]
        if keeping.log_json is not None:
            watchers.append(stack.enter_context(closing(JsonLog(keeping.log_json))))
        register = None
        if keeping.registering is not None:
            from neurosono.stream.live.register import Register

            flush, root = journal.flush, str(bundle.root)
            plan = (keeping.registering, journal.path, root, hub.publish_worklist, flush)
            register = stack.enter_context(closing(Register(*plan)))
            register.begin()
        igtl = None
        if keeping.igtl_port is not None:
            from neurosono.stream.live.igtl_out import IgtlOut

            igtl = stack.enter_context(IgtlOut(keeping.igtl_port))
        kept = (journal, bundle, clips, resume, recorder, student, readers, watchers)
        record = LiveRecord(*kept, register=register)
        told = (options, bundle, student, journal, record, clips, recorder, begun)
        yield Scene(*told, readers, read, hub, metrics, register, igtl)
