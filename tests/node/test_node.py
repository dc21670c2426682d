"""The node by the real command: cines in, results in the PACS, once, also over `kill -9`."""

import contextlib
import os
import re
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from neurosono.engine.contracts.errors import InputError
from neurosono.node.examine import list_cines
from neurosono.scripts.commands import make_app
from tests.support.cines import DAY, WORD, make_cine, tell_everything, write_cine
from tests.support.commands import wait_until
from tests.support.nodes import fetch, serving
from tests.support.orthanc import Orthanc
from tests.support.signatures import sign_copy, trust_one


def test_a_study_is_judged_and_its_results_refer_to_its_cines(
    tmp_path: Path, bundle_root: Path, pacs: Orthanc, frames: Any
) -> None:
    first = tell_everything(make_cine(frames, number=1))
    assert first.to_json().count(WORD) > 1000
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
        assert WORD not in told
        assert DAY not in told
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
    assert not re.search(f"Größe|P-4711|A-77|{WORD}", said)
    for path in (tmp_path / "node").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert "Größe".encode("latin-1") not in data
            assert not any(secret.encode() in data for secret in (WORD, DAY, "P-4711", "A-77"))


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


def test_cines_come_in_the_order_of_their_numbers_whatever_these_say(tmp_path: Path) -> None:
    for name, number in (("a", 20), ("b", 3), ("c", 77777)):
        cine = make_cine(np.zeros((1, 4, 4), np.uint8), number=number)
        path = write_cine(tmp_path / f"{name}.dcm", cine)
        path.write_bytes(path.read_bytes().replace(b"77777 ", b"no 1.5"))
    assert [path.stem for path in list_cines(tmp_path)] == ["c", "b", "a"]


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
        (["--allow", "A", "--send", "PACS@h:1", "--stow", "http://h/x"], "not to both"),
        (["--allow", "A", "--stow", "h/x"], "a DICOMweb server is named"),
        (["--allow", "A", "--send", "PACS@h:1", "--charset", "Klingon"], "no character set"),
    ],
)
def test_a_node_that_cannot_be_is_refused(arguments: list[str], words: str, tmp_path: Path) -> None:
    ran = CliRunner().invoke(make_app(), ["node", "--folder", str(tmp_path / "node"), *arguments])
    assert isinstance(ran.exception, InputError)
    assert words in str(ran.exception)
