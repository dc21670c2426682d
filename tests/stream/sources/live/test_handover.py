"""A process goes on with the stream where the one before it died, by real processes and sockets."""

import contextlib
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from neurosono.stream.pictures.picture import Picture
from neurosono.stream.processes.legacy import Legacy
from neurosono.stream.simulate.transmit import TcpTransmitter, UdpTransmitter
from neurosono.stream.sources.live.receiver import Receiver, listen_udp
from neurosono.stream.sources.live.source import LiveOptions, LiveSource, open_live
from neurosono.stream.sources.live.tail import SIZE_BYTES, Tail
from tests.support.commands import wait_until
from tests.support.senders import HOST, free_udp_port, playing

FOLLOW = """
import sys
from neurosono.stream.processes.legacy import Legacy
from neurosono.stream.sources.live.source import LiveOptions, open_live
with open_live(sys.argv[1], options=LiveOptions(legacy=Legacy.at(int(sys.argv[2])))) as live:
    for picture in live.pictures():
        print(picture.received_ns, flush=True)
"""
ONE_KEY_S = 1000.0
"""A sender whose first picture is the only one that stands alone: who waits does so for ever."""


def follow_and_die(address: str) -> tuple[tuple[int, ...], int]:
    """Follow a stream in a process that is killed; returns what it left, and when its last came."""
    ours, theirs = Legacy.pair()
    with theirs:
        command = [sys.executable, "-P", "-c", FOLLOW, address, str(theirs.fileno())]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, pass_fds=[theirs.fileno()]
        )
    assert process.stdout is not None
    with process.stdout as said:
        seen = [int(next(said)) for _ in range(10)]
        process.kill()
        seen += [int(line) for line in said if line.endswith("\n")]
    process.wait()
    left = ours.take()
    ours.close()
    assert left is not None
    return left, max(seen)


@contextlib.contextmanager
def take_over(address: str, left: tuple[int, ...]) -> Iterator[LiveSource]:
    ours, theirs = Legacy.pair()
    ours.leave(left)
    for each in left:
        os.close(each)
    ours.close()
    waits = {"open_timeout_s": 20.0, "read_timeout_s": 20.0}
    with theirs, open_live(address, options=LiveOptions(legacy=Legacy(theirs), **waits)) as live:  # type: ignore[arg-type]
        yield live


def take(live: LiveSource, count: int) -> list[Picture]:
    def enough() -> list[Picture] | None:
        if (picture := live.take(0.05)) is not None:
            taken.append(picture)
        return taken if len(taken) >= count else None

    taken: list[Picture] = []
    return list(wait_until(enough))


@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_the_next_process_needs_no_key_picture_and_takes_none_twice(kind: str) -> None:
    transmitter: Any
    if kind == "udp":
        port = free_udp_port()
        transmitter = UdpTransmitter(HOST, port)
    else:
        transmitter = TcpTransmitter(HOST, 0)
        port = transmitter.port
    address = f"{kind}://{HOST}:{port}"
    before = psutil.Process().num_fds()
    with playing(transmitter, key_every_s=ONE_KEY_S):
        left, last_ns = follow_and_die(address)
        with take_over(address, left) as live:
            taken = take(live, 5)
    times = [picture.received_ns or 0 for picture in taken]
    assert min(times) >= last_ns, "what the first had shown is not shown again"
    assert times == sorted(times)
    assert not any(picture.damaged for picture in taken)
    assert psutil.Process().num_fds() <= before


def test_what_waited_too_long_is_not_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neurosono.stream.sources.live.handover.FRESH_S", 0.0)
    port = free_udp_port()
    with playing(UdpTransmitter(HOST, port), key_every_s=0.5):
        left, _ = follow_and_die(f"udp://{HOST}:{port}")
        opened_ns = time.monotonic_ns()
        with take_over(f"udp://{HOST}:{port}", left) as live:
            (picture, *_) = take(live, 1)
    assert picture.received_ns is not None
    assert picture.received_ns > opened_ns, "the socket was emptied, and the port is still ours"


def test_the_next_process_follows_the_same_sender(make_tail: Any) -> None:
    tail = make_tail()
    with contextlib.ExitStack() as at_end:
        listening = listen_udp(HOST, 0)
        known, stranger = (
            at_end.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2)
        )
        stranger.bind(("127.0.0.2", 0))
        first = Receiver(listening.dup(), timeout_s=60, tail=tail)
        known.sendto(packet(0, 0), listening.getsockname())
        assert first.read(188) == packet(0, 0)
        first.close()
        tail.note_alone(0)
        stranger.sendto(packet(1), listening.getsockname())  # while nobody reads
        known.sendto(packet(2), listening.getsockname())
        recalled = tail.recall()
        second = Receiver(listening, timeout_s=60, tail=tail, recalled=recalled)
        at_end.callback(second.close)
        assert [second.read(188) for _ in range(2)] == [packet(0, 0), packet(2)]
        assert second.strangers == 1


@pytest.fixture
def make_tail() -> Iterator[Callable[[], Tail]]:
    made: list[Tail] = []

    def make() -> Tail:
        made.append(Tail())
        return made[-1]

    yield make
    for each in made:
        each.close()


def packet(number: int, pid: int = 0x100) -> bytes:
    head = bytes([0x47, 0x40 | pid >> 8, pid & 255, 0x10])
    return head + number.to_bytes(4, "big") + bytes(180)


def fill(tail: Tail, pieces: int, *, table_every: int = 100) -> list[bytes]:
    made = []
    for number in range(pieces):
        pid = 0 if number % table_every == 0 else 0x100
        made.append(packet(number, pid) + 6 * packet(number))
        tail.add(number, made[-1])
    return made


def test_a_ring_remembers_from_the_table_before_the_last_key_on(make_tail: Any) -> None:
    tail = make_tail()
    length = 7 * 188
    made = fill(tail, 20000)  # more than twice around
    assert len(made) * length > 2 * SIZE_BYTES
    tail.note_alone(19950 * length)
    tail.note_shown(19990 * length)
    found = tail.recall()
    assert found is not None
    assert [piece for _, piece in found.pieces] == made[19900:]
    assert (found.position, found.end) == (19900 * length, 20000 * length)
    assert (found.shown, found.last_ns) == (19990 * length, 19999)
    tail.add(20000, b"more")
    tail.note_shown(19999 * length)
    again = tail.recall()
    assert again is not None
    assert again.pieces[-1] == (20000, b"more")


def test_what_may_have_killed_the_one_before_is_not_read_twice(make_tail: Any) -> None:
    tail = make_tail()
    fill(tail, 10)
    assert tail.recall() is None, "no picture stood alone"
    tail.forget()
    tail = make_tail()
    fill(tail, 10)
    tail.note_alone(0)
    assert tail.recall() is not None
    assert tail.recall() is None
    tail.note_shown(5)
    assert tail.recall() is not None


def test_a_key_further_back_than_the_ring_reaches_is_none(make_tail: Any) -> None:
    tail = make_tail()
    fill(tail, 7000)
    tail.note_alone(0)
    assert tail.recall() is None


def test_whatever_stands_in_the_memory_nothing_is_raised(make_tail: Any) -> None:
    rng = random.Random(3)
    for _ in range(200):
        tail = make_tail()
        fill(tail, 30)
        tail.note_alone(0)
        for _ in range(rng.choice([1, 3, 20])):
            at = rng.choice([rng.randrange(64), rng.randrange(64 + 30 * 1336)])
            os.pwrite(tail.descriptor, rng.randbytes(8), at)
        found = tail.recall()
        assert found is None or all(len(piece) > 0 for _, piece in found.pieces)
