"""What was said to the journal and is not in the database yet.

Each entry waits in this process until it is in the database, and is copied into a ring in a
memory-mapped file at once: a copy in memory, so it never waits for the disk or for a lock on the
database. The ring's pages belong to the kernel: `kill -9` takes nothing of what stands there, and
the next start reads it in. While the ring is full, entries wait in this process alone. Nothing that
is done to the ring from outside reaches the database: it is only read after a kill.
"""

import fcntl
import mmap
import os
import threading
import time
from collections import deque
from pathlib import Path
from typing import NamedTuple

from neurosono.engine.files import create_private, writing
from neurosono.stream.journal.ring import PREFACE, Found, pack_header, pack_preface, read_ring

RING_BYTES = 16 * 1024 * 1024
"""Thirteen minutes of results at 30 fps while the disk is full or held; or two colour key frames of
1080p that wait for their PNG."""

WAITING_BYTES = 256 * 1024 * 1024
"""The most that may wait, in the ring and beyond it: forty such key frames, or hours of results."""

REST = "~.ring"
"""How the file ends of what waited beyond the ring when a session ended: read in after the ring."""


class Note(NamedTuple):
    """An entry that waits: its bytes in parts, where in the ring it ends (None: it is not there),
    and when it was said, monotonic clock.
    """

    parts: tuple[bytes | memoryview, ...]
    end: int | None
    said_ns: int

    @property
    def size(self) -> int:
        """Return the bytes of it."""
        return sum(len(part) for part in self.parts)


