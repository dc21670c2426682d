"""What kind of thing a file is: by its first bytes, and by its suffix where those say nothing."""

import mmap
import re
from enum import Enum
from pathlib import Path

from neurosono.engine.contracts.errors import SourceError
from neurosono.stream.sources.files.jpeg import (
    JPEG_MAGIC,
    MULTI_PICTURE,
    find_application,
    find_jpeg_end,
    next_jpeg,
)


class FileKind(Enum):
    """The three kinds of file that pictures are read from."""

    VIDEO = "video"
    STILL = "still"
    DICOM = "DICOM"


VIDEO_SUFFIXES = frozenset(
    (
        ".mp4",
        ".m4v",
        ".mov",
        ".avi",
        ".mkv",
        ".webm",
        ".mpeg",
        ".mpg",
        ".mpe",
        ".m1v",
        ".m2v",
        ".vob",
        ".mts",
        ".m2ts",
        ".gif",
        ".wmv",
        ".asf",
        ".flv",
        ".3gp",
        ".ogv",
        ".mjpeg",
        ".mjpg",
        ".h264",
        ".264",
        ".avc",
        ".hevc",
        ".h265",
        ".265",
        ".ogg",
        ".ivf",
        ".y4m",
        ".nut",
        ".apng",
    )
)
STILL_SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".jpe", ".mpo", ".bmp", ".tif", ".tiff", ".webp")
)
DICOM_SUFFIXES = frozenset((".dcm", ".dicom"))

HEAD_BYTES = 400
"""Enough of a file's start for two packets of an MPEG transport stream and for DICOM's magic."""

_DICOM_MAGIC_AT = 128
_TS_PACKET_BYTES, _TIMED_TS_PACKET_BYTES = 188, 192
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_STILL_MAGICS = (_PNG_MAGIC, JPEG_MAGIC, b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BITMAP = re.compile(rb"BM....\0\0\0\0", re.DOTALL)
_VIDEO_MAGICS = (
    *(b"\x1aE\xdf\xa3", b"GIF8", b"\0\0\x01\xba", b"\0\0\x01\xb3", b"FLV\x01"),
    *(b"OggS", b"DKIF", b"YUV4MPEG2", b"nut/multimedia container", b"\0\0\x01\xb0"),
)
_WINDOWS_MEDIA_MAGIC = b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"
_ELEMENTARY = re.compile(
    rb"\0?\0\0\x01(?:[\x27\x47\x67]..[\x09-\x3e]|\x09[\x10-\xf0]\0|[\x40\x42\x46]\x01)", re.DOTALL
)
"""H.264 and H.265 begin with a parameter set or a delimiter (annex B of either)."""
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"mif1", b"avif", b"avis", b"msf1"})
_BARE_DICOM = re.compile(
    rb"(?:\x02\0\0\0|\x08\0[\0-\x20]\0)(?:(?:AE|CS|DA|DT|LO|SH|TM|UI|UL|OB)|[\0-\x40]\0\0\0)"
)
"""DICOM without the 128 bytes before it: its first element, explicit or implicit (PS3.5, 7.1)."""


def is_there(path: Path) -> bool:
    """Return whether a path leads to something; raises `SourceError` where it may not be known."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        raise SourceError(
            f"cannot look at {str(path)!r}: {getattr(error, 'strerror', None) or error}; expected "
            "a path that may be read, so check it and the permissions of its folders"
        ) from error
    return True


def read_head(path: Path) -> bytes:
    """Return the first bytes of a file; raises `SourceError` if it cannot be read or is empty."""
    if is_there(path) and not path.is_file():  # reading a pipe would wait for ever
        raise SourceError(
            f"{str(path)!r} is not a plain file; expected a clip, a still, a DICOM file or a "
            "folder of them, so record it into a file first"
        )
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise SourceError(
            f"cannot read {str(path)!r}: {error.strerror}; expected a file that may be read, so "
            "check its permissions"
        ) from error
    if not head:
        raise SourceError(
            f"{str(path)!r} is empty (0 bytes); expected a clip, a still or a DICOM file, so copy "
            "it again from where it came"
        )
    return head


def find_kind(path: Path) -> FileKind | None:
    """Return what a file is, or None if neither its content nor its suffix look like media.

    Raises `SourceError` as `read_head` does.
    """
    head = read_head(path)
    by_content = _find_kind_by_head(head)
    if by_content is FileKind.STILL and _moves(path, head):
        return FileKind.VIDEO
    if by_content is not None:
        return by_content
    suffix = path.suffix.lower()
    if suffix in DICOM_SUFFIXES:
        return FileKind.DICOM
    if suffix in STILL_SUFFIXES:
        return FileKind.STILL
    return FileKind.VIDEO if suffix in VIDEO_SUFFIXES else None


def find_demuxer(path: Path) -> str | None:
    """Return FFmpeg's name of a clip that FFmpeg itself may take for one picture, else None."""
    head = read_head(path)
    if head.startswith(JPEG_MAGIC):
        return "mjpeg"
    return "apng" if head.startswith(_PNG_MAGIC) else None


def looks_like_media(data: bytes) -> bool:
    """Return whether bytes begin as a picture or a clip does."""
    return _find_kind_by_head(data) is not None


def _find_kind_by_head(head: bytes) -> FileKind | None:
    if head[_DICOM_MAGIC_AT : _DICOM_MAGIC_AT + 4] == b"DICM":
        return FileKind.DICOM
    if head.startswith(_STILL_MAGICS) or _BITMAP.match(head):
        return FileKind.STILL
    if head.startswith(b"RIFF"):
        return {b"AVI ": FileKind.VIDEO, b"WEBP": FileKind.STILL}.get(head[8:12])
    if head[4:8] == b"ftyp":
        return FileKind.STILL if head[8:12] in _HEIF_BRANDS else FileKind.VIDEO
    if head.startswith((*_VIDEO_MAGICS, _WINDOWS_MEDIA_MAGIC)) or _ELEMENTARY.match(head):
        return FileKind.VIDEO
    if head[:1] == b"G" and head[_TS_PACKET_BYTES : _TS_PACKET_BYTES + 1] == b"G":
        return FileKind.VIDEO
    if head[4:5] == b"G" and head[4 + _TIMED_TS_PACKET_BYTES :][:1] == b"G":
        return FileKind.VIDEO
    return FileKind.DICOM if _BARE_DICOM.match(head) else None


def _moves(path: Path, head: bytes) -> bool:
    """Whether a PNG is an animation, or a JPEG is followed by others that are pictures of time.

    A still reader would drop all of them but one. The JPEGs of a multi-picture file (CIPA DC-007)
    belong to one moment.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if head.startswith(_PNG_MAGIC):
            return _is_animated(data)
        if not head.startswith(JPEG_MAGIC) or find_application(data, *MULTI_PICTURE) is not None:
            return False
        end = find_jpeg_end(data)
        return end is not None and next_jpeg(data, end) is not None


def _is_animated(data: mmap.mmap) -> bool:
    """Whether acTL stands before the first picture, wherever other chunks put it."""
    at = len(_PNG_MAGIC)
    while at + 8 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if kind in (b"acTL", b"IDAT", b"IEND"):
            return kind == b"acTL"
        at += 12 + length
    return False
