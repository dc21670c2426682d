"""What every kind of clip gives to the exam that it is a part of."""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.errors import SourceError
from neurosono.engine.contracts.frame import Scaled
from neurosono.stream.pictures.picture import UNSCALED, Chroma
from neurosono.stream.sources.identity import Identity
from neurosono.stream.sources.left_out import Reason

STILL_S = 0.5
"""How long a single picture lasts in an exam. Decision: stills come at 2 Hz, so that the time of
an exam of stills moves on at a pace at which they can be looked at."""

FALLBACK_RATE_HZ = 25.0
"""The rate of a clip that does not say its own; the commonest of clips from scanners."""

Region = tuple[int, int, int, int]
"""x, y, width and height in pixels."""


@dataclass(frozen=True)
class ClipPicture:
    """One picture of one clip.

    `pts_s` is the clip's own timestamp, on any origin, or None where the clip has none. `decoded`
    is `(H, W)` grey or `(H, W, 3)` BGR, uint8, upright; with `chroma` and `scale`, as in
    `Picture`.
    """

    pts_s: float | None
    decoded: Pixels
    decode_ms: float
    chroma: Chroma | None = None
    scale: Scaled = UNSCALED


class NoPicturesError(SourceError):
    """A file is whole and well, but of a kind that holds no pictures, as a structured report."""

    reason = Reason.NO_PICTURES


class OwnResultError(NoPicturesError):
    """A file holds pictures that we made: what was said of an exam is no evidence for it."""

    reason = Reason.OWN_RESULT


class VolumeError(NoPicturesError):
    """A file holds the slices of a volume: worked out by a scanner, not seen one after another."""

    reason = Reason.VOLUME


class Clip(Protocol):
    """A part of an exam that was opened, and whose first picture was decoded, without error."""

    @property
    def noun(self) -> str:
        """`clip`, `still`, `DICOM` or `phantom`."""

    @property
    def format_name(self) -> str:
        """The kind of file, as `mp4`; the specification of a phantom."""

    @property
    def interval_s(self) -> float:
        """The usual time from a picture to the next; over 0."""

    @property
    def us_regions(self) -> tuple[Region, ...]:
        """Where the file itself says that ultrasound is; empty where it says nothing."""

    @property
    def left_out(self) -> tuple[Reason, ...]:
        """What else the file holds that is not among its pictures, once for each."""

    @property
    def identity(self) -> Identity:
        """Whose it is, as hashes; empty where the file says nothing."""

    def pictures(self) -> Generator[ClipPicture]:
        """Decode from the start.

        Raises `SourceBrokenError` after the last good picture; its message is the reason alone, and
        its `frame` counts within the clip.
        """


@runtime_checkable
class Filed(Protocol):
    """A clip that is a file of its own."""

    @property
    def path(self) -> Path:
        """The file."""
