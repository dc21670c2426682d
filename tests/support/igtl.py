"""OpenIGTLink messages as the protocol lays them out, and a server of the tests' own."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Told:
    """What an IMAGE message says beside its pixels."""

    device: str = "Image_Reference"
    version: int = 1
    stamp_s: float = 0.0
    mm: tuple[float, float] = (0.2, 0.2)
    scalar: int = 3
    depth: int = 1
    metadata: bytes = b""


def frame_message(kind: str, body: bytes, told: Told, claimed_bytes: int | None = None) -> bytes:
    """Return a whole message; with `claimed_bytes` its header lies about the body."""
    if told.version > 1:
        body = struct.pack(">HHII", 12, 0, len(told.metadata), 1) + body + told.metadata
    size = len(body) if claimed_bytes is None else claimed_bytes
    stamp = int(told.stamp_s * 2**32)
    names = kind.encode(), told.device.encode()
    return struct.pack(">H12s20sQQQ", told.version, *names, stamp, size, 0) + body


def make_image(pixels: NDArray[np.uint8], told: Told | None = None) -> bytes:
    """Return the IMAGE message of `(H, W)` or `(H, W, C)` levels, C in the order that is sent."""
    told = told or Told()
    height, width = pixels.shape[:2]
    components = 1 if pixels.ndim == 2 else pixels.shape[2]
    size = (width, height, told.depth)
    matrix = (told.mm[0], 0, 0, 0, told.mm[1], 0, 0, 0, 1, 0, 0, 0)
    head = struct.pack(
        ">HBBBB3H12f6H", 1, components, told.scalar, 2, 1, *size, *matrix, 0, 0, 0, *size
    )
    return frame_message("IMAGE", head + pixels.tobytes(), told)


@contextlib.contextmanager
def serving(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """Let `talk` speak to whoever connects, one after the other; yields the port."""
    with socket.create_server((HOST, 0)) as listener:
        ended = threading.Event()
        listener.settimeout(0.1)

        def serve() -> None:
            while not ended.is_set():
                with contextlib.suppress(OSError):
                    connected, _ = listener.accept()
                    with connected:
                        talk(connected)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            ended.set()
            thread.join()


def saying(
    messages: Sequence[bytes], *, hold: threading.Event | None = None
) -> Callable[[socket.socket], None]:
    """Return a talk that sends messages, then waits for `hold` before it hangs up."""

    def talk(connected: socket.socket) -> None:
        for message in messages:
            connected.sendall(message)
        if hold is not None:
            hold.wait(20)

    return talk
