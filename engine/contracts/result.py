"""What the engine says of one frame, and of the exam so far: declared here and nowhere else.

These structs are what travels, what the journal keeps and what exports and pages are made of, so a
field that is added with a default is there in all of them, and missing in older records.
"""

from enum import StrEnum
from typing import Any, Self

import numpy as np
from msgspec import Struct, field

from neurosono.engine.contracts.arrays import Floats, Singles
from neurosono.engine.contracts.codec import check_array
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.frame import Frame, SkipReason, Stamped
from neurosono.engine.contracts.pair import Carried, Carrier, EnsembleAnswer


class ExamState(StrEnum):
    """How far the exam has come."""

    COLLECTING = "collecting"
    """Too few independent frames to say anything."""
    AMBIGUOUS = "ambiguous"
    """Enough frames, but more than one class (or none) is left in the prediction set."""
    STABLE = "stable"
    """Enough frames, and one class is left."""
    UNFAMILIAR = "unfamiliar"
    """Most pictures are unlike those that the model was trained on: nothing is said of them."""


class ExamSnapshot(Struct, frozen=True):
    """The exam after some frame.

    `probabilities` is `(C,)` float64, the mean of the used frames' calibrated probabilities,
    calibrated once more for whole exams where the bundle says how, all NaN before the first and
    while the exam is `unfamiliar`; `low` and `high` bound it, `(C,)`, at the level of
    `engine.exam`. `effective_frames` is how many independent frames the used ones are worth.
    `mean` is the paper's plain mean, `(C,)`, where the
    bundle calibrates whole exams and so differs from it; `alarm` says that the operating point for
    "any anomaly" is reached and held. `carried` tells, where a student judges beside its ensemble,
    whose exam this is; `used` and `skipped` are the student's, who judges every frame.
    """

    probabilities: Floats
    low: Floats
    high: Floats
    prediction_set: tuple[str, ...] = field(name="set")
    state: ExamState
    used: int
    effective_frames: float
    skipped: dict[str, int] = field(default_factory=dict)
    mean: Floats | None = None
    alarm: bool = False
    carried: Carried | None = None

    def __post_init__(self) -> None:
        for values in (self.probabilities, self.low, self.high, self.mean):
            check_array("an exam's values", values, 1, np.float64)
            if values is not None and len(values) != len(self.probabilities):
                raise InputError("an exam's values must be of the same classes")

    @property
    def judged(self) -> int:
        """Return how many frames the result rests on: of those used, what its carrier judged."""
        if self.carried is None or self.carried.by is Carrier.STUDENT:
            return self.used
        return self.carried.judged


class Result(Stamped, frozen=True):
    """What the engine says of the frame `seq`.

    `probabilities` is `(C,)` float64, calibrated; `member_probabilities` `(M, C)` float32, as the
    network gave them; both None where the frame was skipped. `cam` is `(C, h, w)` float32 in 0 to
    1, present only where the throttle let it pass. `disagreement` is in 0 to 1 (see `engine.exam`).
    `gate` is the score, 0 to 1, that the frame is a view of a fetal head or spine, and
    `unfamiliarity`, 0 to 1, how far it is from all that the gate was trained on; both None where
    the bundle has no gate or the frame never reached it. `plane` is the view that the gate takes it
    for, one of the bundle's, None where it says none. `strangeness` is how unlike the frame is to
    what the members were trained on: 0 the typical frame, over 1 unfamiliar, without an upper end;
    None where the bundle does not know or the frame never reached them. `ensemble` is what the
    ensemble has said meanwhile where a student judges beside it, as a rule of an earlier frame.
    """

    exam: ExamSnapshot
    skip_reason: SkipReason | None = None
    probabilities: Floats | None = None
    member_probabilities: Singles | None = field(default=None, name="members")
    cam: Singles | None = None
    disagreement: float | None = None
    stage_ms: dict[str, float] = field(default_factory=dict)
    gate: float | None = None
    unfamiliarity: float | None = None
    plane: str | None = None
    strangeness: float | None = None
    ensemble: EnsembleAnswer | None = None

    def __post_init__(self) -> None:
        check_array("a frame's probabilities", self.probabilities, 1, np.float64)
        check_array("the members' probabilities", self.member_probabilities, 2, np.float32)
        check_array("a heatmap", self.cam, 3, np.float32)

    @classmethod
    def of(cls, frame: Frame, exam: ExamSnapshot, **said: Any) -> Self:
        """Return what is said of `frame`: all that is stamped on it goes along."""
        stamps = {name: getattr(frame, name) for name in Stamped.__struct_fields__}
        return cls(**stamps, exam=exam, **said)

    @property
    def used(self) -> bool:
        """Whether the frame added evidence."""
        return self.skip_reason is None
