"""What was said to the journal and is not in the database yet: a ring in a memory-mapped file.

Writing an entry is a copy in memory, so it never waits for the disk or for a lock on the database.
The pages belong to the kernel: `kill -9` takes nothing of what `append` returned from, and the next
start reads it in. Beside each entry stand its position and a checksum, so one that was half written
when its writer was killed is not believed.
"""

import fcntl
import mmap
import os
import struct
import threading
import zlib
from pathlib import Path

from neurosono.engine.contracts.errors import OutputError

HEADER = struct.Struct("<4sIQI")
"""magic, payload bytes, position of the entry, CRC-32 of position and payload."""
MAGIC = b"NSJE"

RING_BYTES = 16 * 1024 * 1024
"""Thirteen minutes of results at 30 fps while the disk is full or held; or two colour key frames of
1080p that wait for their PNG."""


class Notebook:
    """A ring of entries in a file of its own; one process writes, under an exclusive lock.

    Positions count bytes from the beginning of time; `position % size` is the place in the file.
    `append` may be called by any thread, `read` and `forget` by one.
    """

    def __init__(self, path: Path, descriptor: int, start: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size
        # populated now: the first touch of a page took up to 30 us, and a key frame has hundreds
        self._map = mmap.mmap(descriptor, self._size, mmap.MAP_SHARED | mmap.MAP_POPULATE)
        self._head = self._tail = start
        self._lock = threading.Lock()

    @classmethod
    def create(cls, path: Path, size: int = RING_BYTES) -> "Notebook":
        """Make a new notebook, with its space taken: it can then not run out of disk."""
        new = path.with_suffix(".new")  # named only once whole and locked: nobody takes it over
        try:
            descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                os.posix_fallocate(descriptor, 0, size)
                new.rename(path)
            except OSError:
                os.close(descriptor)
                new.unlink()
                raise
        except OSError as error:
            raise OutputError(
                f"cannot make {path}: {error.strerror}; free {size >> 20} MB, or choose another "
                "--journal"
            ) from error
        return cls(path, descriptor, 0)

    @classmethod
    def take_over(cls, path: Path, start: int) -> "Notebook | None":
        """Open what a killed process left, to read on at `start`; None if its writer lives."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_nlink:  # else another start was faster
                notebook = cls(path, descriptor, start)
                notebook._find_tail()
                return notebook
        except BlockingIOError:
            pass
        os.close(descriptor)
        return None

    @property
    def pending_bytes(self) -> int:
        """Return how much waits for the database."""
        return self._tail - self._head

    def append(self, *parts: bytes | memoryview) -> bool:
        """Write one entry; returns False, with nothing written, where there is no room for it."""
        length = sum(len(part) for part in parts)
        with self._lock:
            at = self._tail
            if HEADER.size + length > self._size - (at - self._head):
                return False
            crc = zlib.crc32(at.to_bytes(8, "little"))
            place = at + HEADER.size
            for part in parts:
                crc = zlib.crc32(part, crc)
                self._put(place, part)
                place += len(part)
            # The header last: without it there is no entry.
            self._put(at, HEADER.pack(MAGIC, length, at, crc))
            self._tail = place
        return True

    def read(self, position: int) -> tuple[bytes, int] | None:
        """Return the entry at `position` and where the next one is; None where there is none."""
        if position >= self._tail:
            return None
        return self._read(position)

    @property
    def head(self) -> int:
        """Return the position of the oldest entry that is not forgotten."""
        return self._head

    def forget(self, position: int) -> None:
        """Blank everything before `position`: it is in the database, and may be deleted there."""
        self._put(self._head, bytes(position - self._head))
        self._head = position

    def close(self, *, remove: bool) -> None:
        """Close the file and, where all of it is in the database, remove it."""
        if remove:
            self.path.unlink(missing_ok=True)
        self._map.close()
        os.close(self._descriptor)

    def _find_tail(self) -> None:
        while (entry := self._read(self._tail)) is not None:
            self._tail = entry[1]

    def _read(self, position: int) -> tuple[bytes, int] | None:
        magic, length, at, crc = HEADER.unpack(self._get(position, HEADER.size))
        if magic != MAGIC or at != position or length > self._size - HEADER.size:
            return None
        payload = self._get(position + HEADER.size, length)
        if zlib.crc32(payload, zlib.crc32(at.to_bytes(8, "little"))) != crc:
            return None
        return payload, position + HEADER.size + length

    def _put(self, position: int, data: bytes | memoryview) -> None:
        at = position % self._size
        first = min(len(data), self._size - at)
        self._map[at : at + first] = data[:first]
        if first < len(data):
            self._map[: len(data) - first] = data[first:]

    def _get(self, position: int, length: int) -> bytes:
        at = position % self._size
        first = min(length, self._size - at)
        return self._map[at : at + first] + self._map[: length - first]


def is_alive(path: Path) -> bool:
    """Return whether the process that writes this notebook still runs."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
