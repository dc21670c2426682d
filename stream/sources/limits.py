"""How large what is decoded may become, asked of a file before a decoder sees it.

A file of some kilobytes may declare a picture of gigabytes, and decoders believe it.
"""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from neurosono.engine.contracts.errors import InputError

MOST_PICTURES = 1_000_000
"""Of one DICOM file: four hours at 60 Hz."""


@dataclass(frozen=True)
class MediaLimits:
    """The limits of one exam's files. Raises `InputError` for limits that nothing fits into.

    `megapixels` is a picture's largest size: 7680 x 4320 at first. `megabytes` is what the pictures
    of one still, or one picture of a DICOM file, may be in memory, and what decoding may take: with
    what an idle capture process has, it stays below a gigabyte at first.
    """

    megapixels: float = 33.2
    megabytes: int = 768

    def __post_init__(self) -> None:
        if not (0 < self.megapixels < 10_000 and 0 < self.megabytes < 1_000_000):
            raise InputError(
                "--max-megapixels and --max-megabytes must be above 0, found "
                f"{self.megapixels} and {self.megabytes}"
            )

    @property
    def pixels(self) -> int:
        """The most pixels of one picture."""
        return round(self.megapixels * 1e6)

    def check_picture(self, width_px: int, height_px: int) -> None:
        """Raise `ValueError` with the bare reason where one picture is too large."""
        if width_px * height_px > self.pixels:
            raise ValueError(
                f"its picture has {width_px} x {height_px} pixels, more than the "
                f"{self.megapixels:g} million of --max-megapixels"
            )

    def check_bytes(self, count: int) -> None:
        """Raise `ValueError` with the bare reason where something is too large in memory."""
        if count > self.megabytes * 1_000_000:
            raise ValueError(
                f"it would take {count / 1e6:.0f} MB to decode, more than the {self.megabytes} MB "
                "of --max-megabytes"
            )

    @contextmanager
    def hold_memory(self) -> Iterator[None]:
        """Let this process take so much memory beyond what it has, and no more.

        For a process that does nothing but decode: a decoder that wants more is refused by the
        system, and says so, where it would have taken the machine down. Linux counts what is
        private and may be written to (`RLIMIT_DATA`).
        """
        import psutil  # which a live session has no use for

        before = resource.getrlimit(resource.RLIMIT_DATA)
        most = psutil.Process().memory_info().data + self.megabytes * 1_000_000
        if before[0] != resource.RLIM_INFINITY:
            most = min(most, before[0])
        resource.setrlimit(resource.RLIMIT_DATA, (most, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_DATA, before)


DEFAULT = MediaLimits()
