"""Objects for research: nothing in them leads back to exam, day or patient."""

import shutil
import subprocess
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from typer.testing import CliRunner

from neurosono.engine.contracts.errors import InputError
from neurosono.scripts.commands import make_app
from neurosono.stream.report.gather import Report
from neurosono.stream.study.deidentified import NO_DAY, make_deidentified
from neurosono.stream.study.identity import Identity
from neurosono.stream.study.send import encode, write_files
from neurosono.stream.study.study import make_study


def list_uids(objects: list[Dataset]) -> set[str]:
    found: set[str] = set()

    def hear(_: Dataset, element: object) -> None:
        if getattr(element, "VR", "") == "UI":
            found.add(str(element.value))  # type: ignore[attr-defined]

    for each in objects:
        each.walk(hear)
    return {uid for uid in found if uid.startswith("2.25.")}


def test_nothing_leads_back(report: Report) -> None:
    objects = make_deidentified(report)
    named = list_uids(make_study(report, Identity()))
    again = list_uids(make_deidentified(report))
    own = list_uids(objects)
    shared = named & own & again  # this release, as a device
    assert len(shared) == 1
    day, exam_id = report.exam.exam_id[:8], report.exam.exam_id
    for each in objects:
        assert each.PatientIdentityRemoved == "YES"
        assert each.StudyDate == each.ContentDate == NO_DAY
        assert not each.PatientName
        assert not each.PatientID
        data = encode(each)
        assert exam_id.encode() not in data
        assert day.encode() not in data
    assert objects[0].pixel_array.shape == make_study(report, Identity())[0].pixel_array.shape


def test_validators_find_no_error(report: Report, tmp_path: Path) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("no dciodvfy here: .ci/run installs dicom3tools")
    for path in write_files(make_deidentified(report), tmp_path / "study"):
        ran = subprocess.run(
            ["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False
        )
        said = (ran.stdout + ran.stderr).splitlines()
        assert [line for line in said if line.startswith("Error")] == []


def test_the_command_gives_no_identity_and_sends_nothing(exam_id: str, tmp_path: Path) -> None:
    common = ["study", exam_id, "--journal", str(tmp_path / "journal.sqlite"), "--deidentified"]
    out = tmp_path / "study"
    ran = CliRunner().invoke(make_app(), [*common, "--out", str(out)])
    assert ran.exception is None
    assert exam_id.encode() not in b"".join(path.read_bytes() for path in out.iterdir())
    for more in (["--send", "PACS@h:1"], ["--identity-of", "worklist"], ["--pdf"]):
        ran = CliRunner().invoke(make_app(), [*common, "--out", str(tmp_path / "other"), *more])
        assert isinstance(ran.exception, InputError)
