"""Small files that declare, or inflate to, gigabytes; each is made from nothing here."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
    UltrasoundImageStorage,
)

BLOCK_BYTES = 1 << 20
FILM_PX = 8_176


def deflate_zeros(count: int) -> bytes:
    """Return a raw deflate stream of zeros: one block, again and again."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(BLOCK_BYTES)) + packer.flush(zlib.Z_FULL_FLUSH)
    last = zlib.compressobj(9, zlib.DEFLATED, -15)
    return block * (count // BLOCK_BYTES) + last.compress(bytes(count % BLOCK_BYTES)) + last.flush()


def zlib_zeros(count: int) -> bytes:
    """Return the same as zlib has it, with the sum of so many zeros (RFC 1950)."""
    return b"\x78\xda" + deflate_zeros(count) + struct.pack(">HH", count % 65521, 1)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colour: int, *, animated: bool = False) -> bytes:
    samples = {0: 1, 2: 3, 6: 4}[colour]
    data = zlib_zeros(height * (1 + width * samples * depth // 8))
    moving = b""
    if animated:
        moving = chunk(b"acTL", struct.pack(">II", 1, 0))
        moving += chunk(b"fcTL", struct.pack(">5I2H2B", 0, width, height, 0, 0, 1, 25, 0, 0))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + moving + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def gif() -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0x80, 0, 0) + bytes(6)
    return head + b"," + struct.pack("<4HB", 0, 0, 65535, 65535, 0) + b"\x02\x02\x44\x01\x00;"


def webp() -> bytes:
    bits = 16382 | 16382 << 14
    body = b"WEBPVP8L" + struct.pack("<IBI", 21, 0x2F, bits) + bytes(17)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def jpeg(size_px: int = 65500) -> bytes:
    """A small JPEG whose frame header says it is large: decoders fill up what is missing."""
    _, small = cv2.imencode(".jpg", np.full((64, 64), 90, np.uint8))
    return patch_jpeg(small.tobytes(), size_px)


def patch_jpeg(data: bytes, size_px: int) -> bytes:
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", size_px, size_px) + data[at + 4 :]


def bmp() -> bytes:
    head = struct.pack("<IiiHHIIiiII", 40, 40000, 40000, 1, 8, 1, 4, 0, 0, 256, 0) + bytes(1024)
    data = b"\0\1\0\0"
    return (
        b"BM"
        + struct.pack("<IHHI", 14 + len(head) + len(data), 0, 0, 14 + len(head))
        + (head + data)
    )


def tiff(width: int, height: int, pages: int = 1, values: int = 1) -> bytes:
    """A TIFF of one deflated strip that all its pages share; `values` are those of its width."""
    strip = zlib_zeros(width * height)
    at = 8 + len(strip)
    out = b"II*\0" + struct.pack("<I", at) + strip
    entries = [
        (256, 4, values, width),
        (257, 4, 1, height),
        (258, 3, 1, 8),
        (259, 3, 1, 8),
        (262, 3, 1, 1),
        (273, 4, 1, 8),
        (277, 3, 1, 1),
        (278, 4, 1, height),
        (279, 4, 1, len(strip)),
    ]
    for page in range(pages):
        at += 2 + 12 * len(entries) + 4
        out += struct.pack("<H", len(entries))
        out += b"".join(struct.pack("<HHII", *entry) for entry in entries)
        out += struct.pack("<I", at if page + 1 < pages else 0)
    return out


def film(path: Path, container: str) -> None:
    """A clip of one grey picture, as large as MPEG-4 takes it: 67 million pixels in 50 kB."""
    with av.open(str(path), "w", format=container) as opened:
        stream = opened.add_stream("mpeg4", rate=25)
        stream.width = stream.height = FILM_PX
        stream.pix_fmt = "yuv420p"
        pixels = np.full((FILM_PX * 3 // 2, FILM_PX), 90, np.uint8)
        picture = av.VideoFrame.from_ndarray(pixels, format="yuv420p")
        for packet in (*stream.encode(picture), *stream.encode(None)):
            opened.mux(packet)


def dicom(
    path: Path,
    syntax: UID,
    size_px: int,
    frames: int = 1,
    pixels: bytes = b"",
) -> None:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = UltrasoundImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = UID("1.2.3.4")
    dataset.Rows = dataset.Columns = size_px
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelRepresentation = 0
    dataset.NumberOfFrames = frames
    dataset.FrameTime = 40
    dataset.PixelData = encapsulate([pixels]) if syntax.is_encapsulated else pixels
    dataset["PixelData"].VR = "OB"
    dataset.save_as(path, enforce_file_format=True)


def deflated_dicom(path: Path) -> None:
    """A DICOM file that inflates to 1.5 GB of zeros behind its header."""
    dicom(path, DeflatedExplicitVRLittleEndian, 64, pixels=bytes(4096))
    data = path.read_bytes()
    at = 144 + struct.unpack_from("<I", data, 140)[0]
    inside = zlib.decompress(data[at:], -15)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    start = packer.compress(inside[:-4096]) + packer.flush(zlib.Z_FULL_FLUSH)
    path.write_bytes(data[:at] + start + deflate_zeros(1_500_000_000))


def j2k(size_px: int) -> bytes:
    """A codestream of JPEG 2000 that is as large as it says, and empty."""
    siz = struct.pack(
        ">HHIIIIIIIIHBBB", 41, 0, *(size_px,) * 2, 0, 0, *(size_px,) * 2, 0, 0, 1, 7, 1, 1
    )
    cod = b"\xff\x52\x00\x0c\x00\x00\x00\x01\x00\x05\x04\x04\x00\x01"
    qcd = b"\xff\x5c\x00\x13\x40" + bytes([0x40 + 8 * each for each in range(16)])
    tile = b"\xff\x90\x00\x0a\x00\x00\x00\x00\x00\x0e\x00\x01\xff\x93"
    return b"\xff\x4f\xff\x51" + siz + cod + qcd + tile + b"\xff\xd9"


def jpeg_ls(size_px: int) -> bytes:
    frame = struct.pack(">BBHBHHBBBB", 0xFF, 0xF7, 11, 8, size_px, size_px, 1, 1, 0x11, 0)
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x00\x00\x00"
    return b"\xff\xd8" + frame + scan + bytes(64) + b"\xff\xd9"


def rle(size_px: int) -> bytes:
    runs = b"\x81\x00" * 40_000
    return struct.pack("<16I", 1, 64, *(0,) * 14) + runs


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("picture.png", bytes(50_000_000))
    return out.getvalue()


def _bytes(make: Callable[[], bytes]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(make())

    return write


TOO_LARGE = {
    "grey.png": _bytes(lambda: png(30000, 30000, 8, 0)),
    "deep.png": _bytes(lambda: png(16000, 16000, 16, 6)),
    "moving.apng": _bytes(lambda: png(20000, 20000, 8, 2, animated=True)),
    "canvas.gif": _bytes(gif),
    "lossless.webp": _bytes(webp),
    "baseline.jpg": _bytes(jpeg),
    "runs.bmp": _bytes(bmp),
    "page.tif": _bytes(lambda: tiff(40000, 40000)),
    "pages.tif": _bytes(lambda: tiff(5000, 4000, pages=300)),
    "frames.mjpeg": _bytes(lambda: jpeg() * 3),
    "film.mp4": lambda path: film(path, "mp4"),
    "film.avi": lambda path: film(path, "avi"),
    "rows.dcm": lambda path: dicom(path, ExplicitVRLittleEndian, 65535, pixels=bytes(4096)),
    "rle.dcm": lambda path: dicom(path, RLELossless, 60000, pixels=rle(60000)),
    "j2k.dcm": lambda path: dicom(path, JPEG2000Lossless, 60000, pixels=j2k(60000)),
    "jpeg.dcm": lambda path: dicom(path, JPEGBaseline8Bit, 65500, pixels=jpeg()),
    "frames.dcm": lambda path: dicom(
        path, ExplicitVRLittleEndian, 64, frames=2**31 - 1, pixels=bytes(4096)
    ),
    "deflated.dcm": deflated_dicom,
}
"""What says, or does, more than the limits: each is refused by them."""

UNLIKE_ITSELF = {
    "values.tif": _bytes(lambda: tiff(64, 64, values=2**32 - 1)),
    "unlike-j2k.dcm": lambda path: dicom(path, JPEG2000Lossless, 64, pixels=j2k(60000)),
    "unlike-ls.dcm": lambda path: dicom(path, JPEGLSLossless, 64, pixels=jpeg_ls(60000)),
    "named.png": _bytes(lambda: b"P5 60000 60000 255\n" + bytes(64)),
    "zipped.mp4": _bytes(zipped),
}
"""What is large in a place where nobody would look, or is nothing of what it is named."""

BOMBS = TOO_LARGE | UNLIKE_ITSELF
