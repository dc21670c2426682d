"""An exam with kept frames, reviewed in every way, and its objects."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.frame import SkipReason
from neurosono.stream.journal.journal import Clock, ExamJournal, Journal
from neurosono.stream.journal.words import describe_bundle
from neurosono.stream.report.gather import Report, describe_report
from neurosono.stream.study.identity import Identity
from neurosono.stream.study.study import make_study
from tests.engine.structures.test_exam import make_said, make_seen
from tests.stream.report.test_report import Time, fill


@pytest.fixture
def bundle(bundle_root: Path) -> Bundle:
    return Bundle.load(bundle_root)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    clock = Time()
    with Journal.open(tmp_path / "journal.sqlite", clock=Clock(clock, clock)) as opened:
        yield opened


@pytest.fixture
def exam(journal: Journal, bundle: Bundle) -> ExamJournal:
    """An exam that still runs."""
    begun = journal.begin(describe_bundle(bundle) | {"mode": "live", "release": "1.2.3"})
    fill(begun, Time())
    assert journal.flush()  # another program reads the file
    return begun


@pytest.fixture
def exam_id(exam: ExamJournal) -> str:
    return exam.exam_id


@pytest.fixture
def tell(journal: Journal, exam_id: str, bundle: Bundle) -> Callable[[], Report]:
    """Return the exam's report as the record has it now."""

    def read() -> Report:
        with journal.read() as reader:
            return describe_report(reader, exam_id, bundle)

    return read


@pytest.fixture
def report(tell: Callable[[], Report]) -> Report:
    return tell()


@pytest.fixture
def objects(report: Report) -> list[Dataset]:
    return make_study(report, Identity())


@pytest.fixture
def measured(exam: ExamJournal, journal: Journal, bundle: Bundle) -> Report:
    """The report of an exam beside which structures were read, in millimetres."""
    about = describe_bundle(bundle) | {"mode": "live", "release": "1.2.3"}
    kind = {"kind": "structures", "bundle": "phantoms", "sha256": "cd" * 32}
    read = journal.begin(about | {"readers": {"structures": kind}})
    fill(read, Time())
    for seq, hc_mm in enumerate((170.0, 174.0, 178.0, 182.0, 186.0)):
        read.record_reading(make_seen(seq, make_said(hc_mm=hc_mm)))
    read.record_reading(make_seen(9, None, SkipReason.SUPERSEDED))
    read.end({"complete": True})
    with journal.read() as reader:
        return describe_report(reader, read.exam_id, bundle)
