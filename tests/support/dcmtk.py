"""A node of others: dcmtk's `storescp`, which keeps what it is sent in a folder."""

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from neurosono.stream.hospital.node import Node
from neurosono.stream.hospital.tls import Tls
from tests.support.commands import wait_until
from tests.support.senders import HOST, free_tcp_port


@contextlib.contextmanager
def storing(folder: Path, tls: Tls | None = None, *more: str) -> Iterator[Node]:
    """Run one until the block ends, with `more` of its own options."""
    if shutil.which("storescp") is None:
        pytest.skip("no storescp here: .ci/run installs dcmtk")
    folder.mkdir(exist_ok=True)
    port = free_tcp_port()
    secret = [] if tls is None else ["+tls", tls.keyfile, tls.certfile, "+cf", tls.cafile]
    command = ["storescp", *secret, *more, "-od", str(folder), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: _listens(port), 30)
        yield Node("STORESCP", HOST, port)
    finally:
        process.kill()  # one that was stopped, too
        process.wait(30)


def _listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex((HOST, port)) == 0
