"""A student and its ensemble side by side: what the ensemble says, and which carries the exam."""

from enum import StrEnum

import numpy as np
from msgspec import Struct, field

from neurosono.engine.contracts.arrays import Singles
from neurosono.engine.contracts.codec import check_array
from neurosono.engine.contracts.errors import InputError


class Carrier(StrEnum):
    """Which of the two the exam's result is that is shown."""

    STUDENT = "student"
    ENSEMBLE = "ensemble"


class Carried(Struct, frozen=True):
    """Which carries the exam's result, and on how much of it.

    `judged` is how many used frames the ensemble has judged, `failed` that its engine has failed
    and the student goes on alone. `agrees` tells whether both lead with the same class; None
    before the ensemble has judged any.
    """

    by: Carrier
    judged: int = 0
    failed: bool = False
    agrees: bool | None = None

    def __post_init__(self) -> None:
        if self.judged < 0 or (self.by is Carrier.ENSEMBLE and (self.failed or not self.judged)):
            raise InputError(
                f"an ensemble that carries an exam runs and has judged frames, found {self}"
            )

    def describe(self, used: int) -> str:
        """Return it in words; `used` is how many frames the student has judged."""
        if self.failed:
            return f"student; the ensemble failed after {self.judged} of {used} frames"
        other = "" if self.agrees is None else f" {'agrees' if self.agrees else 'disagrees'}"
        if self.by is Carrier.ENSEMBLE:
            return f"ensemble, {self.judged} of {used} frames; student{other}"
        if not self.judged:
            return "student; nothing from the ensemble yet"
        return f"student; ensemble{other}, {self.judged} of {used} frames so far"

    def sum_up(self, used: int) -> str:
        """Return it in about forty characters, for a line of the overlay."""
        share = f"{self.judged}/{used}"
        if self.failed:
            return f"by student; ensemble failed at {share}"
        if self.agrees is None:
            return "by student; no ensemble yet"
        word = "agrees" if self.agrees else "disagrees"
        if self.by is Carrier.ENSEMBLE:
            return f"by ensemble {share}; student {word}"
        return f"by student; ensemble {share} {word}"


class EnsembleAnswer(Struct, frozen=True):
    """What the ensemble says of the frame `seq`, which the student judged earlier, or just now.

    `probabilities` is `(M, C)` float32, a row a member, not calibrated; None says that the engine
    has failed. `network_ms` is what the network took, `strangeness` as in a frame's result: over 1
    the answer adds nothing.
    """

    seq: int
    probabilities: Singles | None = field(name="members")
    network_ms: float = 0.0
    strangeness: float | None = None

    def __post_init__(self) -> None:
        check_array("an ensemble's answer", self.probabilities, 2, np.float32)
