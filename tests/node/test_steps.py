"""What the hospital hears of a node's studies: a step each, once, with what it gave; also later."""

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000

from neurosono.stream.hospital.node import parse_node
from neurosono.stream.study.send import send_dicom
from tests.support.certificates import make_authority
from tests.support.cines import make_cine
from tests.support.commands import wait_until
from tests.support.dcmtk import storing
from tests.support.mpps import serving_ris
from tests.support.nodes import SCANNER, fetch, serving
from tests.support.orthanc import Orthanc
from tests.support.senders import free_tcp_port


@pytest.fixture
def frames(frames: Any) -> Any:
    return frames[:6]


def ordered(cine: Dataset) -> Dataset:
    """Give a cine the order that a scanner copies out of its worklist."""
    request = Dataset()
    request.RequestedProcedureID, request.ScheduledProcedureStepID = "R7", "S7"
    request.ScheduledProcedureStepDescription = "Fetal brain"
    cine.RequestAttributesSequence = [request]
    return cine


def broken(cine: Dataset) -> Dataset:
    """Make it one whose header says what it is, and whose pictures are none."""
    cine.file_meta.TransferSyntaxUID = JPEG2000
    del cine.PixelData
    cine.PixelData = b"\xfe\xff\x00\xe0\x00\x00\x00\x00\xfe\xff\x00\xe0\x08\x00\x00\x00nothing!"
    cine.NumberOfFrames = 1
    cine["PixelData"].is_undefined_length = True
    return cine


def list_named(ended: Dataset) -> set[str]:
    parts = ("ReferencedImageSequence", "ReferencedNonImageCompositeSOPInstanceSequence")
    return {
        item.ReferencedSOPInstanceUID
        for series in ended.PerformedSeriesSequence
        for part in parts
        for item in series.get(part, [])
    }


def test_a_study_is_a_step_that_names_its_order_and_what_it_gave(
    tmp_path: Path, bundle_root: Path, pacs: Orthanc, frames: Any
) -> None:
    cine, useless = ordered(make_cine(frames)), broken(make_cine(frames))
    with serving_ris(tmp_path) as ris:
        to = ["--send", pacs.node, "--mpps", ris.node]
        with serving(tmp_path / "node", bundle_root, *to) as node:
            node.store(cine)
            node.wait("step of study 1: RIS was told that it is completed")
            node.wait("study 1 (1 cine of SCANNER1): results stored")
            node.store(useless)
            node.wait("study 2 (1 cine of SCANNER1): failed")
            node.wait("step of study 2: RIS was told that it is failed")
            wait_until(lambda: len(list((tmp_path / "node").rglob("*.dcm"))) == 1)
        told = ris.messages()
    assert [kind for kind, _, _ in told] == ["N-CREATE", "N-SET"] * 2
    (_, uid, began), (_, same, ended), _, (_, _, failed) = told
    assert uid == same
    assert (str(began.PatientName), began.PatientID, began.StudyID) == (
        "Größe^Änne",
        "P-4711",
        "9",
    )
    (scheduled,) = began.ScheduledStepAttributesSequence
    assert (scheduled.StudyInstanceUID, scheduled.AccessionNumber) == (
        cine.StudyInstanceUID,
        "A-77",
    )
    assert (scheduled.RequestedProcedureID, scheduled.ScheduledProcedureStepID) == ("R7", "S7")
    assert scheduled.ScheduledProcedureStepDescription == "Fetal brain"
    assert ended.PerformedProcedureStepStatus == "COMPLETED"
    made = fetch(pacs, cine.StudyInstanceUID)
    assert list_named(ended) == {each.SOPInstanceUID for each in made} != set()
    assert failed.PerformedProcedureStepStatus == "DISCONTINUED"
    for path in (tmp_path / "node").glob("*.sqlite*"):
        data = path.read_bytes()
        assert not any(word.encode() in data for word in ("Größe", "P-4711", "A-77", "R7"))


def test_a_hospital_that_is_away_hears_it_later_once_and_over_a_kill(
    tmp_path: Path, bundle_root: Path, pacs: Orthanc, frames: Any
) -> None:
    cine, port = make_cine(frames), free_tcp_port()
    to = ["--stow", pacs.web, "--mpps", f"RIS@127.0.0.1:{port}"]
    with serving(tmp_path / "node", bundle_root, *to) as node:
        node.store(cine)
        node.wait("step of study 1: RIS is not told yet")
        node.wait("results stored")
        kept = {path.parent.parent.name for path in (tmp_path / "node").rglob("*.dcm")}
        assert "results" in kept, "what its end has to name"
        doomed = psutil.Process(node.process.pid)
        for each in (*doomed.children(), doomed):
            os.kill(each.pid, signal.SIGKILL)
    with (
        serving_ris(tmp_path, port) as ris,
        serving(tmp_path / "node", bundle_root, *to) as again,
    ):
        again.wait("step of study 1: RIS was told that it is completed")
        wait_until(lambda: not list((tmp_path / "node").rglob("*.dcm")))
        assert ris.statuses() == ["IN PROGRESS", "COMPLETED"]
        _, (_, _, ended) = ris.messages()
    made = fetch(pacs, cine.StudyInstanceUID)
    assert list_named(ended) == {each.SOPInstanceUID for each in made}
    assert len(made) == 3, "stored once"


def test_with_tls_cines_come_and_results_go_by_certificate_only(
    tmp_path: Path, bundle_root: Path, frames: Any
) -> None:
    clinic = make_authority(tmp_path / "clinic")
    ours, scanner = clinic.issue("node"), clinic.issue("scanner")
    kept, files = tmp_path / "kept", ["--cert", ours.certfile, "--key", ours.keyfile]
    with storing(kept, clinic.issue("pacs")) as pacs:
        to = [*files, "--ca", ours.cafile, "--tls", "--send", pacs.words]
        with serving(tmp_path / "node", bundle_root, *to) as node:
            there = parse_node(node.node, SCANNER, scanner)
            send_dicom([make_cine(frames)], there)
            node.wait("study 1 (1 cine of SCANNER1): results stored")
            assert len(list(kept.iterdir())) == 3
    stranger = make_authority(tmp_path / "stranger").issue("pacs", trusting=clinic)
    with storing(tmp_path / "other", stranger) as other:
        to = [*files, "--ca", ours.cafile, "--tls", "--send", other.words]
        with serving(tmp_path / "again", bundle_root, *to) as node:
            send_dicom([make_cine(frames)], parse_node(node.node, SCANNER, scanner))
            node.wait("shows a certificate that is vouched for by nobody that we know")
        assert not list((tmp_path / "other").iterdir())
