"""Getting rid of what the hospital told of exams that are gone."""

from collections.abc import Sequence
from pathlib import Path

from neurosono.stream.hospital.identities import forget_identity
from neurosono.stream.hospital.outbox import NAME, Outbox


def forget_exams(journal: Path, exam_ids: Sequence[str]) -> None:
    """Delete whose they were, and what of them waited to be sent or told."""
    for exam_id in exam_ids:
        forget_identity(journal, exam_id)
    if (journal.parent / NAME).exists():
        with Outbox(journal) as outbox:
            for exam_id in exam_ids:
                outbox.drop(exam_id)
