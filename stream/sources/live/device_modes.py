"""The modes of a capture card, and which of them to take."""

from dataclasses import dataclass

from neurosono.engine.contracts.errors import SourceError

FOURCC_NAMES = {
    "YUYV": "yuyv422",
    "UYVY": "uyvy422",
    "NV12": "nv12",
    "YU12": "yuv420p",
    "RGB3": "rgb24",
    "BGR3": "bgr24",
    "GREY": "gray",
    "MJPG": "mjpeg",
    "JPEG": "mjpeg",
    "H264": "h264",
}
"""FFmpeg's names of the kernel's; a format without one cannot be opened."""

_COMPRESSED = ("mjpeg", "h264")
"""In this order, after all that are not: JPEG costs detail, H.264 that and delay."""

LARGEST_WANTED_PX = 1920 * 1080
WANTED_HZ = 25.0
"""Without a wish: the largest picture up to full HD that still comes at 25 Hz. Decision: sweeps
are judged by motion too, and no network here sees more than 256 pixels of a picture's side."""


@dataclass(frozen=True)
class Mode:
    """One way in which a card gives pictures; `format_name` is FFmpeg's.

    A width, height or rate of 0 is whatever the card itself is set to: some drivers do not tell.
    """

    format_name: str
    width_px: int
    height_px: int
    rate_hz: float

    def __str__(self) -> str:
        size = f"{self.width_px}x{self.height_px}" if self.width_px else "its own size"
        rate = f"{self.rate_hz:g} Hz" if self.rate_hz else "its own rate"
        return f"{size} at {rate} as {self.format_name}"

    def to_options(self) -> dict[str, str]:
        """Return FFmpeg's options for this mode."""
        options = {"input_format": self.format_name}
        if self.width_px:
            options["video_size"] = f"{self.width_px}x{self.height_px}"
        if self.rate_hz:
            options["framerate"] = f"{self.rate_hz:g}"
        return options


@dataclass(frozen=True)
class ModeWish:
    """What the user asks of a card; None leaves the choice to us."""

    size_px: tuple[int, int] | None = None
    rate_hz: float | None = None
    format_name: str | None = None

    def fits(self, mode: Mode) -> bool:
        """Return whether `mode` is what is wished."""
        return (
            (self.size_px is None or self.size_px == (mode.width_px, mode.height_px))
            and (self.rate_hz is None or abs(self.rate_hz - mode.rate_hz) < 0.5)
            and (self.format_name is None or self.format_name == mode.format_name)
        )


def choose_mode(modes: tuple[Mode, ...], wish: ModeWish) -> Mode:
    """Return the best mode that fits the wish; raises `SourceError` if none does."""
    fitting = [mode for mode in modes if wish.fits(mode)]
    if not fitting:
        offered = "; ".join(str(mode) for mode in modes) or "nothing that FFmpeg can read"
        raise SourceError(
            f"the capture card has no such mode; expected one of what it offers: {offered}"
        )

    def rank(mode: Mode) -> tuple[bool, bool, int, int, float]:
        area_px = mode.width_px * mode.height_px
        compression = (
            _COMPRESSED.index(mode.format_name) + 1 if (mode.format_name in _COMPRESSED) else 0
        )
        too_large = area_px > LARGEST_WANTED_PX
        return (
            mode.rate_hz >= WANTED_HZ,
            not too_large,
            -area_px if too_large else area_px,
            -compression,
            mode.rate_hz,
        )

    return max(fitting, key=rank)
