"""An exam computed again from its record, bit for bit as it was computed live."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.arrays import Floats
from neurosono.engine.contracts.calibration import Calibration
from neurosono.engine.contracts.errors import BundleError, RunError
from neurosono.engine.contracts.pair import EnsembleAnswer
from neurosono.engine.contracts.result import ExamSnapshot, Result
from neurosono.engine.exam.exam import Exam
from neurosono.engine.exam.pair import PairedExam, open_exam
from neurosono.engine.kinds import find_kind
from neurosono.stream.journal.journal import Journal
from neurosono.stream.journal.reader import ExamSummary


@dataclass(frozen=True)
class Proof:
    """Whether an exam's record and its computing again agree.

    `frames` were compared; `differing` counts those whose result or exam differ in any bit, `first`
    is the first such frame's `seq` and `what` differs there; `largest` is the largest difference of
    a probability. `repeated` counts frames that were recorded twice.
    """

    exam_id: str
    frames: int
    differing: int
    first: int | None
    what: str
    largest: float
    repeated: int

    @property
    def equal(self) -> bool:
        """Return whether nothing differs."""
        return not self.differing and not self.repeated


def rebuild_exam(
    journal: Journal, exam_id: str, bundle: Bundle | None = None, student: Bundle | None = None
) -> Exam:
    """Return the exam as it stood after the last result that was recorded.

    Results are added in the order in which they came, which is the order in which the engine judged
    them: a skipped frame may overtake a used one, and after a restart of the capture process `seq`
    begins anew. `bundle`, and the `student` beside it, are checked against the record;
    without them the recorded labels and calibrations are used. Raises `BundleError` for another
    bundle, and `RunError` where the exam is not what was shown last: results are missing, and an
    exam without them must not go on.
    """
    if not journal.flush():
        raise RunError(
            f"exam {exam_id} cannot be rebuilt now, for its last results are not in the journal "
            f"yet: {journal.status.message or 'the disk is slow'}; then try again"
        )
    with journal.read() as reader:
        found = reader.exam(exam_id)
        exam = _open_exam(found, bundle, student)
        for each in reader.evidence(found.exam_id):
            if each.members is not None:
                exam.update(each.members)
            elif each.skip_reason is not None:
                exam.skip(each.skip_reason)
            _follow_ensemble(exam, each.ensemble)
    if found.last is not None:
        what = _compare_evidence(exam.snapshot(), found.last)
        if what:
            raise RunError(
                f"exam {found.exam_id} cannot be taken up: its {what} come out other than what was "
                "shown last; begin a new exam, and look with `neurosono exams replay`"
            )
    return exam


def rebuild_readings(
    journal: Journal, exam_id: str, readers: Mapping[str, Bundle]
) -> dict[str, dict[str, Any]]:
    """Return, by its name, the state of each reader's exam after the last recorded reading.

    Raises `BundleError` where the exam was read by other bundles.
    """
    exams = {name: find_kind(each).begin(each) for name, each in readers.items()}
    with journal.read() as reader:
        found = reader.exam(exam_id)
        recorded = {name: each["sha256"] for name, each in found.about.get("readers", {}).items()}
        given = {name: each.manifest.digest for name, each in readers.items()}
        if given != recorded:
            raise BundleError(
                f"exam {found.exam_id} was read by {_list_readers(recorded)}, found "
                f"{_list_readers(given)}: name the same bundles by --also"
            )
        for reading in reader.readings(found.exam_id):
            if reading.reader in exams:
                exams[reading.reader].update(reading)
    return {name: exam.to_json() for name, exam in exams.items()}


def _list_readers(digests: Mapping[str, str]) -> str:
    said = [f"{name} {digest[:12]}…" for name, digest in sorted(digests.items())]
    return ", ".join(said) or "no bundle beside the first"


def verify_exam(
    journal: Journal, exam_id: str, bundle: Bundle | None = None, student: Bundle | None = None
) -> Proof:
    """Compute an exam again, result by result, and compare each with what was recorded."""
    frames = differing = 0
    first, first_what, largest = None, "", 0.0
    seen: set[tuple[str, int]] = set()
    unjudged: dict[str, int] = {}
    with journal.read() as reader:
        found = reader.exam(exam_id)
        exam = _open_exam(found, bundle, student)
        for recorded in reader.results(found.exam_id):
            result = recorded.result
            frames += 1
            seen.add((result.stream_id, result.seq))
            what, distance = _follow(exam, result)
            _follow_ensemble(exam, result.ensemble)
            if recorded.judged:
                snapshot = exam.snapshot()
                what = what or _compare_evidence(snapshot, result.exam)
                what = what or _compare_skipped(snapshot, result.exam, unjudged)
                distance = max(
                    distance, _distance(snapshot.probabilities, result.exam.probabilities)
                )
            elif result.skip_reason is not None:
                unjudged[result.skip_reason] = unjudged.get(result.skip_reason, 0) + 1
            largest = max(largest, distance)
            if what:
                differing += 1
                if first is None:
                    first, first_what = result.seq, what
    repeated = frames - len(seen)
    return Proof(found.exam_id, frames, differing, first, first_what, largest, repeated)


def begin_recorded(found: ExamSummary) -> Exam:
    """Return an exam as it began: of the labels and calibrations that were recorded."""
    own = Calibration.from_json(found.about["calibration"])
    student = found.about.get("student_calibration")
    if student is None:
        return Exam(found.labels, own)
    return PairedExam(found.labels, Calibration.from_json(student), own)


def _open_exam(found: ExamSummary, bundle: Bundle | None, student: Bundle | None) -> Exam:
    if bundle is None:
        return begin_recorded(found)
    for role, given in (("bundle", bundle), ("student", student)):
        recorded = found.about.get(f"{role}_sha256")
        digest = None if given is None else given.manifest.digest
        if digest != recorded:
            raise BundleError(
                f"exam {found.exam_id} was judged by {_name(role, recorded)}, found "
                f"{_name(role, digest)}: name the {role} of that exam"
            )
    return open_exam(bundle, student)


def _name(role: str, digest: str | None) -> str:
    return f"no {role}" if digest is None else f"{role} {digest[:12]}…"


def _follow_ensemble(exam: Exam, answer: EnsembleAnswer | None) -> None:
    if answer is not None and isinstance(exam, PairedExam):
        exam.follow(answer)


def _follow(exam: Exam, result: Result) -> tuple[str, float]:
    """Add a result to the exam; return what of the frame itself differs, and by how much."""
    if result.member_probabilities is not None and result.probabilities is not None:
        calibrated = exam.update(result.member_probabilities)
        same = calibrated.tobytes() == result.probabilities.tobytes()
        return "" if same else "probabilities", _distance(calibrated, result.probabilities)
    if result.skip_reason is not None:
        exam.skip(result.skip_reason)
    return "", 0.0


def _compare_evidence(computed: ExamSnapshot, recorded: ExamSnapshot) -> str:
    pairs = {
        "exam probabilities": (computed.probabilities, recorded.probabilities),
        "lower bounds": (computed.low, recorded.low),
        "upper bounds": (computed.high, recorded.high),
    }
    for name, (a, b) in pairs.items():
        if not np.array_equal(a, b, equal_nan=True):
            return name
    for name in ("used", "effective_frames", "prediction_set", "state", "carried"):
        if getattr(computed, name) != getattr(recorded, name):
            return name
    return ""


def _compare_skipped(
    computed: ExamSnapshot, recorded: ExamSnapshot, unjudged: dict[str, int]
) -> str:
    """Compare the counts of skipped frames.

    The engine may or may not have heard of those that nobody judged: an engine that was started
    again took its counts from the record. So exactly their number is allowed for.
    """
    for reason in {*computed.skipped, *recorded.skipped}:
        most = computed.skipped.get(reason, 0)
        if not most - unjudged.get(reason, 0) <= recorded.skipped.get(reason, 0) <= most:
            return f"skipped {reason}"
    return ""


def _distance(a: Floats, b: Floats) -> float:
    found = np.abs(a - b)
    return 0.0 if np.isnan(found).all() else float(np.nanmax(found))
