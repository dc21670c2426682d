"""What is asked of a synthetic exam, and what one of its frames says."""

import math
from dataclasses import dataclass

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.labels import DEFAULT_LABELS
from neurosono.engine.patterns.names import FINDINGS
from neurosono.stream.phantom.truth import FrameTruth

NAMESPACES = ("single", "cohort")
PLANE_LEVELS = {
    "transventricular": 0.42,
    "transthalamic": 0.02,
    "transcerebellar": -0.40,
}
"""The level of each axial standard plane, in the units of `skull.level_scale`."""

_SMALLEST_PX = (320, 240)
MOST_NOTES = 40

NO_FINDING = "none"
"""A control: a head of the ages of findings, with ventricles as wide as they should be."""

VENTRICLE_RANGE_MM = (5.0, 20.0)
"""From a narrow normal atrium to a gravely wide one: over 10 mm is wide, over 15 mm is severe."""


@dataclass(frozen=True)
class PhantomSpec:
    """Which synthetic exam to make; equal specs give equal pixels.

    `namespace` keeps the patients of `phantom:LABEL` sources (`single`) and those of generated
    cohorts (`cohort`) apart: they share no random stream, so neither can leak into the other.
    `notes` is how many coloured words and marks stand on the picture and around it.

    Raises `InputError` for a label, number of notes, size, length, rate, seed or namespace that
    cannot be made.
    """

    label: str
    seed: int = 0
    seconds: float = 20.0
    fps: float = 25.0
    width_px: int = 800
    height_px: int = 600
    patient: int = 0
    namespace: str = "single"
    notes: int = 0
    ventricle_mm: float | None = None
    """Width of both lateral ventricles; None leaves it to chance."""
    plane: str | None = None
    """The axial standard plane that the exam holds from end to end; None sweeps as an exam does."""
    screen: bool = True
    """Whether words, bars and a ruler stand around the picture, as on a scanner's screen."""
    finding: str | None = None
    """A finding of a head that is otherwise normal, or `NO_FINDING`: a control of their ages."""

    def __post_init__(self) -> None:
        if self.label not in DEFAULT_LABELS:
            known = ", ".join(DEFAULT_LABELS)
            raise InputError(f"phantom label {self.label!r} is unknown: choose one of {known}")
        if self.namespace not in NAMESPACES:
            raise InputError(
                f"phantom namespace {self.namespace!r} is unknown: "
                f"choose one of {', '.join(NAMESPACES)}"
            )
        if self.plane is not None and self.plane not in PLANE_LEVELS:
            raise InputError(
                f"phantom plane {self.plane!r} is unknown: choose one of {', '.join(PLANE_LEVELS)}"
            )
        self._check_finding()
        self._check_numbers()

    def _check_finding(self) -> None:
        if self.finding is None:
            return
        if self.finding not in (NO_FINDING, *FINDINGS):
            raise InputError(
                f"phantom finding {self.finding!r} is unknown: choose one of "
                f"{', '.join((NO_FINDING, *FINDINGS))}"
            )
        if self.label != "normal" or self.ventricle_mm is not None:
            raise InputError(
                "a finding is drawn in a head that is otherwise normal, with ventricles of its own "
                f"width: ask for no class beside it, and for no ventricles; found {self.label!r}"
            )

    def _check_numbers(self) -> None:
        low, high = VENTRICLE_RANGE_MM
        if self.ventricle_mm is not None and not low <= self.ventricle_mm <= high:
            raise InputError(
                f"a phantom's ventricles are {low:g} to {high:g} mm wide, "
                f"found {self.ventricle_mm:g} mm"
            )
        if not (math.isfinite(self.seconds) and 0 < self.seconds <= 3600):
            raise InputError(
                f"phantom seconds must be over 0 and at most 3600, found {self.seconds}"
            )
        if not (math.isfinite(self.fps) and 1 <= self.fps <= 120):
            raise InputError(f"phantom fps must be 1 to 120, found {self.fps}")
        if self.width_px < _SMALLEST_PX[0] or self.height_px < _SMALLEST_PX[1]:
            raise InputError(
                f"a phantom screen is at least {_SMALLEST_PX[0]}x{_SMALLEST_PX[1]} pixels, "
                f"found {self.width_px}x{self.height_px}"
            )
        if self.width_px > 3840 or self.height_px > 2160:
            raise InputError(
                f"a phantom screen is at most 3840x2160 pixels, "
                f"found {self.width_px}x{self.height_px}"
            )
        if not 0 <= self.notes <= MOST_NOTES:
            raise InputError(f"a phantom has 0 to {MOST_NOTES} notes, found {self.notes}")
        if self.seed < 0 or self.patient < 0:
            raise InputError(
                f"phantom seed and patient must be 0 or more, found {self.seed} and {self.patient}"
            )

    @property
    def frame_count(self) -> int:
        """Return the number of frames of the exam, at least one."""
        return max(1, round(self.seconds * self.fps))


@dataclass(frozen=True)
class PhantomFrame:
    """One screen and what is true of it.

    `pixels` is (H, W, 3) uint8 BGR, chrome included; `kind` is bmode, frozen, doppler, spectrum or
    nonfetal; `plane` is transthalamic, transventricular, transcerebellar, spine-sagittal,
    spine-axial or other; `region` is x, y, w, h of the ultrasound picture on the screen.
    """

    index: int
    pts_s: float
    pixels: Pixels
    kind: str
    plane: str
    region: tuple[int, int, int, int]
    mm_per_px: float | None = None
    """The side of one of its pixels in millimetres; None of a spectrum's small picture."""
    truth: FrameTruth | None = None
    """What stands where, where it was asked for."""
