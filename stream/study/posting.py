"""Sending what waits in the outbox: a process that makes each study, stores it, and ends.

Run as `python -m neurosono.stream.study.posting JOURNAL`. Making objects and talking to a PACS
stay out of the process beside the scanner.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pydicom.dataset import Dataset

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import BundleError, InputError, NeurosonoError
from neurosono.stream.hospital import steps
from neurosono.stream.hospital.entry import Entry
from neurosono.stream.hospital.identities import forget_step, read_kept
from neurosono.stream.hospital.mpps import tell_hospital
from neurosono.stream.hospital.node import parse_node
from neurosono.stream.hospital.outbox import (
    ALWAYS_NS,
    Job,
    Standing,
    hold,
    list_due,
    post,
    read_job,
)
from neurosono.stream.hospital.steps import Outcome, Step, Told
from neurosono.stream.journal.journal import Journal
from neurosono.stream.report.gather import describe_report
from neurosono.stream.study.codes import Scheme
from neurosono.stream.study.identity import Identity, take_identity
from neurosono.stream.study.send import send_dicom
from neurosono.stream.study.study import make_study


def send_due(
    journal: Path, now_ns: Callable[[], int] = time.time_ns, *, at_once: bool = False
) -> list[Job]:
    """Send what is due and return how each stands now; nothing where another process sends.

    With `at_once`, all that waits is due.
    """
    with hold(journal) as free:
        if not free:
            return []
        done = []
        for job in list_due(journal, ALWAYS_NS if at_once else now_ns()):
            try:
                _send(journal, job)
                now = job.stored()
            except NeurosonoError as error:
                now = job.failed(str(error), now_ns())
            except Exception as error:  # noqa: BLE001 (its words could quote a patient, its class cannot)
                now = job.failed(f"it could not be made: {type(error).__name__}", now_ns())
            post(journal, now)
            done.append(now)
        return done


def tell_due(
    journal: Path, now_ns: Callable[[], int] = time.time_ns, *, at_once: bool = False
) -> list[tuple[Step, Told]]:
    """Tell the hospital of the steps that are due; return how far each is now.

    Nothing where another process tells. With `at_once`, all that waits is due.
    """
    with hold(journal) as free:
        if not free:
            return []
        done = []
        for step in steps.list_due(journal, ALWAYS_NS if at_once else now_ns()):
            told = steps.read_told(journal, step)
            try:
                told = _tell(journal, step, told, now_ns())
            except Exception as error:  # noqa: BLE001 (its words could quote a patient, its class cannot)
                known = isinstance(error, NeurosonoError)
                said = str(error) if known else f"it could not be told: {type(error).__name__}"
                told = told.failed(said, step.ended_ns or step.began_ns, now_ns())
            steps.write_told(journal, step, told)
            if told.standing is not Standing.WAITING:
                forget_step(journal, step.exam_id, step.number)
            done.append((step, told))
        return done


def _tell(journal: Path, step: Step, told: Told, now_ns: int) -> Told:
    entry = read_kept(journal, step.exam_id, step.number)
    if entry is None:
        if not told.created:
            raise InputError("whose it was is gone")
        entry = Entry(Dataset(), "", "", "")  # its end names nobody
    job = read_job(journal, step.exam_id)
    made = [] if job is None or step.outcome is not Outcome.COMPLETED else _make(journal, job)
    return tell_hospital(step, told, entry, made, now_ns)


def _send(journal: Path, job: Job) -> None:
    send_dicom(_make(journal, job), parse_node(job.node, job.own_title, job.tls))


def _make(journal: Path, job: Job) -> list[Dataset]:
    bundle = None
    if job.bundle is not None:
        try:
            bundle = Bundle.load(job.bundle)
        except BundleError:
            bundle = None  # moved or built anew meanwhile: the exam is worth more than its heatmaps
    with Journal.open(journal) as opened, opened.read() as reader:
        if bundle is not None and reader.exam(job.exam_id).about["bundle_sha256"] != (
            bundle.manifest.digest
        ):
            bundle = None
        report = describe_report(reader, job.exam_id, bundle)
    entry = read_kept(journal, job.exam_id)
    identity = Identity() if entry is None else take_identity(entry.dataset)
    return make_study(report, identity, Scheme(job.codes), page=job.pdf)


def main(arguments: Sequence[str]) -> int:
    """Send and tell what is due of the journal named."""
    os.nice(10)  # what runs beside it is a live picture
    journal = Path(arguments[0])
    tell_due(journal)  # before a PACS that is slow
    send_due(journal)
    tell_due(journal)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
