"""Turning a decoded video frame into an upright picture of square pixels."""

import struct
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np
from av.sidedata.sidedata import SideDataContainer, Type
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

ASPECT_TOLERANCE = 0.02
"""Pixels that are off square by less stay as they are: a resize would blur every speckle to mend
what nobody sees, and encoders leave such values when they round a size to even numbers."""

LARGEST_ASPECT = 4.0
"""Pixels further off square than this are taken for a damaged header and left alone; anamorphic
video goes up to 64:45 = 1.42."""

NEUTRAL_LEVEL = 4
"""Chroma levels off neutral up to which a picture counts as grey: a tenth of the colour that is
taken for Doppler's, and no tint that an eye sees. Grey clips in H.264 keep within 2."""

_PLANAR_FORMATS = ("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p")
_GREY_FORMATS = ("gray", "ya8", "ya16", "y400a")
_MATRIX_ENTRIES = 9


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


def square_size(width_px: int, height_px: int, aspect: Fraction | None) -> tuple[int, int]:
    """Return the width and height that make pixels square; only ever enlarges one of the two."""
    ratio = float(aspect) if aspect else 1.0
    if abs(ratio - 1) <= ASPECT_TOLERANCE or not 1 / LARGEST_ASPECT <= ratio <= LARGEST_ASPECT:
        return width_px, height_px
    if ratio > 1:
        return round(width_px * ratio), height_px
    return width_px, round(height_px / ratio)


class FrameConverter:
    """Converts the frames of one clip, with one conversion a frame.

    Keeps the scaler of the frame before, which is made anew only where size or format change.
    """

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def convert(self, frame: VideoFrame, aspect: Fraction | None) -> NDArray[np.uint8]:
        """Return `(H, W)` grey or `(H, W, 3)` BGR, uint8, upright, square, over black if clear."""
        width_px, height_px = square_size(frame.width, frame.height, aspect)
        clear = any(component.is_alpha for component in frame.format.components)
        grey = frame.format.name.startswith(_GREY_FORMATS) or _is_neutral(frame)
        target = "gray" if grey else "bgra" if clear else "bgr24"
        # One thread: scaling a screen takes a millisecond, starting threads for it takes more.
        converted = self._reformatter.reformat(frame, width_px, height_px, target, threads=1)
        pixels = np.ascontiguousarray(converted.to_ndarray(), dtype=np.uint8)
        if target == "bgra":
            pixels = _lay_over_black(pixels)
        matrix = _read_display_matrix(frame)
        return pixels if matrix is None else _apply_turn(pixels, matrix)


def _read_display_matrix(frame: VideoFrame) -> bytes | None:
    # Not by `frame.side_data`: the frame keeps that, and that keeps the frame, so each decoded
    # picture would lie in memory until the garbage collector comes by, hundreds of them at a time.
    found = SideDataContainer(frame).get(Type.DISPLAYMATRIX)  # type: ignore[call-arg]
    return None if found is None else bytes(found)


def _is_neutral(frame: VideoFrame) -> bool:
    """Whether an 8-bit YUV frame carries no colour: B-mode on a black screen as a rule."""
    if frame.format.name not in _PLANAR_FORMATS:
        return False
    for plane in frame.planes[1:]:
        levels = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
        least, most = cv2.minMaxLoc(levels[:, : plane.width])[:2]
        if least < 128 - NEUTRAL_LEVEL or most > 128 + NEUTRAL_LEVEL:
            return False
    return True


def _lay_over_black(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    colour, alpha = np.ascontiguousarray(pixels[..., :3]), pixels[..., 3:]
    if alpha.min() == 255:
        return colour
    return ((colour.astype(np.uint16) * alpha + 127) // 255).astype(np.uint8)


def _apply_turn(pixels: NDArray[np.uint8], matrix: bytes) -> NDArray[np.uint8]:
    turn = turn_from_display_matrix(matrix[: 4 * _MATRIX_ENTRIES])
    if turn.transpose:
        pixels = np.asarray(cv2.transpose(pixels), dtype=np.uint8)
    if turn.mirror_x or turn.mirror_y:
        code = -1 if turn.mirror_x and turn.mirror_y else 1 if turn.mirror_x else 0
        pixels = np.asarray(cv2.flip(pixels, code), dtype=np.uint8)
    return pixels
