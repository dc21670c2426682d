"""Working off the outbox: a process that makes each study, stores it, tells steps, and ends.

Run as `python -m neurosono.stream.study.posting JOURNAL`. Making objects and talking to a PACS
stay out of the process beside the scanner.
"""

import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pydicom.dataset import Dataset

from neurosono.stream.hospital.errands import do_errand, tell_step
from neurosono.stream.hospital.hush import hush
from neurosono.stream.hospital.identities import forget_step, read_kept
from neurosono.stream.hospital.node import parse_node
from neurosono.stream.hospital.outbox import STUDY, ErrandStanding, Outbox, Row, Study


def work_off(outbox: Outbox, journal: Path, *, at_once: bool = False) -> list[Row]:
    """Do what is due and return how each stands now; nothing where another process does it.

    With `at_once`, all that waits is due.
    """
    with outbox.hold() as free:
        due = outbox.list_due(at_once=at_once) if free else []
        for row in due:
            do_errand(outbox, row, partial(_do, journal, outbox))
            if _is_over(outbox, row):
                forget_step(journal, row.exam_id, row.number)
        found = (outbox.find(row.exam_id, row.number) for row in due)
        return [row for row in found if row is not None]


def _is_over(outbox: Outbox, row: Row) -> bool:
    """Whether nobody need be told any more whose a step was; a study's is kept with its exam."""
    now = outbox.find(row.exam_id, row.number)
    over = now is None or now.standing in (ErrandStanding.STORED, ErrandStanding.GIVEN_UP)
    return over and row.number != STUDY


def _do(journal: Path, outbox: Outbox, row: Row) -> None:
    if isinstance(row.what, Study):
        from neurosono.stream.study.send import send_dicom

        node = parse_node(row.what.node, row.what.own_title, row.what.tls)
        send_dicom(_make(journal, row.exam_id, row.what), node)
        outbox.note(row, ErrandStanding.STORED)
        return
    tell_step(
        outbox,
        row,
        whose=lambda: read_kept(journal, row.exam_id, row.number),
        made=lambda: _find_made(journal, outbox, row.exam_id),
    )


def _find_made(journal: Path, outbox: Outbox, exam_id: str) -> list[Dataset]:
    study = outbox.find(exam_id)
    if study is None or not isinstance(study.what, Study):
        return []
    return _make(journal, exam_id, study.what)


def _make(journal: Path, exam_id: str, job: Study) -> list[Dataset]:
    """Make a study's objects; what only they need is loaded here, for a step begins without it."""
    from neurosono.engine.bundle import Bundle
    from neurosono.engine.contracts.errors import BundleError
    from neurosono.stream.journal.journal import Journal
    from neurosono.stream.report.gather import describe_report
    from neurosono.stream.study.codes import Scheme
    from neurosono.stream.study.identity import Identity, take_identity
    from neurosono.stream.study.study import make_study

    bundle = None
    if job.bundle is not None:
        try:
            bundle = Bundle.load(job.bundle)
        except BundleError:
            bundle = None  # moved or built anew meanwhile: the exam is worth more than its heatmaps
    with Journal.open(journal) as opened, opened.read() as reader:
        if bundle is not None and reader.exam(exam_id).about["bundle_sha256"] != (
            bundle.manifest.digest
        ):
            bundle = None
        report = describe_report(reader, exam_id, bundle)
    entry = read_kept(journal, exam_id)
    identity = Identity() if entry is None else take_identity(entry.dataset)
    return make_study(report, identity, Scheme(job.codes), page=job.pdf)


def main(arguments: Sequence[str]) -> int:
    """Send and tell what is due of the journal named."""
    hush()
    os.nice(10)  # what runs beside it is a live picture
    journal = Path(arguments[0])
    with Outbox(journal) as outbox:
        work_off(outbox, journal)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
