"""What kind of thing a file is: by its first bytes, and by its suffix where those say nothing."""

from enum import Enum
from pathlib import Path

from neurosono.engine.contracts.errors import SourceError


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
    )
)
STILL_SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"))
DICOM_SUFFIXES = frozenset((".dcm", ".dicom"))

HEAD_BYTES = 400
"""Enough of a file's start for two packets of an MPEG transport stream and for DICOM's magic."""

_DICOM_MAGIC_AT = 128
_TS_PACKET_BYTES = 188
_STILL_MAGICS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*")
_VIDEO_MAGICS = (b"\x1aE\xdf\xa3", b"GIF8", b"\0\0\x01\xba", b"\0\0\x01\xb3", b"FLV\x01")
_WINDOWS_MEDIA_MAGIC = b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"


def read_head(path: Path) -> bytes:
    """Return the first bytes of a file; raises `SourceError` if it cannot be read or is empty."""
    if path.exists() and not path.is_file():  # reading a pipe would wait for ever
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


def find_kind(head: bytes, suffix: str) -> FileKind | None:
    """Return what a file is, or None if neither its first bytes nor its suffix look like media."""
    by_content = _find_kind_by_content(head)
    if by_content is not None:
        return by_content
    suffix = suffix.lower()
    if suffix in DICOM_SUFFIXES:
        return FileKind.DICOM
    if suffix in STILL_SUFFIXES:
        return FileKind.STILL
    return FileKind.VIDEO if suffix in VIDEO_SUFFIXES else None


def _find_kind_by_content(head: bytes) -> FileKind | None:
    if head[_DICOM_MAGIC_AT : _DICOM_MAGIC_AT + 4] == b"DICM":
        return FileKind.DICOM
    if head.startswith(b"\x89PNG") and b"acTL" in head:
        return FileKind.VIDEO  # an animation: a still reader would drop all of it but one picture
    if head.startswith(_STILL_MAGICS):
        return FileKind.STILL
    if head.startswith(b"RIFF"):
        return {b"AVI ": FileKind.VIDEO, b"WEBP": FileKind.STILL}.get(head[8:12])
    if head.startswith((*_VIDEO_MAGICS, _WINDOWS_MEDIA_MAGIC)) or head[4:8] == b"ftyp":
        return FileKind.VIDEO
    second = head[_TS_PACKET_BYTES : _TS_PACKET_BYTES + 1]
    return FileKind.VIDEO if head[:1] == b"G" and second == b"G" else None
