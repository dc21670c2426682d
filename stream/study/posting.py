"""Sending what waits in the outbox: a process that makes each study, stores it, and ends.

Run as `python -m neurosono.stream.study.posting JOURNAL`. Making objects and talking to a PACS
stay out of the process beside the scanner.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import BundleError, NeurosonoError
from neurosono.stream.hospital.identities import read_kept
from neurosono.stream.hospital.node import parse_node
from neurosono.stream.hospital.outbox import ALWAYS_NS, Job, Standing, hold, list_due, post
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


def _send(journal: Path, job: Job) -> None:
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
    objects = make_study(report, identity, Scheme(job.codes), page=job.pdf)
    send_dicom(objects, parse_node(job.node, job.own_title, job.tls))


def main(arguments: Sequence[str]) -> int:
    """Send what is due of the journal named."""
    os.nice(10)  # what runs beside it is a live picture
    done = send_due(Path(arguments[0]))
    return 0 if all(job.standing is Standing.STORED for job in done) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
