"""Stand-in scanners on loopback sockets: good ones, silent ones, and ones that end too early."""

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from neurosono.stream.pictures.picture import Picture
from neurosono.stream.simulate.scanner import Scanner, SimulateOptions
from neurosono.stream.simulate.transmit import TcpTransmitter, UdpTransmitter
from tests.support.clips import make_screen

HOST = "127.0.0.1"


class Screens:
    """A source of ready screens."""

    description = "screens"

    def __init__(self, screens: Sequence[NDArray[np.uint8]], rate_hz: float = 50.0) -> None:
        self._screens, self.nominal_rate_hz = screens, rate_hz

    def pictures(self) -> Iterator[Picture]:
        for index, pixels in enumerate(self._screens):
            yield Picture(index, 0, index / self.nominal_rate_hz, pixels)


def make_screens(count: int = 25, width: int = 320, height: int = 240) -> Screens:
    return Screens([make_screen(index, 0, width, height) for index in range(count)])


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def free_tcp_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def playing(
    transmitter: UdpTransmitter | TcpTransmitter,
    source: Screens | None = None,
    *,
    loop: bool = True,
    **options: float,
) -> Iterator[Scanner]:
    """Play in a thread until the block ends."""
    stop = threading.Event()
    scanner = Scanner(
        source or make_screens(), transmitter, SimulateOptions(loop=loop, **options), stop=stop
    )
    thread = threading.Thread(target=scanner.play)
    thread.start()
    try:
        yield scanner
    finally:
        stop.set()
        thread.join()
        transmitter.close()


@contextlib.contextmanager
def answering(answers: Sequence[bytes]) -> Iterator[tuple[int, list[int]]]:
    """Accept connections, send the next of `answers` to each, and then say nothing.

    Yields the port, and a list that grows by one for each connection.
    """
    stop = threading.Event()
    seen: list[int] = []
    with socket.create_server((HOST, 0)) as server, contextlib.ExitStack() as held:
        server.settimeout(0.05)

        def serve() -> None:
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    connected, _ = server.accept()
                    held.enter_context(connected)
                    connected.sendall(answers[min(len(seen), len(answers) - 1)])
                    seen.append(len(seen))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(server.getsockname()[1]), seen
        finally:
            stop.set()
            thread.join()


def record_stream(pictures: int = 25) -> bytes:
    """Return MPEG-TS as a scanner would send it."""

    class Tape:
        def __init__(self) -> None:
            self.data = bytearray()

        def write(self, data: bytes) -> int:
            self.data += data
            return len(data)

        def has_newcomer(self) -> bool:
            return False

        def close(self) -> None:
            pass

    tape = Tape()
    source = make_screens(pictures)
    source.nominal_rate_hz = 500.0
    Scanner(source, tape, SimulateOptions(), stop=threading.Event()).play()
    return bytes(tape.data)
