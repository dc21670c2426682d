"""What a node takes of memory: cines and results go by way of the disk, whatever their size."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from neurosono.stream.hospital.associate import MOST_PARTS
from neurosono.stream.study.send import send_dicom, write_files
from tests.support.cines import make_cine, write_cine
from tests.support.dcmtk import storing as keeping

ALONE = """
import sys
import neurosono.node.run
import neurosono.stream.sources.dicom.clip
assert "av" not in sys.modules, "FFmpeg's libraries are for films"
"""
READ = """
import resource, sys
from pathlib import Path
from neurosono.stream.sources.dicom.clip import open_dicom

def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10

clip = open_dicom(Path(sys.argv[1]))
before, count = peak(), sum(1 for _ in clip.pictures())
print(count, peak() - before)
"""
SIDE_PX, PICTURES = 1024, 96


def run(program: str, *arguments: str) -> str:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def test_the_listening_process_loads_no_decoder_of_films() -> None:
    run(ALONE)


def test_a_cine_is_read_picture_by_picture(tmp_path: Path) -> None:
    cine = make_cine(np.zeros((1, SIDE_PX, SIDE_PX), np.uint8))
    path = write_cine(tmp_path / "cine.dcm", cine)
    data = path.read_bytes().replace(
        b"\x28\x00\x08\x00IS\x02\x001 ", b"\x28\x00\x08\x00IS\x02\x0096"
    )
    length = SIDE_PX * SIDE_PX
    head = data[: -length - 4] + (PICTURES * length).to_bytes(4, "little")
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + PICTURES * length)  # no block of it is on the disk
    count, grown_mb = map(int, run(READ, str(path)).split())
    assert count == PICTURES
    assert grown_mb < 30, f"of {PICTURES} MB"


@pytest.fixture
def large() -> Dataset:
    return make_cine(np.zeros((64, 512, 512), np.uint8))


def test_a_file_is_sent_as_fast_as_the_other_side_reads(
    large: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = write_files([large], tmp_path / "study")
    waited: list[int] = []
    _count_waiting(monkeypatch, waited)
    with keeping(tmp_path / "kept") as node:
        send_dicom([path], node)
    (kept,) = (tmp_path / "kept").iterdir()
    assert large.PixelData in kept.read_bytes()
    assert len(waited) > 4 * MOST_PARTS
    assert max(waited) <= MOST_PARTS + 2


def _count_waiting(monkeypatch: pytest.MonkeyPatch, waited: list[int]) -> None:
    from pynetdicom.dul import DULServiceProvider

    send = DULServiceProvider.send_pdu

    def count(upper: Any, part: Any) -> None:
        send(upper, part)
        waited.append(upper.to_provider_queue.qsize())

    monkeypatch.setattr(DULServiceProvider, "send_pdu", count)
