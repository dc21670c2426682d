"""ZeroMQ between two processes, with credits: nothing is lost unless the sender chose to.

The receiver tells how many messages it can take. With none left, a lossless sender waits and a
newest-wins sender keeps only the latest, and hands every message that it gave up back to be
counted. ZeroMQ itself never drops, for it never holds more than the credits allow.

The sender binds and the receiver connects: a bound DEALER without a peer cannot send, a connected
one can, so credits given before the sender is up are not lost.
"""

import fcntl
import os
import shutil
import tempfile
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import zmq

from neurosono.engine.contracts.errors import OutputError, WireError
from neurosono.stream.processes.wire import (
    FRAME,
    KIND_AT,
    Credit,
    Event,
    Message,
    Received,
    pack,
    unpack,
)

POLL_MS = 50
"""How long a wait lasts before the caller's stop is asked again."""

FOLDER_PREFIX = "neurosono-"

LOCAL = "ipc://"

_POLLIN = int(zmq.POLLIN)


@dataclass(frozen=True)
class Endpoints:
    """Where the sockets of one session are; on one machine, files in a private folder."""

    frames: str
    display: str
    results: str

    @property
    def folder(self) -> Path:
        """Where they are."""
        return Path(self.frames.removeprefix(LOCAL)).parent

    @classmethod
    def in_folder(cls, folder: Path) -> "Endpoints":
        """Return `ipc://` endpoints in `folder`, which only this user may enter."""
        return cls(*(f"{LOCAL}{folder / name}" for name in ("frames", "display", "results")))

    def of_reader(self, name: str) -> str:
        """Return where a reader gets its frames; short whatever its name, as a socket's path is."""
        return f"{self.frames}-{zlib.crc32(name.encode()):08x}"


_LOCKS: dict[Path, int] = {}
"""The open, locked descriptor of each folder that this process made."""


def make_socket_folder() -> Path:
    """Make a private folder for the sockets; short, for a socket's path ends at 107 bytes.

    Folders of sessions that were killed are swept away: those that nobody holds a lock of. (A
    process id says nothing where another container shares the place.) Raises `OutputError` without
    a place.
    """
    places = (os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir(), "/tmp")  # noqa: S108
    fitting = (place for place in places if 0 < len(place) < 60 and os.access(place, os.W_OK))
    parent = next(fitting, None)
    if parent is None:
        raise OutputError(f"no short, writable folder for sockets among {places}: set TMPDIR")
    for left in Path(parent).glob(f"{FOLDER_PREFIX}*-*"):
        pid = left.name.removeprefix(FOLDER_PREFIX).split("-")[0]
        if pid.isdecimal() and (lock := _lock(left)) is not None:
            shutil.rmtree(left, ignore_errors=True)
            os.close(lock)
    # under another name until it is locked: nobody sweeps it away meanwhile
    bare = Path(tempfile.mkdtemp(prefix=".ns-", dir=parent))
    lock = _lock(bare)
    assert lock is not None, "nobody else knows of it"
    folder = bare.with_name(f"{FOLDER_PREFIX}{os.getpid()}-{bare.name.removeprefix('.ns-')}")
    bare.rename(folder)
    _LOCKS[folder] = lock
    return folder


def remove_socket_folder(folder: Path) -> None:
    """Remove the folder and the sockets in it."""
    shutil.rmtree(folder, ignore_errors=True)
    if (lock := _LOCKS.pop(folder, None)) is not None:
        os.close(lock)


