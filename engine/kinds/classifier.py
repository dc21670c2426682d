"""`classifier`: classes of an exam told apart; beside another, with an exam of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.codec import describe
from neurosono.engine.contracts.frame import Frame, SkipReason
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.contracts.result import ExamState
from neurosono.engine.exam.exam import Exam, average_members, measure_disagreement
from neurosono.engine.exam.pair import open_exam
from neurosono.engine.familiarity import Familiarity, open_familiarity
from neurosono.engine.kinds import Heard, Kind
from neurosono.engine.kinds.told import Told
from neurosono.engine.structures.weeks import CARD_KEY, Holds, Weeks, WeeksSeen

if TYPE_CHECKING:  # who keeps an exam loads no network
    from neurosono.engine.choice import Choice
    from neurosono.engine.gate import Gate


@dataclass(frozen=True)
class ClassifierReader:
    """The open ensemble of a bundle, behind its own gate and its own idea of what is familiar."""

    bundle: Bundle
    choice: "Choice"
    gate: "Gate | None"
    familiarity: Familiarity | None
    weeks: Weeks | None = None

    def describe(self) -> dict[str, Any]:
        """Return `backend`, `precision` and `members`."""
        said = self.choice.describe()
        return {name: said[name] for name in ("backend", "precision", "members")}

    def read(self, frame: Frame, weeks: float | None = None, /) -> Heard:
        """Judge a frame: calibrated `probabilities` by label, `members`, `disagreement`.

        It measures no head, so the weeks are known where they were told, and only there.
        """
        assert frame.pixels is not None, "only frames with pixels are read"
        if self.weeks and weeks and self.weeks.judge(weeks, None) is Holds.OUTSIDE:
            return Heard(None, SkipReason.OTHER_WEEKS)
        if self.gate is not None and (refusal := self.gate.judge(frame.pixels).refusal):
            return Heard(None, refusal)
        answer = self.choice.backend.infer(frame.pixels[None])
        if self.familiarity is not None and self.familiarity.check(answer.features[0]) > 1:
            return Heard(None, SkipReason.UNFAMILIAR_TO_MODEL)
        members = answer.probabilities[0]
        labels = self.bundle.manifest.labels
        mean = average_members(members, len(labels))
        calibrated = self.bundle.calibration.calibrate(mean)
        return Heard(
            {
                CARD_KEY: None if self.weeks is None else self.weeks.describe(weeks, None),
                "probabilities": dict(zip(labels, calibrated.tolist(), strict=True)),
                "members": members.tolist(),
                "disagreement": measure_disagreement(members),
            }
        )


class ClassifierExam:
    """A classifier's `Exam`, fed with what its reader said of each frame."""

    def __init__(self, exam: Exam) -> None:
        self._exam, self._weeks = exam, WeeksSeen()

    def update(self, seen: ReaderResult) -> None:
        """Add a frame, or count why it adds nothing."""
        if seen.skip_reason is not None:
            self._exam.skip(seen.skip_reason)
        elif seen.said is not None:
            self._weeks.add(seen.said)
            self._exam.update(np.asarray(seen.said["members"], dtype=np.float32))

    def snapshot(self) -> dict[str, Any]:
        """Return the exam in plain words and numbers; classes by label."""
        found = self._exam.snapshot()

        def name(values: NDArray[Any]) -> dict[str, float] | None:
            known = np.isfinite(values).all()
            return dict(zip(self._exam.labels, values.tolist(), strict=True)) if known else None

        said: dict[str, Any] = describe(found, name)
        skipped = said.pop("skipped")
        used = said.pop("used")
        frames = {"sampled": used + sum(skipped.values()), "used": used, "skipped": skipped}
        weeks = self._weeks.snapshot()
        return {"frames": frames, CARD_KEY: weeks, **said, "prediction_set": said.pop("set")}

    def to_json(self) -> dict[str, Any]:
        """Return all that `take_up` needs, exactly."""
        return {**self._exam.to_json(), CARD_KEY: self._weeks.to_json()}

    def take_up(self, found: dict[str, Any]) -> None:
        """Go on where `to_json` was said; raises `InputError` where it is not whole."""
        self._exam.take_up(found)
        self._weeks = WeeksSeen.restore(found.get(CARD_KEY))


def _open(bundle: Bundle, threads: int) -> ClassifierReader:
    from neurosono.engine.choice import open_engine
    from neurosono.engine.gate import Gate

    choice = open_engine(bundle, threads=threads)
    weeks = Weeks.from_card(bundle.manifest.card)
    return ClassifierReader(bundle, choice, Gate.open(bundle), open_familiarity(bundle), weeks)


def _tell(exam: Mapping[str, Any]) -> Told:
    """Say nothing in figures while the exam says nothing yet, as the first bundle's rows do."""
    state, probabilities = ExamState(exam["state"]), exam["probabilities"]
    if exam["frames"]["skipped"].get(SkipReason.OTHER_WEEKS, 0) > exam["frames"]["used"]:
        return Told(("nothing is said: the fetus, as told, is not of the weeks learnt from",))
    weeks = exam.get(CARD_KEY)
    if weeks is not None and weeks["holds"] == Holds.UNKNOWN:
        learnt = f"learnt at {weeks['from']:g} to {weeks['to']:g} weeks"
        return Told((f"nothing is said: {learnt}, this fetus's were not told: give --weeks",))
    if probabilities is None or state in (ExamState.COLLECTING, ExamState.UNFAMILIAR):
        return Told((str(state),))
    ranked = sorted(probabilities.items(), key=lambda each: -each[1])
    said = (f"{label} {min(max(p, 0.01), 0.99):.0%}" for label, p in ranked)
    return Told((f"{state}: {', '.join(said)}",))


KIND = Kind(_open, lambda bundle: ClassifierExam(open_exam(bundle)), _tell)
