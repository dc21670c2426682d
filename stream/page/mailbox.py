"""What waits for one viewer: the newest of each thing, and no more than it can take.

The viewer acknowledges every message. Pictures and everything else have their own small credit, so
a browser that is slow to paint gets fewer pictures, and one that sleeps gets nothing more, while
what waits for it stays of one size. Pure: no socket, no clock, no thread of its own.
"""

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from neurosono.stream.page.protocol import MessageKind, encode_json, pack_message

PICTURE_CREDIT = 2
"""One on its way while one is painted: the full rate on a fast browser, no queue on a slow one."""

SLOW_NS, QUICK_NS = 300_000_000, 200_000_000
"""A picture that took so long to be acknowledged had one before it in the network: from then on
they go one by one, until one comes back quickly. On a slow link that costs pictures and makes those
that come younger; past 500 ms a page shows no opinion at all. Heatmaps give way to them."""

OTHER_CREDIT = 6
"""Heatmap, status and thumbnails under way; a page acknowledges these at once."""

STATUS_GAP_NS = 100_000_000
"""A viewer that is behind still hears how things stand, ten times a second; one that keeps up hears
each word at once, for it may be an answer."""


@dataclass(frozen=True)
class Parcel:
    """One thing to show: `about` is its JSON, already encoded; `made_ns` when it was published."""

    kind: MessageKind
    about: bytes
    made_ns: int
    jpeg: bytes = b""
    slot: Hashable = None
    """What it replaces: the newest parcel of the same kind and slot wins."""
    age_ms: float | None = None
    """How old what it shows was when it was published; None where that is not said."""


@dataclass(frozen=True)
class _Sent:
    parcel: Parcel
    at_ns: int


@dataclass(frozen=True)
class Answer:
    """What an acknowledgement tells.

    `age_ms` is how old what its message showed was by then, the acknowledgement's own way included;
    `about` is the message's own JSON.
    """

    age_ms: float | None
    about: bytes


@dataclass
class Mailbox:
    """The newest of everything for one viewer; `wake` is called, from any thread, when it fills.

    `replaced` counts the pictures that this viewer never got to see; `/metrics` tells the sum.
    """

    number: int
    wake: Callable[[], None]
    sent: int = 0
    replaced: int = 0
    last_answer_ns: int = 0
    closed: bool = False
    """Whether its place was given to another viewer."""
    _waiting: dict[tuple[MessageKind, Hashable], Parcel] = field(default_factory=dict)
    _underway: dict[int, _Sent] = field(default_factory=dict)
    _next: int = 1
    _status_ns: int = -STATUS_GAP_NS
    _one_by_one: bool = False
    _echo: tuple[float, int] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, parcel: Parcel) -> None:
        """Let `parcel` wait, in place of an older one of its kind and slot."""
        with self._lock:
            key = (parcel.kind, parcel.slot)
            if self._waiting.pop(key, None) is not None and parcel.kind is MessageKind.PICTURE:
                self.replaced += 1
            self._waiting[key] = parcel
        self.wake()

    def close(self) -> None:
        """Give the place up: what is on its way is the last."""
        self.closed = True
        self.wake()

    def forget(self, kind: MessageKind) -> None:
        """Drop what waits of one kind, for it is no longer true."""
        with self._lock:
            for key in [key for key in self._waiting if key[0] is kind]:
                del self._waiting[key]

    def take(self, now_ns: int) -> bytes | None:
        """Return the next message that the viewer has credit for, or None; picture before all."""
        with self._lock:
            if not self._underway:
                self.last_answer_ns = now_ns  # it owes nothing, so its silence counts from here
            for parcel in self._order():
                if self._may_go(parcel, now_ns):
                    del self._waiting[(parcel.kind, parcel.slot)]
                    return self._send(parcel, now_ns)
        return None

    def answer(self, number: int, client_ms: float, now_ns: int) -> Answer | None:
        """Take an acknowledgement; returns what it tells, or None for a message that is unknown.

        `client_ms` is the viewer's own clock, sent back with the next message so that the page can
        tell its clock from ours.
        """
        with self._lock:
            sent = self._underway.pop(number, None)
            if sent is None:
                return None
            self.last_answer_ns = now_ns
            self._echo = (client_ms, now_ns)
        self.wake()
        parcel = sent.parcel
        if parcel.kind is MessageKind.PICTURE:
            limit_ns = QUICK_NS if self._one_by_one else SLOW_NS
            self._one_by_one = now_ns - sent.at_ns > limit_ns
        since_ms = (now_ns - parcel.made_ns) / 1e6
        age_ms = None if parcel.age_ms is None else parcel.age_ms + since_ms
        return Answer(age_ms, parcel.about)

    @property
    def is_idle(self) -> bool:
        """Whether the viewer has got and acknowledged all there is."""
        with self._lock:
            return not self._waiting and not self._underway

    def silent_ns(self, now_ns: int) -> int:
        """Return for how long the viewer has owed an answer and given none."""
        with self._lock:
            return now_ns - self.last_answer_ns if self._underway else 0

    def _order(self) -> list[Parcel]:
        return sorted(self._waiting.values(), key=lambda parcel: _URGENCY[parcel.kind])

    def _may_go(self, parcel: Parcel, now_ns: int) -> bool:
        pictures = sum(sent.parcel.kind is MessageKind.PICTURE for sent in self._underway.values())
        if parcel.kind is MessageKind.PICTURE:
            return pictures < (1 if self._one_by_one else PICTURE_CREDIT)
        if self._one_by_one and parcel.kind in (MessageKind.HEATMAP, MessageKind.READING):
            return not pictures  # as large as a picture, and gone at 500 ms
        if parcel.kind is MessageKind.STATUS and now_ns - self._status_ns < STATUS_GAP_NS:
            return pictures < PICTURE_CREDIT and len(self._underway) == pictures
        return len(self._underway) - pictures < OTHER_CREDIT

    def _send(self, parcel: Parcel, now_ns: int) -> bytes:
        number, self._next = self._next, self._next + 1
        self._underway[number] = _Sent(parcel, now_ns)
        self.sent += 1
        if parcel.kind in (MessageKind.PICTURE, MessageKind.STATUS):
            self._status_ns = now_ns
        if parcel.kind is MessageKind.PICTURE:
            self._drop_status_until(parcel.made_ns)
        head: dict[str, Any] = {
            "n": number,
            "held_ms": (now_ns - parcel.made_ns) / 1e6,
            "sent_ms": now_ns / 1e6,
        }
        if self._echo is not None:
            client_ms, heard_ns = self._echo
            head["echo"] = {"t_ms": client_ms, "held_ms": (now_ns - heard_ns) / 1e6}
        about = encode_json(head)[:-1] + b',"about":' + parcel.about + b"}"
        return pack_message(parcel.kind, about, parcel.jpeg)

    def _drop_status_until(self, made_ns: int) -> None:
        """Drop the waiting status if it says no more than the picture's own; a newer one stays."""
        waiting = self._waiting.get((MessageKind.STATUS, None))
        if waiting is not None and waiting.made_ns <= made_ns:
            del self._waiting[(MessageKind.STATUS, None)]


_URGENCY = {
    MessageKind.PICTURE: 0,
    MessageKind.STATUS: 1,
    MessageKind.HEATMAP: 2,
    MessageKind.READING: 2,
    MessageKind.KEY_FRAME: 3,
    MessageKind.EVIDENCE: 4,
    MessageKind.WORKLIST: 4,
}
