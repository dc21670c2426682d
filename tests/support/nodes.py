"""A node's process by the real command, and what it sent a PACS."""

import contextlib
import io
import signal
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from neurosono.stream.hospital.node import parse_node
from neurosono.stream.study.send import send_dicom
from tests.support.commands import COMMAND, wait_until
from tests.support.orthanc import Orthanc
from tests.support.senders import HOST, free_tcp_port

SCANNER = "SCANNER1"


@dataclass
class Running:
    """A node's process, what it said, and how to store on it."""

    process: subprocess.Popen[str]
    port: int
    folder: Path
    said: list[str]

    @property
    def node(self) -> str:
        return f"NEUROSONO@{HOST}:{self.port}"

    def store(self, *cines: Dataset, title: str = SCANNER) -> None:
        send_dicom(cines, parse_node(self.node, title))

    def wait(self, *words: str) -> str:
        def find() -> str | None:
            return next((line for line in self.said if any(w in line for w in words)), None)

        return str(wait_until(find, 120))


@contextlib.contextmanager
def serving(
    folder: Path, bundle: Path | str, *more: str, port: int | None = None
) -> Iterator[Running]:
    """Run `neurosono node` until the block ends."""
    command = [*COMMAND, "node", "--folder", str(folder), "--bundle", str(bundle), "--port"]
    port = port or free_tcp_port()
    quick = [str(port), "--allow", SCANNER, "--complete-after", "0.5", "--least-free-gb", "0.1"]
    process = subprocess.Popen(
        [*command, *quick, *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    said: list[str] = []
    assert process.stderr is not None
    reader = threading.Thread(target=lambda: said.extend(process.stderr or ()), daemon=True)
    reader.start()
    running = Running(process, port, folder, said)
    try:
        wait_until(lambda: process.poll() is not None or any("listens" in each for each in said))
        assert process.poll() is None, said
        yield running
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(60)
        reader.join(10)
        for stream in (process.stdout, process.stderr):
            stream.close()  # type: ignore[union-attr]


def fetch(pacs: Orthanc, study: str) -> list[Dataset]:
    """Return what the PACS has of a study."""
    found = []
    for each in pacs.get("/instances"):
        address = f"http://{HOST}:{pacs.http_port}/instances/{each}/file"
        with urllib.request.urlopen(address, timeout=20) as answer:
            dataset = pydicom.dcmread(io.BytesIO(answer.read()))
        if dataset.StudyInstanceUID == study:
            found.append(dataset)
    return sorted(found, key=lambda each: int(each.SeriesNumber))
