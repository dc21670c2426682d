"""Capture cards: what a driver's answers mean, and which mode is taken.

The answers are laid out by `ctypes`, from the C declarations of the kernel's videodev2.h: a second
reading of the same declarations, and the one that the C compiler's rules follow.
"""

import ctypes
import errno
from pathlib import Path

import pytest

from neurosono.engine.contracts.errors import SourceError
from neurosono.stream.sources.live.device_modes import Mode, ModeWish, choose_mode
from neurosono.stream.sources.live.devices import (
    ENUM_FMT,
    ENUM_FRAMEINTERVALS,
    ENUM_FRAMESIZES,
    QUERYCAP,
    list_cards,
    query_card,
    read_card,
)

U32 = ctypes.c_uint32


class Capability(ctypes.Structure):
    _fields_ = (
        ("driver", ctypes.c_char * 16),
        ("card", ctypes.c_char * 32),
        ("bus_info", ctypes.c_char * 32),
        ("version", U32),
        ("capabilities", U32),
        ("device_caps", U32),
        ("reserved", U32 * 3),
    )


class FormatDescription(ctypes.Structure):
    _fields_ = (
        ("index", U32),
        ("type", U32),
        ("flags", U32),
        ("description", ctypes.c_char * 32),
        ("pixelformat", U32),
        ("mbus_code", U32),
        ("reserved", U32 * 3),
    )


class Discrete(ctypes.Structure):
    _fields_ = (("width", U32), ("height", U32))


class Stepwise(ctypes.Structure):
    _fields_ = tuple(
        (name, U32) for name in ("min_w", "max_w", "step_w", "min_h", "max_h", "step_h")
    )


class SizeUnion(ctypes.Union):
    _fields_ = (("discrete", Discrete), ("stepwise", Stepwise))


class FrameSize(ctypes.Structure):
    _fields_ = (
        ("index", U32),
        ("pixel_format", U32),
        ("type", U32),
        ("size", SizeUnion),
        ("reserved", U32 * 2),
    )


class Fraction(ctypes.Structure):
    _fields_ = (("numerator", U32), ("denominator", U32))


class IntervalUnion(ctypes.Union):
    _fields_ = (("discrete", Fraction), ("stepwise", Fraction * 3))


class FrameInterval(ctypes.Structure):
    _fields_ = (
        ("index", U32),
        ("pixel_format", U32),
        ("width", U32),
        ("height", U32),
        ("type", U32),
        ("interval", IntervalUnion),
        ("reserved", U32 * 2),
    )


def fourcc(name: str) -> int:
    return int.from_bytes(name.encode(), "little")


class Driver:
    """Answers as the driver of a USB capture card does: JPEG in full HD, raw in less."""

    capabilities = 0x84A00001
    device_caps = 0x04200001
    formats: tuple[str, ...] = ("MJPG", "YUYV", "ABCD")
    sizes: dict[str, list[tuple[int, int]]] = {  # noqa: RUF012
        "MJPG": [(1920, 1080), (1280, 720)],
        "YUYV": [(1280, 720), (640, 480)],
        "ABCD": [(640, 480)],
    }
    rates: dict[tuple[str, int], list[tuple[int, int]]] = {  # noqa: RUF012
        ("MJPG", 1920): [(1, 60), (1, 30)],
        ("MJPG", 1280): [(1, 60)],
        ("YUYV", 1280): [(1, 10)],
        ("YUYV", 640): [(1, 30), (1001, 30000)],
    }

    def __call__(self, descriptor: int, request: int, answer: bytearray) -> int:
        assert descriptor == 7
        kinds = {
            QUERYCAP: (Capability, self.answer_capability),
            ENUM_FMT: (FormatDescription, self.answer_format),
            ENUM_FRAMESIZES: (FrameSize, self.answer_size),
            ENUM_FRAMEINTERVALS: (FrameInterval, self.answer_interval),
        }
        layout, fill = kinds[request]
        assert len(answer) == ctypes.sizeof(layout)
        fill(layout.from_buffer(answer))
        return 0

    def answer_capability(self, answer: Capability) -> None:
        answer.driver, answer.card = b"uvcvideo", b"USB Capture HDMI"
        answer.capabilities, answer.device_caps = self.capabilities, self.device_caps

    def answer_format(self, answer: FormatDescription) -> None:
        assert answer.type == 1
        if answer.index >= len(self.formats):
            raise OSError(errno.EINVAL, "Invalid argument")
        answer.pixelformat = fourcc(self.formats[answer.index])

    def answer_size(self, answer: FrameSize) -> None:
        sizes = self.sizes[self.name_of(answer.pixel_format)]
        if answer.index >= len(sizes):
            raise OSError(errno.EINVAL, "Invalid argument")
        answer.type = 1
        answer.size.discrete.width, answer.size.discrete.height = sizes[answer.index]

    def answer_interval(self, answer: FrameInterval) -> None:
        rates = self.rates.get((self.name_of(answer.pixel_format), answer.width), [])
        if answer.index >= len(rates):
            raise OSError(errno.EINVAL, "Invalid argument")
        answer.type = 1
        discrete = answer.interval.discrete
        discrete.numerator, discrete.denominator = rates[answer.index]

    def name_of(self, code: int) -> str:
        return next(name for name in self.formats if fourcc(name) == code)


def test_requests_are_the_kernels() -> None:
    # As a C compiler gives them, from the same header.
    assert QUERYCAP == 0x80685600
    assert ENUM_FMT == 0xC0405602
    assert ENUM_FRAMESIZES == 0xC02C564A
    assert ENUM_FRAMEINTERVALS == 0xC034564B


