"""Getting rid of what the hospital told of exams that are gone."""

from collections.abc import Iterable
from pathlib import Path

from neurosono.stream.hospital import identities, outbox, steps


def forget_exams(journal: Path, exam_ids: Iterable[str]) -> None:
    """Delete whose they were, and what of them waited to be sent or told."""
    for exam_id in exam_ids:
        identities.forget_identity(journal, exam_id)
        outbox.drop(journal, exam_id)
        steps.drop(journal, exam_id)
