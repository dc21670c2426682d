"""One batch judged: into the journal as an exam, and out of it the objects of its study."""

import io
import re
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from neurosono.archive.exam import Watch
from neurosono.bundles import OpenBundle
from neurosono.engine.contracts.errors import InputError
from neurosono.node.options import Judging
from neurosono.node.order import read_order
from neurosono.stream.journal.journal import Journal
from neurosono.stream.report.gather import describe_report
from neurosono.stream.sources import open_source
from neurosono.stream.study.codes import Scheme
from neurosono.stream.study.identity import add_order, read_identity
from neurosono.stream.study.study import make_study
from neurosono.studies import Asked, Examiner

ORDER = ("SeriesNumber", "InstanceNumber", "ContentTime", "SOPInstanceUID")


@dataclass(frozen=True)
class StudyMaker:
    """Makes the studies of batch after batch."""

    examiner: Examiner
    codes: Scheme
    pdf: bool

    def make(
        self, folder: Path, journal: Journal, watch: Watch, pixels: io.BufferedRandom
    ) -> list[Dataset]:
        """Judge the cines of a folder and return the objects of their study.

        Their pictures stand in `pixels`, an empty file, until they are written. A cine that breaks
        off ends the exam there, and the exam says that it is not whole. Raises `NeurosonoError`
        where nothing can be judged.
        """
        paths = list_cines(folder)
        source = open_source([str(each) for each in paths])
        try:
            examined = self.examiner.examine(source, journal, watch.beat)
        finally:
            watch.rest()
        with journal.read() as reader:
            report = describe_report(reader, examined.exam_id, self.examiner.opened.bundle)
        identity = add_order(read_identity(paths[0]), read_order(folder))
        replayed = examined.refer(identity)
        return make_study(
            report, identity, self.codes, page=self.pdf, replayed=replayed, file=pixels
        )


def open_maker(opened: OpenBundle, asked: Judging, journal_path: Path) -> StudyMaker:
    """Return what makes studies as a node was asked to."""
    judging = Asked(every=asked.every, also=asked.also, trusted_keys=asked.trusted_keys)
    return StudyMaker(Examiner(opened, judging, journal_path), Scheme(asked.codes), asked.pdf)


def list_cines(folder: Path) -> list[Path]:
    """Return the instances of a folder in the order in which they were acquired."""
    heads = {
        path: pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(ORDER))
        for path in folder.glob("*.dcm")
    }
    if not heads:
        raise InputError("its cines are gone")
    return sorted(heads, key=lambda path: _order(heads[path]))


def _order(header: Dataset) -> tuple[int, int, str, str]:
    time_words = re.sub(r"\D", "", _read_words(header, "ContentTime"))
    series, instance = (_read_number(header, each) for each in ("SeriesNumber", "InstanceNumber"))
    return series, instance, time_words, _read_words(header, "SOPInstanceUID")


def _read_words(header: Dataset, keyword: str) -> str:
    """Return what is written, whatever it should have been."""
    value = header.get_item(keyword).value if keyword in header else b""
    return value.decode("latin-1") if isinstance(value, bytes) else str(value or "")


def _read_number(header: Dataset, keyword: str) -> int:
    """Return the number that is written first; 0 where none is."""
    found = re.match(r"\s*(-?\d{1,12})", _read_words(header, keyword))
    return int(found[1]) if found else 0
