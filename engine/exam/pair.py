"""A student beside its ensemble: one running exam each, and which of them carries the result.

The student judges every frame at once, the whole ensemble as many as time allows. As soon as the
ensemble's own exam stands on enough independent frames, the exam's result is the ensemble's.
"""

from typing import Any

import numpy as np
from msgspec.structs import replace

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.calibration import Calibration
from neurosono.engine.contracts.errors import BundleError, InputError
from neurosono.engine.contracts.frame import SkipReason
from neurosono.engine.contracts.pair import Carried, Carrier, EnsembleAnswer
from neurosono.engine.contracts.result import ExamSnapshot, ExamState
from neurosono.engine.exam.exam import Exam


class PairedExam(Exam):
    """The student's exam with the ensemble's inside; each is calibrated as its own bundle says.

    The ensemble's carries from the first moment at which it is past `collecting`, and then to the
    end: the number of independent frames may fall again, and a result that changed hands back and
    forth could not be read. Only when its engine fails does the student's carry again.
    """

    def __init__(
        self, labels: tuple[str, ...], student: Calibration, ensemble: Calibration
    ) -> None:
        """Begin an exam; raises `InputError` where a calibration is of other labels."""
        super().__init__(labels, student)
        self._ensemble = Exam(labels, ensemble)
        self._enough = self._failed = False

    def follow(self, answer: EnsembleAnswer) -> None:
        """Add what the ensemble says of a frame, in the order in which it said it.

        Raises `EngineFailedError` where that are no probabilities.
        """
        self._standing = None
        self._failed = answer.probabilities is None
        if answer.probabilities is not None:
            if answer.strangeness is not None and answer.strangeness > 1:
                self._ensemble.skip(SkipReason.UNFAMILIAR_TO_MODEL)
            else:
                self._ensemble.update(answer.probabilities)
            collecting = self._ensemble.snapshot().state is ExamState.COLLECTING
            self._enough = self._enough or not collecting

    def _draw_up(self) -> ExamSnapshot:
        """Return the exam as it now stands: of the one that carries it, with the student's counts.

        The alarm is the carrier's too: the operating point was measured for one of them at a time.
        """
        student, ensemble = super()._draw_up(), self._ensemble.snapshot()
        familiar = student.state is not ExamState.UNFAMILIAR
        carries = self._enough and not self._failed and familiar
        carried = Carried(
            Carrier.ENSEMBLE if carries else Carrier.STUDENT,
            ensemble.used + sum(ensemble.skipped.values()),
            self._failed,
            _agree(student, ensemble),
        )
        if not carries:
            return replace(student, carried=carried)
        return replace(ensemble, used=student.used, skipped=student.skipped, carried=carried)

    def to_json(self) -> dict[str, Any]:
        """Return all that `take_up` needs, exactly."""
        inner = {
            "exam": self._ensemble.to_json(),
            "enough": self._enough,
            "failed": self._failed,
        }
        return super().to_json() | {"ensemble": inner}

    def take_up(self, found: dict[str, Any]) -> None:
        """Go on where `to_json` was said; raises `InputError` where it is not whole."""
        super().take_up(found)
        inner = found.get("ensemble")
        if not isinstance(inner, dict):
            raise InputError("the exam's saved state is of one model, not of two: begin a new exam")
        self._ensemble.take_up(inner["exam"])
        self._enough, self._failed = bool(inner["enough"]), bool(inner["failed"])


def _agree(student: ExamSnapshot, ensemble: ExamSnapshot) -> bool | None:
    if np.isnan(student.probabilities).any() or np.isnan(ensemble.probabilities).any():
        return None
    return bool(np.argmax(student.probabilities) == np.argmax(ensemble.probabilities))


def open_exam(
    bundle: Bundle, student: Bundle | None = None, state: dict[str, Any] | None = None
) -> Exam:
    """Begin an exam of `bundle`, or of `student` beside it; with `state` go on where it stood."""
    labels = bundle.manifest.labels
    exam = (
        Exam(labels, bundle.calibration)
        if student is None
        else PairedExam(labels, student.calibration, bundle.calibration)
    )
    if state is not None:
        exam.take_up(state)
    return exam


def check_pair(ensemble: Bundle, student: Bundle) -> None:
    """Raise `BundleError` where `student` cannot judge the very frames that `ensemble` judges."""
    one, other = ensemble.manifest, student.manifest
    if one.digest == other.digest:
        raise BundleError(
            f"the student {student.root} is the bundle itself: make one with "
            f"`neurosono train student {ensemble.root}`, or leave --student out"
        )
    for what, a, b in (
        ("labels", list(one.labels), list(other.labels)),
        ("preprocessing", one.preprocessing.to_json(), other.preprocessing.to_json()),
    ):
        if a != b:
            raise BundleError(
                f"the student {student.root} has other {what} ({b}) than the bundle "
                f"{ensemble.root} ({a}): name a student that was made of this bundle"
            )
