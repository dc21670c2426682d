"""The exams that the system got most wrong, and the frames that made it so."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosono.engine.contracts.arrays import Floats
from neurosono.engine.contracts.cache import Cache, pseudonym
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.predictions import Predictions

EXAMS_SHOWN = 6
FRAMES_SHOWN = 2


@dataclass(frozen=True)
class WorstExam:
    """An exam, what was said of it, and which frames of the table to show, worst first.

    `rival` is the likeliest wrong class: of a wrong exam the one that it was taken for. `frames`
    are row numbers of the table of frames, those that gave the rival most.
    """

    exam: str
    truth: int
    rival: int
    wrong: bool
    probabilities: Floats
    frame_count: int
    frames: tuple[int, ...]


def choose_worst(frames: Predictions) -> list[WorstExam]:
    """Return wrong exams, surest of the wrong class first, then right ones, least sure first."""
    exams = frames.by_exam()
    rows = np.arange(len(exams.targets))
    rivals = exams.probabilities.copy()
    rivals[rows, exams.targets] = -1.0
    rival = rivals.argmax(1)
    wrong = exams.probabilities.argmax(1) != exams.targets
    given = exams.probabilities[rows, exams.targets]
    order = np.lexsort((np.where(wrong, -rivals[rows, rival], given), ~wrong))
    found = []
    for at in order[:EXAMS_SHOWN]:
        own = np.flatnonzero(frames.exams == exams.exams[at])
        ranked = own[np.argsort(-frames.probabilities[own, rival[at]], kind="stable")]
        found.append(
            WorstExam(
                exam=str(exams.exams[at]),
                truth=int(exams.targets[at]),
                rival=int(rival[at]),
                wrong=bool(wrong[at]),
                probabilities=exams.probabilities[at],
                frame_count=len(own),
                frames=tuple(int(row) for row in ranked[:FRAMES_SHOWN]),
            )
        )
    return found


def set_worst(worst: list[WorstExam], frames: Predictions) -> list[dict[str, Any]]:
    """Return the exams as JSON; `row` is the frame's number in the cache."""
    labels = frames.labels

    def name(values: Floats) -> dict[str, float]:
        return {label: float(value) for label, value in zip(labels, values, strict=True)}

    return [
        {
            "exam": each.exam,
            "truth": labels[each.truth],
            "rival": labels[each.rival],
            "wrong": each.wrong,
            "probabilities": name(each.probabilities),
            "frame_count": each.frame_count,
            "frames": [
                {"row": int(frames.rows[at]), "probabilities": name(frames.probabilities[at])}
                for at in each.frames
            ],
        }
        for each in worst
    ]


def holds(cache: Cache, frames: Predictions, salt: str) -> bool:
    """Return whether `frames` were judged on this cache, by its patients' pseudonyms."""
    if cache.labels != frames.labels or frames.rows.max() >= len(cache.rows):
        return False
    names = {row.patient: pseudonym(row.patient, salt) for row in cache.rows}
    own = (names[cache.rows[row].patient] for row in frames.rows)
    return all(name == patient for name, patient in zip(own, frames.patients, strict=True))


def check_holds(cache: Cache, frames: Predictions, salt: str) -> None:
    """Raise `InputError` where the pictures of `cache` are not those of the predictions."""
    if not holds(cache, frames, salt):
        raise InputError(
            f"cache {cache.root} is not the one that these predictions are of: name that one, or "
            "leave it out to have the report without pictures"
        )
