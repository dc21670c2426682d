"""Turning a decoded video frame into an upright picture of square pixels."""

import struct
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np
from av.sidedata.sidedata import SideDataContainer, Type
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, VideoReformatter

from neurosono.engine.contracts.arrays import Pixels
from neurosono.stream.pictures.region import Region
from neurosono.stream.sources.files.square import square_size

NEUTRAL_LEVEL = 4
"""Chroma levels off neutral up to which a picture counts as grey: a tenth of the colour that is
taken for Doppler's, and no tint that an eye sees. Grey clips in H.264 keep within 2."""

_PLANAR_FORMATS = ("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p")
_GREY_FORMATS = ("gray", "ya8", "ya16", "y400a")
_MATRIX_ENTRIES = 9

_BLACK, _FULL_RANGE = 16, 255 / 219
"""Of video's levels, 16 to 235, to full range: the pixels of FFmpeg's own scaler, far sooner."""


@dataclass(frozen=True)
class Turn:
    """How to turn a picture upright: first transpose it, then mirror it."""

    transpose: bool = False
    mirror_x: bool = False
    mirror_y: bool = False


def turn_from_display_matrix(matrix: bytes) -> Turn:
    """Return the turn that comes nearest to a display matrix, which is nine int32.

    FFmpeg's matrix (a b u, c d v, x y w) sends a pixel to (a x + c y, b x + d y).
    """
    a, b, _, c, d, *_ = struct.unpack(f"={_MATRIX_ENTRIES}i", matrix)
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Turn(transpose=True, mirror_x=c < 0, mirror_y=b < 0)
    return Turn(mirror_x=a < 0, mirror_y=d < 0)


class FrameChroma:
    """Colours and range of a planar YUV frame (`Chroma`); holds it until nobody asks any more."""

    def __init__(self, frame: VideoFrame, painter: VideoReformatter) -> None:
        """`painter` is used by `paint` alone: another thread may convert frames meanwhile."""
        self._frame, self._painter = frame, painter
        full = frame.format.name.startswith("yuvj") or frame.color_range == ColorRange.JPEG
        self._is_full_range = full

    def is_neutral(self, region: Region | None) -> bool:
        """Whether no chroma of `region`, or of the whole frame, is off neutral by more."""
        for plane in self._frame.planes[1:]:
            levels = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
            levels, mask = levels[: plane.height, : plane.width], None
            if region is not None:
                across = -(-self._frame.width // plane.width)  # a plane's odd column is rounded up
                down = -(-self._frame.height // plane.height)
                mask = region.chroma_mask(across, down)
                x, y = region.x // across, region.y // down
                levels = levels[y : y + mask.shape[0], x : x + mask.shape[1]]
                mask = mask[: levels.shape[0], : levels.shape[1]]
            least, most = cv2.minMaxLoc(levels, mask)[:2]
            if least < 128 - NEUTRAL_LEVEL or most > 128 + NEUTRAL_LEVEL:
                return False
        return True

    def paint(self) -> Pixels:
        """Return the frame, `(H, W, 3)` BGR uint8."""
        return _reformat(self._painter, self._frame, self._frame.width, self._frame.height, "bgr24")

    def expand(self, luma: Pixels) -> Pixels:
        """Return levels of the frame's luma at full range, as FFmpeg's own scaler has them."""
        if self._is_full_range:
            return luma
        # none comes nearer than 0.002 to half-way between two levels: rounding changes nothing
        levels = cv2.convertScaleAbs(cv2.subtract(luma, _BLACK), alpha=_FULL_RANGE)
        return np.asarray(levels, np.uint8)


class FrameConverter:
    """Converts the frames of one clip, with one conversion a frame.

    Keeps the scaler of the frame before, which is made anew only where size or format change.
    """

    def __init__(self) -> None:
        self._reformatter, self._painter = VideoReformatter(), VideoReformatter()

    def convert(
        self, frame: VideoFrame, aspect: Fraction | None
    ) -> tuple[Pixels, FrameChroma | None]:
        """Return the picture, upright, square, over black if clear, and its colours.

        The picture is `(H, W)` grey uint8 where it has no colours, the frame's own luma where
        `FrameChroma` has them, else `(H, W, 3)` BGR uint8. B-mode is in the luma already; colour is
        worked out where asked for.
        """
        width_px, height_px = square_size(frame.width, frame.height, aspect)
        clear = any(component.is_alpha for component in frame.format.components)
        matrix = _read_display_matrix(frame)
        as_it_is = matrix is None and (width_px, height_px) == (frame.width, frame.height)
        planar = frame.format.name in _PLANAR_FORMATS
        chroma = FrameChroma(frame, self._painter) if planar else None
        if chroma is not None and as_it_is:
            return _take_luma(frame), chroma
        grey = frame.format.name.startswith(_GREY_FORMATS)
        grey = grey or (chroma is not None and chroma.is_neutral(None))
        target = "gray" if grey else "bgra" if clear else "bgr24"
        pixels = _reformat(self._reformatter, frame, width_px, height_px, target)
        if target == "bgra":
            pixels = _lay_over_black(pixels)
        return (pixels if matrix is None else _apply_turn(pixels, matrix)), None


def _take_luma(frame: VideoFrame) -> Pixels:
    """Return the luma of a planar YUV frame, `(H, W)`, without a copy."""
    plane = frame.planes[0]
    levels = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return levels[: plane.height, : plane.width]


def _reformat(
    reformatter: VideoReformatter, frame: VideoFrame, width_px: int, height_px: int, target: str
) -> Pixels:
    # One thread: scaling a screen takes a millisecond, starting threads for it takes more.
    converted = reformatter.reformat(frame, width_px, height_px, target, threads=1)
    return np.ascontiguousarray(converted.to_ndarray(), dtype=np.uint8)


def _accept_side_data() -> None:
    """Let PyAV meet side data that are newer than its own list (EXIF, in FFmpeg 8).

    It would refuse the whole frame for them, and so the clip or the live source.
    """

    def name_unknown(kind: type[Type], value: object) -> Type:
        member: Type = object.__new__(kind)
        member._name_ = f"UNKNOWN_{value}"
        member._value_ = value  # type: ignore[assignment]
        return member

    Type._missing_ = classmethod(name_unknown)  # type: ignore[method-assign, assignment]


_accept_side_data()


def _read_display_matrix(frame: VideoFrame) -> bytes | None:
    # Not by `frame.side_data`: the frame keeps that, and that keeps the frame, so each decoded
    # picture would lie in memory until the garbage collector comes by, hundreds of them at a time.
    found = SideDataContainer(frame).get(Type.DISPLAYMATRIX)  # type: ignore[call-arg]
    return None if found is None else bytes(found)


def _lay_over_black(pixels: Pixels) -> Pixels:
    colour, alpha = np.ascontiguousarray(pixels[..., :3]), pixels[..., 3:]
    if alpha.min() == 255:
        return colour
    return ((colour.astype(np.uint16) * alpha + 127) // 255).astype(np.uint8)


def _apply_turn(pixels: Pixels, matrix: bytes) -> Pixels:
    turn = turn_from_display_matrix(matrix[: 4 * _MATRIX_ENTRIES])
    if turn.transpose:
        pixels = np.asarray(cv2.transpose(pixels), dtype=np.uint8)
    if turn.mirror_x or turn.mirror_y:
        code = -1 if turn.mirror_x and turn.mirror_y else 1 if turn.mirror_x else 0
        pixels = np.asarray(cv2.flip(pixels, code), dtype=np.uint8)
    return pixels
