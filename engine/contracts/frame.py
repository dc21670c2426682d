"""One sampled picture on its way to the engine, and why a picture may carry no evidence."""

from enum import StrEnum

import numpy as np
from msgspec import Struct, field

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.errors import InputError


class SkipReason(StrEnum):
    """Why a sampled frame adds no evidence to the exam."""

    FROZEN = "frozen"
    """The same picture as the one before: the scanner is frozen."""
    NEAR_DUPLICATE = "near-duplicate"
    """All but the same picture as the last one used."""
    DOPPLER = "doppler"
    """Colour or power Doppler is laid over the picture."""
    SPECTRUM = "spectrum"
    """A spectral Doppler or M-mode trace fills the region."""
    NOT_ULTRASOUND = "not-ultrasound"
    """A menu, a blank screen, a probe in air, or anything else that is no B-mode picture."""
    NOT_HEAD_OR_SPINE = "not-head-or-spine"
    """Ultrasound, but the bundle's gate takes it for no view of a fetal head or spine."""
    UNFAMILIAR = "unfamiliar"
    """Unlike anything that the bundle's gate was trained on."""
    UNFAMILIAR_TO_MODEL = "unfamiliar-to-model"
    """Unlike the pictures that the bundle's own members were trained on."""
    OTHER_WEEKS = "other-weeks"
    """The fetus, as told, is not of the weeks for which the bundle's answers hold."""
    LAYOUT_CHANGE = "layout-change"
    """The scanner's layout just changed and the region is not known yet."""
    DAMAGED = "damaged"
    """Live only: data were lost on the way, and parts of the picture are the decoder's guess."""
    SUPERSEDED = "superseded"
    """Live only: a newer frame took its place before the engine was free."""
    ENGINE_OFF = "engine-off"
    """No engine was there to judge it."""


class ScaleSource(StrEnum):
    """Where it is known from how large a pixel is."""

    DICOM = "dicom"
    """From the file's own header."""
    USER = "user"
    """From `--mm-per-px`, or `mm_per_px` in a program."""
    OPENIGTLINK = "openigtlink"
    """From the matrix that came with the picture."""
    PHANTOM = "phantom"
    """From the phantom itself, as a scanner's file would tell it."""
    RULER = "ruler"
    """Read from the ruler that the scanner draws beside the picture."""


class Scaled(Struct, frozen=True, kw_only=True):
    """How large what a picture shows is, where that is known.

    `mm_per_px` is the side of a pixel of the source's own picture, before anything was cropped or
    scaled, in millimetres of the patient; it and `mm_per_px_from` are None together.
    `told_mm_per_px` is every scale that was told, by who told it: where none is used all the same,
    they contradict each other, and the user must choose.
    """

    mm_per_px: float | None = None
    mm_per_px_from: ScaleSource | None = None
    told_mm_per_px: dict[str, float] = field(default_factory=dict)

    @property
    def contradicts(self) -> bool:
        """Whether scales were told and none is used."""
        return self.mm_per_px is None and bool(self.told_mm_per_px)


def take_scale(mm_per_px: float | None) -> Scaled:
    """Return what the user says of the side of a pixel; None: nothing."""
    return Scaled(
        mm_per_px=mm_per_px, mm_per_px_from=None if mm_per_px is None else ScaleSource.USER
    )


class Stamped(Scaled, frozen=True):
    """Which picture it is, and when: on a frame, and on what is said of it.

    `captured_ns` is the monotonic clock when the picture was decoded (live: received); `pts_s` its
    time in the exam, seconds.
    """

    stream_id: str = field(name="stream")
    seq: int
    captured_ns: int
    pts_s: float


class Frame(Stamped, frozen=True):
    """One sampled frame, ready for the network.

    `pixels` is `(size, size)` uint8 grey, 0 to 255, made by `engine.preprocess`; None exactly where
    `skip_reason` says that the frame adds no evidence, for then no pixel needs to travel.
    `stage_ms` holds the milliseconds of each stage passed so far. `region_px` is where the region
    stands in the source's own picture, `x, y, w, h`.
    """

    pixels: Pixels | None
    skip_reason: SkipReason | None = None
    stage_ms: dict[str, float] = field(default_factory=dict)
    region_px: tuple[int, int, int, int] | None = None

    def __post_init__(self) -> None:
        if (self.pixels is None) == (self.skip_reason is None):
            raise InputError("a frame carries either pixels or the reason why it is skipped")
        if self.pixels is not None and (self.pixels.ndim != 2 or self.pixels.dtype != np.uint8):
            raise InputError(
                f"frame pixels must be (size, size) uint8, "
                f"found {self.pixels.shape} {self.pixels.dtype}"
            )


class DisplayFrame(Struct, frozen=True):
    """One decoded picture on its way to the screen: its ultrasound region, nothing else.

    `pixels` is `(H, W)` grey or `(H, W, 3)` BGR, uint8, at full resolution; what lies outside the
    region is not in it, unless the user asked for the whole screen: then `region_px` is the
    region's `x, y, w, h` in it. `index` counts decoded frames; `seq` is set where it was sampled.
    """

    stream_id: str
    index: int
    captured_ns: int
    pts_s: float
    pixels: Pixels
    seq: int | None = None
    skip_reason: SkipReason | None = None
    region_px: tuple[int, int, int, int] | None = None
    stage_ms: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = self.pixels.shape
        grey_or_bgr = self.pixels.ndim == 2 or (self.pixels.ndim == 3 and shape[2] == 3)
        if not grey_or_bgr or self.pixels.dtype != np.uint8:
            raise InputError(
                f"display pixels must be (H, W) or (H, W, 3) uint8, "
                f"found {shape} {self.pixels.dtype}"
            )

    @property
    def region(self) -> Pixels:
        """Return the ultrasound region alone, `(h, w)` or `(h, w, 3)`."""
        if self.region_px is None:
            return self.pixels
        x, y, w, h = self.region_px
        return self.pixels[y : y + h, x : x + w]
