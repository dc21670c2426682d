"""The node by the real command: cines in, results in the PACS, once, also over `kill -9`."""

import contextlib
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from typer.testing import CliRunner

from neurosono.engine.contracts.errors import InputError
from neurosono.scripts.main import app
from neurosono.stream.hospital.node import parse_node
from neurosono.stream.study.send import send_dicom
from tests.support.cines import draw_frames, make_cine
from tests.support.commands import COMMAND, wait_until
from tests.support.orthanc import Orthanc, serving_orthanc
from tests.support.senders import HOST, free_tcp_port
from tests.support.signatures import sign_copy, trust_one

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
def serving(folder: Path, bundle: Path, *more: str) -> Iterator[Running]:
    """Run `neurosono node` until the block ends."""
    command = [*COMMAND, "node", "--folder", str(folder), "--bundle", str(bundle), "--port"]
    port = free_tcp_port()
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


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with serving_orthanc(tmp_path_factory.mktemp("pacs")) as orthanc:
        yield orthanc


@pytest.fixture(scope="module")
def frames() -> Any:
    return draw_frames(30)


def fetch(pacs: Orthanc, study: str) -> list[Dataset]:
    """Return what the PACS has of a study."""
    import io
    import urllib.request

    found = []
    for each in pacs.get("/instances"):
        address = f"http://{HOST}:{pacs.http_port}/instances/{each}/file"
        with urllib.request.urlopen(address, timeout=20) as answer:
            dataset = pydicom.dcmread(io.BytesIO(answer.read()))
        if dataset.StudyInstanceUID == study:
            found.append(dataset)
    return sorted(found, key=lambda each: int(each.SeriesNumber))


SECRETS = ("Clinic of Nowhere", "Operator^Olaf", "12 Hidden Lane", "SONO-77", "Referred for X")
"""What a header may hold of people and places, and no result takes over."""


def tell_secrets(cine: Dataset) -> Dataset:
    cine.InstitutionName, cine.OperatorsName = SECRETS[0], SECRETS[1]
    cine.PatientAddress, cine.StationName, cine.ImageComments = SECRETS[2:]
    block = cine.private_block(0x0019, "SCANNER", create=True)
    block.add_new(0x01, "LO", SECRETS[1])
    return cine


def test_a_study_is_judged_and_its_results_refer_to_its_cines(
    tmp_path: Path, bundle_root: Path, pacs: Orthanc, frames: Any
) -> None:
    first = tell_secrets(make_cine(frames, number=1))
    study = first.StudyInstanceUID
    second = make_cine(frames[::-1].copy(), study=study, number=2)
    keys = trust_one(tmp_path)
    signed = sign_copy(bundle_root, tmp_path / "signed", keys)
    asked = ("--send", pacs.node, "--pdf", "--trusted-keys", str(keys))
    with serving(tmp_path / "node", signed, *asked) as node:
        node.store(second, first)
        line = node.wait("results stored")
        assert "(2 cines of SCANNER1)" in line
        node.store(first)  # again: it is known
        assert "arriving" not in "".join(node.said[node.said.index(line) :])
        found = fetch(pacs, study)
        assert [each.Modality for each in found] == ["OT", "SR", "SR", "DOC"]
        assert {str(each.PatientName) for each in found} == {"Größe^Änne"}
        assert {each.AccessionNumber for each in found} == {"A-77"}
        told = "".join(each.to_json() for each in found)
        assert not any(secret in told for secret in SECRETS)
        pictures, regions = found[0], found[2]
        referred = {each.ReferencedSOPInstanceUID for each in pictures.SourceImageSequence}
        assert referred == {first.SOPInstanceUID, second.SOPInstanceUID}
        text = regions.to_json()
        assert first.SOPInstanceUID in text or second.SOPInstanceUID in text
        shown = pictures.pixel_array[1].max()
        assert shown > 0
        assert not list((tmp_path / "node").rglob("*.dcm")), "done, and not kept"
    assert node.process.returncode == 0
    said = "".join(node.said)
    assert not re.search("Größe|P-4711|A-77", said)
    for path in (tmp_path / "node").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert "Größe".encode("latin-1") not in data
            assert not any(secret.encode() in data for secret in (*SECRETS, "P-4711", "A-77"))


def test_a_kill_loses_nothing_and_repeats_nothing(
    tmp_path: Path, bundle_root: Path, pacs: Orthanc, frames: Any
) -> None:
    folder, studies = tmp_path / "node", []
    with serving(folder, bundle_root, "--send", pacs.node, "--complete-after", "2") as node:
        for seed in range(3):
            cine = make_cine(frames[: 20 + seed])
            studies.append(cine.StudyInstanceUID)
            node.store(cine)
        # a study that was judged and sent between two looks is told as stored alone
        node.wait("judged", "results stored")
        children = [int(each) for each in _children(node.process.pid)]
        for pid in (node.process.pid, *children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    with serving(folder, bundle_root, "--send", pacs.node) as again:
        wait_until(lambda: all(len(fetch(pacs, each)) >= 3 for each in studies), 120)
        for number in (1, 2, 3):
            again.wait(f"study {number} (1 cine of SCANNER1): results stored")
    counts = [len(fetch(pacs, each)) for each in studies]
    assert counts == [3, 3, 3], "the pictures and two reports of each, once"


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--send", "PACS@h:1"], "say who may store here"),
        (["--allow", "A"], "say where results go"),
        (["--allow", "A", "--route", "A"], "a route is FROM=AE@HOST:PORT"),
        (["--allow", "A", "--send", "PACS@h:1", "--cert", "x.pem"], "give all three or none"),
        (["--allow", "A", "--send", "PACS@h:1", "--tls"], "--tls needs --cert, --key and --ca"),
    ],
)
def test_a_node_that_cannot_be_is_refused(arguments: list[str], words: str, tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["node", "--folder", str(tmp_path / "node"), *arguments])
    assert isinstance(ran.exception, InputError)
    assert words in str(ran.exception)
