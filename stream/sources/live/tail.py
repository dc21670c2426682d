"""The last bytes of a stream, in memory that outlives the process which receives them.

Whoever takes its place decodes from the last picture that stands alone, and need not wait for the
next: with H.264 that may be seconds away. The memory has no name and is on no disk; it goes with
the last process that holds it.
"""

import mmap
import os
from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from struct import Struct

SIZE_BYTES = 8 << 20
"""Three seconds of 20 Mbit/s. Where two key pictures are further apart than this reaches, another
process waits for the next one."""

_MAGIC = 0x3130_4C49_4154_534E
_WRITTEN, _BEGIN, _SHOWN, _TAKEN, _SENDER = range(1, 6)
_HEADER_BYTES = 64
_NOWHERE = 2**63

_RECORD = Struct("<QQI")
"""When a piece came, where in the stream it begins, and its length."""

_LONGEST = 1 << 17
_PACKET_BYTES, _SYNC, _PID_HIGH = 188, 0x47, 0x1F
"""Of MPEG-TS (ISO 13818-1): the table of programmes, which a reader needs first, has PID 0."""
_MOST_TABLES = 4096


@dataclass(frozen=True)
class Recalled:
    """What a process before this one received: pieces and when they came, in order.

    `position` is that of the first byte in the stream, `shown` that of the last packet which became
    a picture there, `sender` the number of whom it followed.
    """

    pieces: list[tuple[int, bytes]]
    position: int
    shown: int
    sender: int

    @property
    def last_ns(self) -> int:
        """When the last piece came."""
        return self.pieces[-1][0]

    @property
    def end(self) -> int:
        """Where the stream goes on."""
        return self.position + sum(len(piece) for _, piece in self.pieces)


class Tail:
    """A ring of what came last; one process at a time writes it."""

    def __init__(self, descriptor: int | None = None) -> None:
        """Take over a ring by its descriptor, or make one. Raises `OSError`, `ValueError`."""
        made = descriptor is None
        self.descriptor = os.memfd_create("stream") if descriptor is None else descriptor
        try:
            if made:
                os.ftruncate(self.descriptor, _HEADER_BYTES + SIZE_BYTES)
            self._map = mmap.mmap(self.descriptor, _HEADER_BYTES + SIZE_BYTES)
        except BaseException:
            os.close(self.descriptor)
            raise
        # of eight bytes each, written whole: a process may be killed between any two
        self._words = memoryview(self._map)[:_HEADER_BYTES].cast("Q")
        self._position = 0
        self._tables: deque[tuple[int, int]] = deque(maxlen=_MOST_TABLES)
        if made:
            self.forget()

    def forget(self) -> None:
        """Begin anew: whoever comes next finds nothing."""
        self._words[_BEGIN] = _NOWHERE
        for word in (_WRITTEN, _SHOWN, _TAKEN, _SENDER):
            self._words[word] = 0
        self._words[0] = _MAGIC

    def add(self, arrived_ns: int, piece: bytes) -> None:
        """Take a piece of the stream as it comes."""
        at = self._words[_WRITTEN]
        if self._has_table(piece):
            self._tables.append((self._position, at))
        self._put(at, _RECORD.pack(arrived_ns, self._position, len(piece)))
        self._put(at + _RECORD.size, piece)
        self._position += len(piece)
        self._words[_WRITTEN] = at + _RECORD.size + len(piece)

    def note_alone(self, position: int) -> None:
        """A picture that stands alone begins at `position`: decoding may begin before it."""
        while len(self._tables) > 1 and self._tables[1][0] <= position:
            self._tables.popleft()
        if self._tables and self._tables[0][0] <= position:
            self._words[_BEGIN] = self._tables[0][1]

    def note_shown(self, position: int) -> None:
        """The packet at `position` has become a picture; so whoever took this over has managed."""
        self._words[_SHOWN] = position
        self._words[_TAKEN] = 0

    def note_sender(self, sender: int) -> None:
        """From here on another sender is followed, by a number of its own below 2^64."""
        self._words[_SENDER] = sender

    def recall(self) -> Recalled | None:
        """Return what the process before this one received; None where nothing is of use.

        Once only: where this process dies before it has shown a picture of it, what it was left may
        be what it died of, and the next finds nothing.
        """
        words, self._words[_TAKEN] = list(self._words), 1
        if words[0] != _MAGIC or words[_TAKEN] or words[_WRITTEN] - words[_BEGIN] > SIZE_BYTES:
            return None
        at, pieces, positions = words[_BEGIN], [], []
        while at < words[_WRITTEN]:
            arrived_ns, position, length = _RECORD.unpack(self._get(at, _RECORD.size))
            if not 0 < length <= _LONGEST:
                return None
            pieces.append((arrived_ns, self._get(at + _RECORD.size, length)))
            positions.append(position)
            at += _RECORD.size + length
        lengths = [len(piece) for _, piece in pieces]
        follows = (b - a == n for (a, b), n in zip(pairwise(positions), lengths, strict=False))
        if at != words[_WRITTEN] or not pieces or not all(follows):
            return None
        found = Recalled(pieces, positions[0], words[_SHOWN], words[_SENDER])
        self._position = found.end
        self._tables = deque([(found.position, words[_BEGIN])], maxlen=_MOST_TABLES)
        return found

    def close(self) -> None:
        """Let go of the memory."""
        self._words.release()
        self._map.close()
        os.close(self.descriptor)

    def _has_table(self, piece: bytes) -> bool:
        for at in range(-self._position % _PACKET_BYTES, len(piece) - 2, _PACKET_BYTES):
            if piece[at] == _SYNC and not piece[at + 1] & _PID_HIGH and not piece[at + 2]:
                return True
        return False

    def _put(self, at: int, data: bytes) -> None:
        begin = at % SIZE_BYTES
        first = data[: SIZE_BYTES - begin]
        self._map[_HEADER_BYTES + begin : _HEADER_BYTES + begin + len(first)] = first
        rest = len(data) - len(first)
        if rest:
            self._map[_HEADER_BYTES : _HEADER_BYTES + rest] = data[len(first) :]

    def _get(self, at: int, size: int) -> bytes:
        begin = at % SIZE_BYTES
        first = self._map[_HEADER_BYTES + begin : _HEADER_BYTES + min(SIZE_BYTES, begin + size)]
        return first + self._map[_HEADER_BYTES : _HEADER_BYTES + size - len(first)]
