"""Pixels that are not square are made so, whatever kind of still says that they are not."""

import struct
import zlib
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from neurosono.stream.sources import open_source

HEIGHT, WIDTH = 48, 64
PICTURE = np.tile(np.arange(WIDTH, dtype=np.uint8) * 3, (HEIGHT, 1))
NARROW = (2, 1)  # twice as many pixels to the metre across as down


def show(path, data):
    path.write_bytes(data)
    return next(iter(open_source([str(path)]).pictures())).pixels


def encode(suffix, picture=PICTURE):
    return cv2.imencode(suffix, picture)[1].tobytes()


def png_chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def make_exif(across, down, orientation=1):
    """Return an EXIF block with resolutions, as TIFF of one directory without a picture."""
    entries = struct.pack("<HHII", 274, 3, 1, orientation)
    entries += struct.pack("<HHII", 282, 5, 1, 50) + struct.pack("<HHII", 283, 5, 1, 58)
    tail = struct.pack("<IIII", across, 1, down, 1)
    return b"II*\0" + struct.pack("<IH", 8, 3) + entries + struct.pack("<I", 0) + tail


def make_png(across, down, unit=1):
    data = encode(".png")
    return data[:33] + png_chunk(b"pHYs", struct.pack(">IIB", across, down, unit)) + data[33:]


def make_png_exif(across, down):
    data = encode(".png")
    return data[:33] + png_chunk(b"eXIf", make_exif(across, down)) + data[33:]


def make_jpeg(across, down, unit=1):
    data = encode(".jpg")
    assert data[6:11] == b"JFIF\0"
    return data[:13] + struct.pack(">BHH", unit, across, down) + data[18:]


def make_jpeg_exif(across, down, orientation=1):
    body = b"Exif\0\0" + make_exif(across, down, orientation)
    data = encode(".jpg")
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[20:]


def make_bmp(across, down):
    data = encode(".bmp", cv2.cvtColor(PICTURE, cv2.COLOR_GRAY2BGR))
    return data[:38] + struct.pack("<ii", across, down) + data[46:]


def make_webp(across, down):
    flags = bytes([0x08, 0, 0, 0])
    size = (WIDTH - 1).to_bytes(3, "little") + (HEIGHT - 1).to_bytes(3, "little")
    exif = make_exif(across, down)
    plain = encode(".webp", cv2.cvtColor(PICTURE, cv2.COLOR_GRAY2BGR))[12:]
    body = b"WEBPVP8X" + struct.pack("<I", 10) + flags + size + plain
    body += b"EXIF" + struct.pack("<I", len(exif)) + exif
    return b"RIFF" + struct.pack("<I", len(body)) + body


def make_tiff(across, down, big_endian=False, big=False):
    """Return a grey TIFF or BigTIFF with resolutions."""
    order = ">" if big_endian else "<"
    data = PICTURE.tobytes()
    at = (16 if big else 8) + len(data)
    fields = [
        *((256, 3, WIDTH), (257, 3, HEIGHT), (258, 3, 8), (259, 3, 1), (262, 3, 1)),
        *((273, 4, 16 if big else 8), (277, 3, 1), (278, 3, HEIGHT), (279, 4, len(data))),
        *((282, 5, (across, 1)), (283, 5, (down, 1))),
    ]
    size = 20 if big else 12
    values_at = at + (8 if big else 2) + size * len(fields) + (8 if big else 4)
    body, values = b"", b""
    for tag, kind, value in fields:
        if kind == 5:
            cell = struct.pack(order + "II", *value)
            if not big:  # where it does not fit into the field itself
                values += cell
                cell = struct.pack(order + "I", values_at + len(values) - 8)
        else:
            form = {3: "H", 4: "I"}[kind]
            cell = struct.pack(order + form, value).ljust(8 if big else 4, b"\0")
        body += struct.pack(order + ("HHQ" if big else "HHI"), tag, kind, 1) + cell
    magic = b"MM" if big_endian else b"II"
    if big:
        head = magic + struct.pack(order + "HHHQ", 43, 8, 0, at)
        directory = struct.pack(order + "Q", len(fields)) + body + bytes(8)
    else:
        head = magic + struct.pack(order + "HI", 42, at)
        directory = struct.pack(order + "H", len(fields)) + body + bytes(4)
    return head + data + directory + values


def make_by_ffmpeg(codec, pixel_format):
    """Return a still by FFmpeg's encoder, of pixels half as wide as high."""
    context = av.CodecContext.create(codec, "w")
    context.width, context.height, context.pix_fmt = WIDTH, HEIGHT, pixel_format
    context.time_base, context.sample_aspect_ratio = Fraction(1, 25), Fraction(1, 2)
    frame = av.VideoFrame.from_ndarray(PICTURE, format="gray").reformat(format=pixel_format)
    frame.pts = 0
    return b"".join(bytes(each) for each in [*context.encode(frame), *context.encode(None)])


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(make_png(*NARROW), id="png"),
        pytest.param(make_png_exif(*NARROW), id="png-exif"),
        pytest.param(make_jpeg(*NARROW), id="jpeg-inch"),
        pytest.param(make_jpeg(*NARROW, unit=2), id="jpeg-cm"),
        pytest.param(make_jpeg_exif(*NARROW), id="jpeg-exif"),
        pytest.param(make_bmp(*NARROW), id="bmp"),
        pytest.param(make_webp(*NARROW), id="webp"),
        pytest.param(make_tiff(*NARROW), id="tiff"),
        pytest.param(make_tiff(*NARROW, big_endian=True), id="tiff-big-endian"),
        pytest.param(make_tiff(*NARROW, big=True), id="bigtiff"),
        pytest.param(make_by_ffmpeg("png", "gray"), id="png-by-ffmpeg"),
        pytest.param(make_by_ffmpeg("mjpeg", "yuvj420p"), id="jpeg-by-ffmpeg"),
        pytest.param(make_by_ffmpeg("tiff", "gray"), id="tiff-by-ffmpeg"),
    ],
)
def test_narrow_pixels_make_a_taller_picture(tmp_path, data):
    shown = show(tmp_path / "a", data)
    assert shown.shape[:2] == (2 * HEIGHT, WIDTH)
    grey = shown if shown.ndim == 2 else cv2.cvtColor(shown, cv2.COLOR_BGR2GRAY)
    assert abs(grey[0].astype(int) - PICTURE[0]).max() <= 12


@pytest.mark.parametrize("make", [make_png, make_jpeg, make_bmp, make_webp, make_tiff])
def test_wide_pixels_make_a_wider_picture_and_square_ones_none(tmp_path, make):
    assert show(tmp_path / "a", make(75, 100)).shape[:2] == (HEIGHT, 85)
    assert show(tmp_path / "b", make(2835, 2835)).shape[:2] == (HEIGHT, WIDTH)


def test_a_picture_that_is_turned_takes_its_pixels_along(tmp_path):
    assert show(tmp_path / "a", make_jpeg_exif(*NARROW, orientation=6)).shape == (WIDTH, 2 * HEIGHT)


def test_resolutions_that_cannot_be_are_ignored(tmp_path):
    for name, data in (("a", make_tiff(0, 5)), ("b", make_png(1, 1000)), ("c", make_jpeg(0, 0))):
        assert show(tmp_path / name, data).shape[:2] == (HEIGHT, WIDTH)
