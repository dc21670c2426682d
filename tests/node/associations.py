"""Thousands of associations that lead nowhere: what they leave behind in a node that listens.

Run as `python -m tests.node.associations --count 10000`; the tests run a short form.
"""

import argparse
import contextlib
import json
import resource
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from pydicom.dataset import Dataset
from pydicom.uid import UltrasoundMultiFrameImageStorage
from pynetdicom import evt

from neurosono.node.commitments import Commitments
from neurosono.node.committing import Committing
from neurosono.node.options import Judging, Limits, Listening
from neurosono.node.receiver import Receiver, listen
from neurosono.node.spool import Spool
from neurosono.stream.hospital.entity import Entity
from neurosono.stream.hospital.node import parse_node
from neurosono.stream.sources.limits import MediaLimits
from tests.support.commands import wait_until
from tests.support.senders import HOST

TITLE, SCANNER = "NODE", "SCANNER1"
ABORT = b"\x07\x00" + struct.pack(">I", 4) + bytes(4)
PART_OF_A_CINE = b"\x04\x00" + struct.pack(">I", 1000) + bytes(500)
ACCEPTED = 0x02
WAYS = ("aborted", "reset", "cut", "silent", "left")


@dataclass(frozen=True)
class Listener:
    """A node that listens in a process of its own, and judges nothing."""

    process: psutil.Process
    port: int
    folder: Path

    def weigh(self) -> dict[str, int]:
        """Return what it holds of what the system gives."""
        with self.process.oneshot():
            return {
                "threads": self.process.num_threads(),
                "files": self.process.num_fds(),
                "megabytes": self.process.memory_info().rss >> 20,
            }


@contextlib.contextmanager
def listening(
    folder: Path, room: int | None = None, more: Sequence[str] = ()
) -> Iterator[Listener]:
    """Run one until the block ends; no file of it grows past `room` bytes.

    `more` are its own options: `--send` and `--allow`, as those of `neurosono node`.
    """
    command = [sys.executable, "-m", __spec__.name, "--listen", str(folder)]
    more = [*more] if room is None else [*more, "--room", str(room)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([*command, *more], text=True, **pipes) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield Listener(psutil.Process(process.pid), int(process.stdout.readline()), folder)
        finally:
            process.stdin.close()
            process.wait(60)


def serve(folder: Path, room: int | None, send: str, allow: str | None) -> None:
    """Listen until standard input ends."""
    limits = Limits(most_waiting=10_000, least_free_bytes=0)
    scanners = () if allow is None else (parse_node(allow),)
    ears = Listening(HOST, 0, TITLE, (SCANNER,), scanners=scanners)
    with Spool(folder) as spool, Commitments(folder) as commitments:
        if room is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        receiver = Receiver(spool, limits, MediaLimits(), ears)
        committing = Committing(commitments, ears, Judging(parse_node(send)))
        with listen(ears, receiver, spool.incoming, committing) as port, committing:
            sys.stdout.write(f"{port}\n")
            sys.stdout.flush()
            sys.stdin.read()


def record_request(port: int) -> bytes:
    """Return the bytes with which a scanner asks for an association."""
    sent: list[bytes] = []
    entity = Entity(ae_title=SCANNER)
    entity.add_requested_context(UltrasoundMultiFrameImageStorage)
    keep = [(evt.EVT_DATA_SENT, lambda event: sent.append(event.data))]
    entity.associate(HOST, port, ae_title=TITLE, evt_handlers=keep).release()
    return sent[0]


def open_one(port: int, request: bytes, way: str) -> bool:
    """Open an association and leave it in one of `WAYS`; returns whether it was accepted."""
    with socket.create_connection((HOST, port), 60) as connected:
        if way == "silent":
            return True
        connected.sendall(request)
        if way == "left":
            return True
        accepted = connected.recv(1)[:1] == bytes([ACCEPTED])
        if way == "cut":
            connected.sendall(PART_OF_A_CINE)
        elif way == "reset":
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            connected.sendall(ABORT)
        return accepted


def store(port: int, cine: Dataset, title: str = SCANNER) -> Dataset:
    """Store a cine and return the answer; an empty one where the node hung up."""
    entity = Entity(ae_title=title)
    entity.add_requested_context(cine.SOPClassUID)
    association = entity.associate(HOST, port, ae_title=TITLE)
    assert association.is_established
    try:
        return association.send_c_store(cine)
    finally:
        if association.is_established:
            association.release()


def open_many(listener: Listener, count: int) -> dict[str, Any]:
    """Open so many associations, in every way; return how they went and what they left behind.

    One that is told that the node is busy comes again, as a scanner does.
    """
    request = record_request(listener.port)
    wait_until(lambda: listener.weigh()["threads"] < 10)
    before, began_s, counts = listener.weigh(), time.monotonic(), Counter[str]()
    for number in range(count):
        way = WAYS[number % len(WAYS)]
        while not open_one(listener.port, request, way):
            counts["busy"] += 1
        counts[way] += 1
    wait_until(lambda: listener.weigh()["threads"] <= before["threads"], 120)
    took_s = time.monotonic() - began_s
    return {"opened": dict(counts), "before": before, "after": listener.weigh(), "took_s": took_s}


def main() -> int:
    """Open associations with a node, or be one."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--listen", type=Path)
    parser.add_argument("--room", type=int)
    parser.add_argument("--send", default=f"NOBODY@{HOST}:1")
    parser.add_argument("--allow")
    asked = parser.parse_args()
    if asked.listen is not None:
        serve(asked.listen, asked.room, asked.send, asked.allow)
        return 0
    from tests.support.cines import draw_frames, make_cine

    with tempfile.TemporaryDirectory() as folder, listening(Path(folder) / "node") as listener:
        told = open_many(listener, asked.count)
        told["stored"] = store(listener.port, make_cine(draw_frames(3))).Status == 0x0000
    sys.stdout.write(json.dumps(told, indent=2) + "\n")
    return 0 if told["stored"] else 1


if __name__ == "__main__":
    sys.exit(main())
