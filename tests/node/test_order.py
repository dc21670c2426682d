"""The order of a study whose cines name none: found where one entry fits, and in no other case."""

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from neurosono.node.order import KEPT, read_order, settle_order
from neurosono.stream.hospital.node import parse_node
from neurosono.stream.hospital.query import UTF_8, answer_question
from tests.support.cines import make_cine, write_cine
from tests.support.commands import wait_until
from tests.support.mpps import serving_ris
from tests.support.nodes import fetch, serving
from tests.support.orthanc import Orthanc
from tests.support.senders import HOST
from tests.support.worklists import make_entry, serving_worklist, write_entries

DAY = "20261127"
ONE_ID = "PATIENT-ONE"
ONE = "its order is that of the one entry of WORKLIST"
NONE = "goes without an order: "
OTHER = "is of another name or day of birth than its cines"


def order_for(number: int, patient: str, name: str = "GRÖSSE^Änne^^Dr.", **more: Any) -> Dataset:
    """Return the entry of an order; what else it says is set over it."""
    entry = make_entry(name, f"A-{number}", day=more.pop("day", DAY), step=f"S{number}")
    entry.PatientID = patient
    for keyword, value in more.items():
        setattr(entry, keyword, value)
    return entry


def unordered(frames: Any, patient: str, **more: Any) -> Dataset:
    """Return a cine of a scanner that took no entry."""
    cine = make_cine(frames)
    cine.PatientID, cine.AccessionNumber = patient, ""
    for keyword, value in more.items():
        setattr(cine, keyword, value)
    return cine


STUDY = str(generate_uid())
ENTRIES = [
    order_for(10001, ONE_ID),
    order_for(2, "TWO"),
    order_for(3, "TWO"),
    order_for(4, "KNOWN", StudyInstanceUID=STUDY),
    order_for(5, "KNOWN"),
    order_for(6, "NAMED", "Klein^Änne"),
    order_for(7, "BORN", PatientBirthDate="19900103"),
    order_for(8, "LATER", day="20261128"),
    order_for(9, "ISSUED", IssuerOfPatientID="Elsewhere"),
    order_for(10, "ISSUED", IssuerOfPatientID="Here"),
]


