"""One batch judged: into the journal as an exam, and out of it the objects of its study."""

import io
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
from msgspec import structs
from pydicom.dataset import Dataset

from neurosono.archive.exam import Watch
from neurosono.bundles import OpenBundle
from neurosono.engine import __version__
from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import InputError, RunError
from neurosono.exams import judge
from neurosono.node.options import Judging
from neurosono.stream.journal.journal import Clock, ExamJournal, Journal
from neurosono.stream.journal.words import describe_bundle
from neurosono.stream.keep.proposals import Proposal, Proposals
from neurosono.stream.report.gather import describe_report
from neurosono.stream.session.options import name_readers
from neurosono.stream.sources.dicom.header import read_header
from neurosono.stream.sources.limits import MediaLimits
from neurosono.stream.study.codes import Scheme
from neurosono.stream.study.identity import read_identity
from neurosono.stream.study.pictures import Replayed, Seen
from neurosono.stream.study.study import make_study

HEADER = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"),
    *("SeriesNumber", "InstanceNumber", "AcquisitionDateTime", "ContentTime", "Modality"),
    "PatientOrientation",
)


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
class Cine:
    """One instance of the batch: its file, what identifies it, and how many frames it has."""

    path: Path
    header: Dataset
    frames: int


@dataclass
class Examiner:
    """Judges batch after batch with one open bundle, into one journal."""

    opened: OpenBundle
    asked: Judging
    journal_path: Path
    clock: ExamClock = field(default_factory=ExamClock)

    def open_journal(self) -> Journal:
        """Open the journal of all exams."""
        return Journal.open(self.journal_path, clock=Clock(self.clock, self.clock))

    def examine(
        self, folder: Path, journal: Journal, watch: Watch, pixels: io.BufferedRandom
    ) -> list[Dataset]:
        """Judge the cines of a folder and return the objects of their study.

        Their pictures stand in `pixels`, an empty file, until they are written. A cine that breaks
        off ends the exam there, and the exam says that it is not whole. Raises `NeurosonoError`
        where nothing can be judged.
        """
        cines = list_cines(folder)
        self.clock.begin()
        keys = self.asked.trusted_keys
        also = [Bundle.load(each, kind=None, trusted=keys) for each in self.asked.also]
        readers = name_readers(also)
        backend = self.opened.backend
        engine = {
            "backend": backend.name,
            "precision": backend.precision,
            "members": backend.members,
        }
        about = {"mode": "replay", "source": "dicom", "release": __version__, **engine}
        exam = journal.begin(describe_bundle(self.opened.bundle, None, readers) | about)
        exam.event("ready", engine)
        seen = self._judge(cines, exam, watch)
        journal.flush()
        with journal.read() as reader:
            report = describe_report(reader, exam.exam_id, self.opened.bundle)
        identity = read_identity(cines[0].path)
        replayed = Replayed(tuple(each.header for each in cines), seen)
        scheme = Scheme(self.asked.codes)
        return make_study(
            report, identity, scheme, page=self.asked.pdf, replayed=replayed, file=pixels
        )

    def _judge(self, cines: Sequence[Cine], exam: ExamJournal, watch: Watch) -> dict[str, Seen]:
        proposals, seen = Proposals(self.opened.labels), dict[str, Seen]()
        where: dict[int, int] = {}
        complete = True

        def keep(found: Sequence[Proposal]) -> None:
            for each in found:
                name = exam.keep(
                    each.seq, each.pixels, each.reason, heatmap=each.heatmap, label=each.label
                )
                if name is not None:
                    seen[name] = _locate(cines, where[each.seq])

        pairs = judge(
            [str(each.path) for each in cines],
            self.opened,
            every=self.asked.every,
            also=self.asked.also,
            trusted_keys=self.asked.trusted_keys,
        )
        try:
            for picture, result in pairs:
                watch.beat()
                self.clock.pts_s = result.pts_s
                exam.record(result.raw)
                for reading in result.read.values():
                    exam.record_reading(reading)
                where[result.seq] = picture.index
                at_ns = round(result.pts_s * 1e9)  # of the recording: judging has its own pace
                in_time = structs.replace(result.raw, captured_ns=at_ns)
                keep(proposals.offer(in_time, picture.region))
        except RunError:
            if not where:
                raise
            complete = False
        finally:
            watch.rest()
        keep(proposals.finish())
        exam.end({"complete": complete})
        return seen


def list_cines(folder: Path) -> list[Cine]:
    """Return the instances of a folder in the order in which they were acquired."""
    cines = []
    for path in folder.glob("*.dcm"):
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(HEADER))
        cines.append(Cine(path, header, read_header(path, MediaLimits()).frame_count))
    if not cines:
        raise InputError("its cines are gone")
    return sorted(cines, key=_order)


def _order(cine: Cine) -> tuple[int, int, str, str]:
    header = cine.header
    time_words = re.sub(r"\D", "", str(header.get("ContentTime") or ""))
    series, instance = (int(header.get(each) or 0) for each in ("SeriesNumber", "InstanceNumber"))
    return series, instance, time_words, str(header.SOPInstanceUID)


def _locate(cines: Sequence[Cine], index: int) -> Seen:
    """Return which frame of which cine the picture `index` of the exam is."""
    for cine in cines:
        if index < cine.frames:
            said = (str(cine.header.SOPClassUID), str(cine.header.SOPInstanceUID))
            return Seen(*said, index + 1)
        index -= cine.frames
    raise InputError("the cines hold more frames than they declare")
