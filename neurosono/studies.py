"""A recorded exam on its way into a study: judged into a journal, with where each kept frame was.

What a node and `neurosono study SOURCE` do alike, in this process.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pydicom
from msgspec import structs
from pydicom.dataset import Dataset

from neurosono.bundles import OpenBundle
from neurosono.engine import __version__
from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import RunError
from neurosono.exams import judge
from neurosono.stream.journal.journal import Clock, ExamJournal, Journal
from neurosono.stream.journal.words import describe_bundle
from neurosono.stream.keep.proposals import Proposal, Proposals
from neurosono.stream.session.options import name_readers
from neurosono.stream.sources import ExamSource
from neurosono.stream.study.identity import Identity
from neurosono.stream.study.pictures import Replayed, Seen

REFERRED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
HEADER = (*REFERRED, "NumberOfFrames", "Modality", "PatientOrientation")
"""What is read of a cine to refer to it."""
SOURCES = {"clip": "recording", "still": "stills", "DICOM": "dicom", "phantom": "phantom"}
"""The journal's word for each kind of clip."""


@dataclass
class ExamClock:
    """A journal's clock for recordings: it stands where the picture at hand stands in its exam."""

    begun_ns: int = 0
    pts_s: float = 0.0

    def begin(self) -> None:
        """Begin an exam now."""
        self.begun_ns, self.pts_s = time.time_ns(), 0.0

    def __call__(self) -> int:
        """Return nanoseconds since 1970, of the hour of judging and the time in the exam."""
        return (self.begun_ns or time.time_ns()) + round(self.pts_s * 1e9)


@dataclass(frozen=True)
class Asked:
    """How an exam is judged, in the words of `neurosono.judge`."""

    every: int | None = 1
    region: str | None = None
    mm_per_px: float | None = None
    weeks: float | None = None
    also: tuple[str, ...] = ()
    trusted_keys: str | None = None


@dataclass(frozen=True, eq=False)
class Examined:
    """An exam that is in the journal.

    `files` are the DICOM files among its `clips`, by their place among them; `seen` tells of each
    kept frame, by its id, which clip and which of its pictures it is, all from 0. `failure` is what
    broke the exam off; up to there it was judged, and it says that it is not whole.
    """

    exam_id: str
    clips: int
    files: Mapping[int, Path]
    seen: Mapping[str, tuple[int, int]]
    failure: RunError | None

    def refer(self, identity: Identity) -> Replayed:
        """Return the references of an object of that study: to those files that are of it.

        Without a study there are none: an instance's UID names a patient to whoever has its PACS.
        """
        study = identity.dataset.get("StudyInstanceUID")
        heads = {number: _read_head(path) for number, path in self.files.items()} if study else {}
        cines = {
            number: head
            for number, head in heads.items()
            if head.get("StudyInstanceUID") == study and all(head.get(each) for each in REFERRED)
        }
        if len(cines) < self.clips:  # nobody says how the others lie
            for head in cines.values():
                head.pop("PatientOrientation", None)
        seen = {}
        for name, (clip, index) in self.seen.items():
            # a film may hold more than it declares: a frame beyond is none to refer to
            if clip in cines and index < int(cines[clip].get("NumberOfFrames") or 1):
                said = (str(cines[clip].SOPClassUID), str(cines[clip].SOPInstanceUID))
                seen[name] = Seen(*said, index + 1)
        return Replayed(tuple(cines.values()), seen)


@dataclass
class Examiner:
    """Judges exam after exam with one open bundle, into one journal."""

    opened: OpenBundle
    asked: Asked
    journal_path: Path
    clock: ExamClock = field(default_factory=ExamClock)

    def open_journal(self) -> Journal:
        """Open the journal of all exams."""
        return Journal.open(self.journal_path, clock=Clock(self.clock, self.clock))

    def examine(self, source: ExamSource, journal: Journal, beat: Callable[[], None]) -> Examined:
        """Judge a source to its end, or to where it breaks off; `beat` is called for each frame.

        Raises `NeurosonoError` where nothing of it can be judged.
        """
        self.clock.begin()
        keys = self.asked.trusted_keys
        also = [Bundle.load(each, kind=None, trusted=keys) for each in self.asked.also]
        backend = self.opened.backend
        engine = {
            "backend": backend.name,
            "precision": backend.precision,
            "members": backend.members,
        }
        about = describe_bundle(self.opened.bundle, None, name_readers(also))
        about |= {"mode": "replay", "source": _name_source(source), "release": __version__}
        exam = journal.begin(about | engine)
        exam.event("ready", engine)
        keeper = _Keeper(exam, Proposals(self.opened.labels), source)
        failure = self._judge(source, exam, keeper, beat)
        keeper.finish()
        exam.end({"complete": failure is None})
        journal.flush()
        files = {n: path for n, path in source.dicom_files.items() if n < source.begun}
        return Examined(exam.exam_id, source.begun, files, keeper.seen, failure)

    def _judge(
        self,
        source: ExamSource,
        exam: ExamJournal,
        keeper: "_Keeper",
        beat: Callable[[], None],
    ) -> RunError | None:
        judged = False
        try:
            for picture, result in judge(source, self.opened, **asdict(self.asked)):
                beat()
                self.clock.pts_s = result.pts_s
                exam.record(result.raw)
                for reading in result.read.values():
                    exam.record_reading(reading)
                at_ns = round(result.pts_s * 1e9)  # of the recording: judging has its own pace
                in_time = structs.replace(result.raw, captured_ns=at_ns)
                keeper.place(result.seq, picture.index)
                keeper.keep(keeper.proposals.offer(in_time, picture.region))
                judged = True
        except RunError as error:
            if not judged:
                raise
            return error
        return None


class _Keeper:
    """Keeps what is offered, and where it was seen."""

    def __init__(self, exam: ExamJournal, proposals: Proposals, source: ExamSource) -> None:
        self.proposals, self.seen = proposals, dict[str, tuple[int, int]]()
        self._exam, self._source = exam, source
        self._index: dict[int, int] = {}

    def place(self, seq: int, index: int) -> None:
        """Note which picture of the exam the sampled frame `seq` is."""
        self._index[seq] = index

    def keep(self, found: Sequence[Proposal]) -> None:
        for each in found:
            name = self._exam.keep(
                each.seq, each.pixels, each.reason, heatmap=each.heatmap, label=each.label
            )
            if name is not None:
                self.seen[name] = self._source.locate(self._index[each.seq])

    def finish(self) -> None:
        """Keep what still stands at the end."""
        self.keep(self.proposals.finish())


def _name_source(source: ExamSource) -> str:
    words = {SOURCES[noun] for noun in source.nouns}
    return words.pop() if len(words) == 1 else "mixed"


def _read_head(path: Path) -> Dataset:
    return pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=list(HEADER))