def test_a_cards_modes_are_read() -> None:
    card = query_card("/dev/video0", 7, Driver())
    assert (card.path, card.name) == ("/dev/video0", "USB Capture HDMI")
    assert list(map(str, card.modes)) == [
        "1920x1080 at 60 Hz as mjpeg",
        "1920x1080 at 30 Hz as mjpeg",
        "1280x720 at 60 Hz as mjpeg",
        "1280x720 at 10 Hz as yuyv422",
        "640x480 at 30 Hz as yuyv422",
        "640x480 at 29.97 Hz as yuyv422",
    ]


class SteppingDriver(Driver):
    """Takes any size in steps, up to XGA, at any rate up to 50 Hz."""

    formats = ("UYVY",)

    def answer_size(self, answer: FrameSize) -> None:
        if answer.index:
            raise OSError(errno.EINVAL, "Invalid argument")
        answer.type = 3
        steps = answer.size.stepwise
        steps.min_w, steps.max_w, steps.step_w = 160, 1024, 16
        steps.min_h, steps.max_h, steps.step_h = 120, 768, 8

    def answer_interval(self, answer: FrameInterval) -> None:
        answer.type = 2
        answer.interval.stepwise[0] = Fraction(1, 50)
        answer.interval.stepwise[1] = Fraction(1, 1)


def test_a_card_that_takes_any_size_offers_those_of_scanners() -> None:
    card = query_card("/dev/video0", 7, SteppingDriver())
    assert [(mode.width_px, mode.height_px) for mode in card.modes] == [
        (1024, 768),
        (800, 600),
        (720, 576),
        (720, 480),
        (640, 480),
    ]
    assert {mode.rate_hz for mode in card.modes} == {50}


class SilentDriver(Driver):
    """Tells its formats and nothing more, as drivers of many HDMI cards do."""

    formats = ("UYVY",)

    def answer_size(self, answer: FrameSize) -> None:
        raise OSError(errno.ENOTTY, "Inappropriate ioctl for device")

    answer_interval = answer_size


def test_a_card_that_does_not_tell_is_taken_as_it_is_set() -> None:
    (mode,) = query_card("/dev/video0", 7, SilentDriver()).modes
    assert str(mode) == "its own size at its own rate as uyvy422"
    assert mode.to_options() == {"input_format": "uyvy422"}


class OutputDriver(Driver):
    device_caps = 0x04200002


def test_a_device_that_only_plays_is_no_card() -> None:
    with pytest.raises(OSError, match="does not capture"):
        query_card("/dev/video0", 7, OutputDriver())


class UnpluggedDriver(Driver):
    def answer_format(self, answer: FormatDescription) -> None:
        raise OSError(errno.ENODEV, "No such device")


def test_a_card_that_goes_away_meanwhile_is_an_error() -> None:
    with pytest.raises(OSError, match="No such device"):
        query_card("/dev/video0", 7, UnpluggedDriver())


MODES = query_card("/dev/video0", 7, Driver()).modes


def test_the_largest_mode_that_is_fast_enough_is_taken() -> None:
    assert str(choose_mode(MODES, ModeWish())) == "1920x1080 at 60 Hz as mjpeg"


@pytest.mark.parametrize(
    ("wish", "chosen"),
    [
        (ModeWish(rate_hz=30), "1920x1080 at 30 Hz as mjpeg"),
        (ModeWish(size_px=(1280, 720)), "1280x720 at 60 Hz as mjpeg"),
        (ModeWish(format_name="yuyv422"), "640x480 at 30 Hz as yuyv422"),
        (ModeWish(size_px=(1280, 720), rate_hz=10), "1280x720 at 10 Hz as yuyv422"),
    ],
)
def test_a_wish_is_followed(wish: ModeWish, chosen: str) -> None:
    assert str(choose_mode(MODES, wish)) == chosen


def test_a_wish_that_cannot_be_is_answered_with_what_can() -> None:
    with pytest.raises(SourceError, match="1280x720 at 10 Hz as yuyv422"):
        choose_mode(MODES, ModeWish(size_px=(4096, 2160)))


def test_uncompressed_is_taken_where_it_costs_nothing() -> None:
    same = [Mode(name, 1280, 720, 60) for name in ("h264", "mjpeg", "nv12")]
    assert choose_mode(tuple(same), ModeWish()).format_name == "nv12"
    assert choose_mode(tuple(same[:2]), ModeWish()).format_name == "mjpeg"


def test_more_than_full_hd_is_only_taken_where_there_is_no_less() -> None:
    large, fits = Mode("nv12", 3840, 2160, 60), Mode("nv12", 1280, 720, 60)
    assert choose_mode((large, fits), ModeWish()) is fits
    assert choose_mode((large,), ModeWish()) is large


def test_options_are_those_of_ffmpeg() -> None:
    assert Mode("yuyv422", 720, 576, 30000 / 1001).to_options() == {
        "input_format": "yuyv422",
        "video_size": "720x576",
        "framerate": "29.97",
    }


def test_what_is_no_card_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "video0").write_bytes(b"")
    assert list_cards(tmp_path) == []
    with pytest.raises(SourceError, match="is no capture card"):
        read_card(str(tmp_path / "video0"))
    with pytest.raises(SourceError, match="cannot open"):
        read_card(str(tmp_path / "video1"))