class Notebook:
    """A queue of entries with a ring behind it; one process writes, under an exclusive lock.

    Positions count bytes from the beginning of time; `position % size` is the place in the ring.
    `append` may be called by any thread, the rest by one.
    """

    def __init__(self, path: Path, descriptor: int, found: Found | None = None) -> None:
        """`found` is what a killed process left, to be read in; without it the ring is written."""
        self.path = path
        self.noise = b"" if found is None else found.noise
        self.damaged = found is not None and found.damaged
        self._descriptor = descriptor
        self._map: mmap.mmap | None = None
        self._size = self._head = self._tail = 0
        self._notes: deque[Note] = deque()
        self._beyond = self._pending_bytes = 0
        self._lock = threading.Lock()
        if found is None:
            self._open_map()
        else:
            now_ns = time.monotonic_ns()
            self._head = found.start
            self._notes.extend(Note((data,), end, now_ns) for data, end in found.entries)
            self._pending_bytes = sum(note.size for note in self._notes)

    @classmethod
    def create(cls, path: Path, size: int = RING_BYTES) -> "Notebook":
        """Make a new notebook, with its space taken: it can then not run out of disk."""
        with writing(path, f"free {size >> 20} MB, or choose another --journal", doing="make"):
            return cls(path, _make_file(path, size))

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
                return cls(path, descriptor, read_ring(path.read_bytes(), start))
        except BlockingIOError:
            pass
        os.close(descriptor)
        return None

    @property
    def pending_bytes(self) -> int:
        """Return how much waits for the database."""
        return self._pending_bytes

    @property
    def said_ns(self) -> int | None:
        """Return when the oldest entry that waits was said; None where none does."""
        with self._lock:
            return self._notes[0].said_ns if self._notes else None

    @property
    def position(self) -> int:
        """Return up to where the ring was forgotten."""
        return self._head

    @property
    def is_whole(self) -> bool:
        """Whether the ring's file is where it was made, and as large."""
        if self._map is None:
            return False
        found = os.fstat(self._descriptor)
        if found.st_size < PREFACE + self._size:
            return False
        try:
            return os.path.samestat(found, self.path.stat())
        except OSError:
            return False

    def append(self, *parts: bytes | memoryview) -> bool:
        """Take one entry; returns False, with nothing taken, where too much waits already."""
        with self._lock:
            note = Note(parts, None, time.monotonic_ns())
            if self._pending_bytes + note.size > WAITING_BYTES:
                return False
            if not self._beyond:  # in the ring entries stand in their order
                note = self._copy(note)
            self._beyond += note.end is None
            self._pending_bytes += note.size
            self._notes.append(note)
        return True

    def take(self, limit_bytes: int) -> list[Note]:
        """Return the oldest entries, about so many bytes of them: they wait on until forgotten."""
        taken, size = [], 0
        with self._lock:
            for note in self._notes:
                if size >= limit_bytes:
                    break
                taken.append(note)
                size += note.size
        return taken

    def end_of(self, notes: list[Note]) -> int:
        """Return up to where the ring will be forgotten with these oldest entries."""
        return max([self._head, *(note.end for note in notes if note.end is not None)])

    def forget(self, notes: list[Note]) -> None:
        """Drop these oldest entries and blank the ring where they stood: they are in the database,
        and may be deleted there. Those that waited beyond the ring move into it.
        """
        with self._lock:
            end = self.end_of(notes)
            for note in notes:
                self._notes.popleft()
                self._pending_bytes -= note.size
                self._beyond -= note.end is None
            if self._map is not None and self._fits_file():
                self._put(self._head, bytes(end - self._head))
            self._head = end
            self._settle()

    def renew(self) -> None:
        """Make the ring's file anew where it was cut or taken away; what waits is copied into it.

        Raises `OSError` where that cannot be.
        """
        descriptor = _make_file(self.path, self._size)
        with self._lock:
            before, self._descriptor = self._descriptor, descriptor
            os.close(before)
            assert self._map is not None, "only a living notebook is made anew"
            self._map.close()
            self._open_map()
            self._tail = self._head
            self._notes = deque(note._replace(end=None) for note in self._notes)
            self._beyond = len(self._notes)
            self._settle()

    def close(self) -> int:
        """Close the file, and remove it where nothing waits. Returns how many entries are lost.

        What waited beyond the ring is written into a file beside it, for the next opening.
        """
        lost = 0
        if not self._notes:
            self.path.unlink(missing_ok=True)
        elif self._map is not None:
            whole = self.is_whole
            rest = [note for note in self._notes if note.end is None or not whole]
            try:
                _write_rest(self.path.with_name(self.path.stem + REST), rest)
            except OSError:
                lost = len(rest)
        if self._map is not None:
            self._map.close()
        os.close(self._descriptor)
        return lost

    def _open_map(self) -> None:
        self._size = os.fstat(self._descriptor).st_size - PREFACE
        # populated now: the first touch of a page took up to 30 us, and a key frame has hundreds
        flags = mmap.MAP_SHARED | mmap.MAP_POPULATE
        self._map = mmap.mmap(self._descriptor, PREFACE + self._size, flags)

    def _fits_file(self) -> bool:
        """Whether the file is as large as it was made: to touch what was cut off ends a process."""
        return os.fstat(self._descriptor).st_size >= PREFACE + self._size

    def _settle(self) -> None:
        for at in range(len(self._notes) - self._beyond, len(self._notes)):
            note = self._copy(self._notes[at])
            if note.end is None:
                return
            self._notes[at] = note
            self._beyond -= 1

    def _copy(self, note: Note) -> Note:
        """Copy an entry into the ring; returned as it was where there is no room for it."""
        at = self._tail
        header = pack_header(at, note.parts)
        place = at + len(header)
        end = place + note.size
        if self._map is None or end - self._head > self._size or not self._fits_file():
            return note
        for part in note.parts:
            self._put(place, part)
            place += len(part)
        # The header last: without it there is no entry.
        self._put(at, header)
        self._tail = end
        return note._replace(end=end)

    def _put(self, position: int, data: bytes | memoryview) -> None:
        assert self._map is not None
        at = position % self._size
        first = min(len(data), self._size - at)
        self._map[PREFACE + at : PREFACE + at + first] = data[:first]
        if first < len(data):
            self._map[PREFACE : PREFACE + len(data) - first] = data[first:]


def _make_file(path: Path, size: int) -> int:
    """Make a ring's file and return its descriptor, locked; raises `OSError`."""
    new = path.with_suffix(".new")  # named only once whole and locked: nobody takes it over
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.posix_fallocate(descriptor, 0, PREFACE + size)
        os.pwrite(descriptor, pack_preface(size), 0)
        new.rename(path)
    except OSError:
        os.close(descriptor)
        new.unlink(missing_ok=True)
        raise
    return descriptor


def _write_rest(path: Path, notes: list[Note]) -> None:
    if not notes:
        return
    descriptor = create_private(path)
    size = sum(len(pack_header(0, note.parts)) + note.size for note in notes)
    position = 0
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pack_preface(size))
            for note in notes:
                header = pack_header(position, note.parts)
                file.writelines((header, *note.parts))
                position += len(header) + note.size
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink(missing_ok=True)
        raise


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
