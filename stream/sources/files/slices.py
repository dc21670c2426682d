"""A part of a file, or some parts one after the other, read as if it were a file of its own."""

import io
from collections.abc import Sequence
from pathlib import Path

Slice = tuple[int, int]
"""Offset and length in bytes."""


class SliceFile(io.RawIOBase):
    """Reads slices of a file in their order; what lies beyond the file's end is not there."""

    def __init__(self, path: Path, slices: Sequence[Slice]) -> None:
        self._file = path.open("rb")
        self._starts: list[tuple[int, int, int]] = []
        self._size = 0
        for at, length in slices:
            self._starts.append((self._size, at, length))
            self._size += length
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a byte, as in any file."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        """Return where it stands."""
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Return `size` bytes or what is left; -1: all of it."""
        left = max(0, self._size - self._position)
        left = left if size < 0 else min(size, left)
        parts: list[bytes] = []
        for start, at, length in self._starts:
            within = self._position - start
            if left <= 0 or not 0 <= within < length:
                continue
            self._file.seek(at + within)
            part = self._file.read(min(left, length - within))
            if not part:
                break
            parts.append(part)
            self._position += len(part)
            left -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Close the file underneath."""
        self._file.close()
        super().close()