def sweep_orphaned(folder: Path) -> None:
    """Remove a session's folder if the process that made it is gone: its children see to that."""
    if folder.name.startswith(FOLDER_PREFIX) and (lock := _lock(folder)) is not None:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _lock(folder: Path) -> int | None:
    """Return a descriptor of the folder that holds its lock; None where somebody else does."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:  # gone, or another user's
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def open_socket(
    context: zmq.Context[zmq.Socket[bytes]], endpoint: str, *, bind: bool
) -> zmq.Socket[bytes]:
    """Open one end of a channel: a DEALER, for credits flow the other way.

    Raises `WireError` for an endpoint that is not a file of this machine: on a network a message
    would have to say who sent it, and nothing needs one there (docs/decisions.md).
    """
    if not endpoint.startswith(LOCAL):
        raise WireError(f"an endpoint must be {LOCAL}PATH, found {endpoint!r}: give another")
    socket = context.socket(zmq.DEALER)
    socket.set_hwm(0)
    socket.setsockopt(zmq.LINGER, 1000)
    if bind:
        socket.bind(endpoint)
    else:
        socket.connect(endpoint)
    return socket


def _has_come(socket: zmq.Socket[bytes], timeout_ms: int) -> bool:
    """Whether a message is there; a poller, which costs twice as much, is for who waits alone."""
    known = int(socket.get(zmq.EVENTS)) & _POLLIN
    return bool(known or (timeout_ms and socket.poll(timeout_ms)))


def await_any(timeout_ms: int, *ends: "Inlet | Outlet", news: int | None = None) -> None:
    """Wait until a message is there in any of `ends`, for at most `timeout_ms`.

    `news` is a file descriptor that ends the wait, too.
    """
    poller = zmq.Poller()
    for end in ends:
        poller.register(end.socket, zmq.POLLIN)
    if news is not None:
        poller.register(news, zmq.POLLIN)
    poller.poll(timeout_ms)


class Outlet:
    """The sending end."""

    def __init__(self, socket: zmq.Socket[bytes], on_event: Callable[[Event], None]) -> None:
        """`on_event` gets what the receiver has to say beside its credits."""
        self._socket, self._on_event = socket, on_event
        self._credits, self._epoch = 0, 0
        self._waiting: Message | None = None
        self._backlog: deque[bytes] = deque()

    def send_always(self, message: Message) -> None:
        """Send something small that must arrive and that no credit counts; never waits."""
        self._backlog.append(pack(message))
        self._drain()

    def send_waiting(self, message: Message, stopped: Callable[[], bool]) -> bool:
        """Send when there is a credit; returns False, unsent, once `stopped` says so."""
        while self._credits <= 0:
            if stopped():
                return False
            self.pump(POLL_MS)
        self._send(message)
        return True

    def send_newest(self, message: Message) -> Message | None:
        """Send now, or hold `message` until there is a credit; returns the message it displaced."""
        displaced, self._waiting = self._waiting, message
        self.pump(0)
        return displaced

    def flush(self, stopped: Callable[[], bool]) -> Message | None:
        """Wait until all that is held is sent; returns the held message, unsent, once `stopped`."""
        while (self._waiting is not None or self._backlog) and not stopped():
            self.pump(POLL_MS)
        unsent, self._waiting = self._waiting, None
        return unsent

    def forget_frames(self) -> None:
        """Drop the frames that are still here: whoever was to judge them is gone."""
        self._waiting = None
        self._backlog = deque(each for each in self._backlog if each[KIND_AT] != FRAME)

    def take_back(self) -> Message | None:
        """Return the message that waits for a credit, which is then not sent."""
        held, self._waiting = self._waiting, None
        return held

    def pump(self, timeout_ms: int) -> None:
        """Take in credits for at most `timeout_ms`, and send what is held if one is there."""
        while _has_come(self._socket, timeout_ms):
            timeout_ms = 0
            self._take(unpack(self._socket.recv()).message)
        self._drain()
        if self._waiting is not None and self._credits > 0:
            message, self._waiting = self._waiting, None
            self._send(message)

    @property
    def socket(self) -> zmq.Socket[bytes]:
        """The socket, to wait on it together with others."""
        return self._socket

    def _send(self, message: Message) -> None:
        self._credits -= 1
        self._backlog.append(pack(message))
        self._drain()

    def _drain(self) -> None:
        # Before its peer has come, a bound DEALER cannot send; capture must not stall for that.
        while self._backlog:
            try:
                # without a copy: ZeroMQ's own of a picture costs 0.4 ms of fresh memory pages
                self._socket.send(self._backlog[0], zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            self._backlog.popleft()

    def _take(self, message: Message) -> None:
        match message:
            case Credit(count, epoch):
                if epoch != self._epoch:
                    self._credits, self._epoch = 0, epoch
                self._credits += count
            case Event():
                self._on_event(message)
            case _:
                raise WireError(f"a receiver sent {type(message).__name__} instead of a credit")


class Inlet:
    """The receiving end."""

    def __init__(self, socket: zmq.Socket[bytes], window: int = 0) -> None:
        """`window` messages may be on their way at once; 0 where no credits are used."""
        self._socket, self._window = socket, window
        self._epoch = os.getpid() << 16
        if window:
            self.give_credit(window)

    def begin_again(self) -> None:
        """Another sender is there, which knows of no credit: give it the whole window."""
        self._epoch += 1
        self.give_credit(self._window)

    def receive(self, timeout_ms: int) -> Received | None:
        """Return the next message, or None after `timeout_ms`."""
        if not _has_come(self._socket, timeout_ms):
            return None
        return unpack(self._socket.recv(copy=False).buffer)

    def give_credit(self, count: int = 1) -> None:
        """Say that `count` more can be taken."""
        self._socket.send(pack(Credit(count, self._epoch)))

    def tell(self, event: Event) -> None:
        """Say something to the sender."""
        self._socket.send(pack(event))

    @property
    def socket(self) -> zmq.Socket[bytes]:
        """The socket, to wait on it together with others."""
        return self._socket