@pytest.fixture(scope="module")
def worklist(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving_worklist(write_entries(tmp_path_factory.mktemp("wl"), ENTRIES)) as node:
        yield node


def settle(folder: Path, node: str, *cines: Dataset) -> str:
    for number, cine in enumerate(cines):
        write_cine(folder / f"{number}.dcm", cine)
    return settle_order(folder, parse_node(node), UTF_8, answer_question)


@pytest.mark.parametrize(
    ("patient", "more", "words", "accession"),
    [
        (ONE_ID, {}, ONE, "A-10001"),
        (ONE_ID, {"PatientName": "", "PatientBirthDate": ""}, ONE, "A-10001"),
        ("TWO", {}, "has 2 entries for its patient and day", None),
        ("KNOWN", {"StudyInstanceUID": STUDY}, ONE, "A-4"),
        ("KNOWN", {}, "has 2 entries for its patient and day", None),
        ("NAMED", {}, OTHER, None),
        ("BORN", {}, OTHER, None),
        ("LATER", {}, "has no entry for its patient and day", None),
        ("NOBODY", {}, "has no entry for its patient and day", None),
        ("ISSUED", {"IssuerOfPatientID": "Here"}, ONE, "A-10"),
        ("*", {}, "has no entry for its patient and day", None),
        ("", {}, "its cines do not all name one patient by a number", None),
        (ONE_ID, {"StudyDate": ""}, "its cines do not all name one day", None),
    ],
)
def test_one_entry_that_fits_is_taken_and_no_other(
    worklist: str,
    tmp_path: Path,
    frames: Any,
    patient: str,
    more: dict[str, str],
    words: str,
    accession: str | None,
) -> None:
    said = settle(tmp_path, worklist, unordered(frames[:1], patient, **more))
    assert words in said
    assert said.startswith(ONE if accession else NONE)
    assert not any(each in said for each in ("Größe", "GRÖSSE", "Klein", patient or "-", "A-"))
    order = read_order(tmp_path)
    assert (order and order.accession) == accession
    assert (tmp_path / KEPT).stat().st_mode & 0o777 == 0o600
    assert settle_order(tmp_path, parse_node("GONE@127.0.0.1:1"), UTF_8) == "", "asked once"
    assert read_order(tmp_path) == order


def test_cines_of_two_patients_or_of_an_order_of_their_own_ask_nobody(
    tmp_path: Path, frames: Any
) -> None:
    one = unordered(frames[:1], ONE_ID)
    request = Dataset()
    request.RequestedProcedureID = "R7"
    requested = unordered(frames[:1], ONE_ID, RequestAttributesSequence=[request])
    with socket.create_server((HOST, 0)) as listener:
        node = f"WORKLIST@{HOST}:{listener.getsockname()[1]}"
        assert settle(tmp_path, node, one, unordered(frames[:1], "TWO")).startswith(NONE)
        for own in (make_cine(frames[:1]), requested):
            assert settle(tmp_path, node, one, own) == ""
            assert not (tmp_path / KEPT).exists()
        odd = unordered(frames[:1], ONE_ID)
        odd.add_new("RequestAttributesSequence", "LO", "KNOWN-WORD")
        (tmp_path / "odd").mkdir()
        said = settle(tmp_path / "odd", node, odd)
        assert said == f"{NONE}it could not be asked for (AttributeError)"
        assert read_order(tmp_path / "odd") is None
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_results_name_the_order_that_was_found_and_go_out_also_where_none_is(
    tmp_path: Path, bundle_root: Path, pacs: Orthanc, frames: Any
) -> None:
    one, own = unordered(frames[:6], ONE_ID), make_cine(frames[:6])
    one.StudyID = ""
    with serving_ris(tmp_path) as ris, contextlib.ExitStack() as until:
        worklist = until.enter_context(serving_worklist(write_entries(tmp_path / "wl", ENTRIES)))
        to = ["--send", pacs.node, "--mpps", ris.node, "--worklist", worklist]
        with serving(tmp_path / "node", bundle_root, *to) as node:
            node.store(one, own)
            node.wait("study 1 (1 cine of SCANNER1): results stored")
            node.wait("study 2 (1 cine of SCANNER1): results stored")
            until.close()
            later = unordered(frames[:6], ONE_ID)
            node.store(later)
            node.wait("study 3 (1 cine of SCANNER1): results stored")
            wait_until(lambda: not list((tmp_path / "node").rglob("*.dcm")))
        began = [told for kind, _, told in ris.messages() if kind == "N-CREATE"]
    said = "".join(node.said)
    assert f"study 1: {ONE}" in said
    assert not any(line.startswith("study 2: ") for line in node.said), "nobody was asked"
    assert "study 3: goes without an order: WORKLIST" in said
    scheduled = [each.ScheduledStepAttributesSequence[0] for each in began]
    numbers = [(each.AccessionNumber or "", each.RequestedProcedureID or "") for each in scheduled]
    assert numbers == [("A-10001", "R10001"), ("A-77", ""), ("", "")]
    assert scheduled[0].ScheduledProcedureStepID == "S10001"
    pictures, *reports = made = fetch(pacs, one.StudyInstanceUID)
    assert [each.Modality for each in made] == ["OT", "SR", "SR"]
    assert [(each.AccessionNumber, each.StudyID or "") for each in made] == [("A-10001", "")] * 3
    (asked,) = pictures.RequestAttributesSequence
    assert (asked.RequestedProcedureID, asked.ScheduledProcedureStepID) == ("R10001", "S10001")
    for each in reports:
        (fulfilled,) = each.ReferencedRequestSequence
        assert (fulfilled.AccessionNumber, fulfilled.RequestedProcedureID) == ("A-10001", "R10001")
        assert fulfilled.StudyInstanceUID == ENTRIES[0].StudyInstanceUID
    for study, accession in ((own.StudyInstanceUID, "A-77"), (later.StudyInstanceUID, "")):
        found = fetch(pacs, study)
        assert [each.AccessionNumber or "" for each in found] == [accession] * 3
        assert not any("RequestAttributesSequence" in each for each in found)
        assert not any("ReferencedRequestSequence" in each for each in found)
    words = ("Größe", "GRÖSSE", "A-10001", "R10001", ONE_ID, ENTRIES[0].StudyInstanceUID)
    assert not any(each in said for each in words)
    for path in (tmp_path / "node").rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        assert not any(each.encode() in data for each in words), path.name
    if shutil.which("dciodvfy") is not None:
        for number, each in enumerate(made):
            each.save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)
            command = ["dciodvfy", "-new", str(tmp_path / f"{number}.dcm")]
            ran = subprocess.run(command, capture_output=True, text=True, check=False)
            assert not [line for line in ran.stderr.splitlines() if line.startswith("Error")]
