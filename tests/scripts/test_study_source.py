"""`neurosono study SOURCE`: judged now, and its objects refer to the very frames of its cines."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
import pytest
from click.testing import Result
from pydicom.dataset import Dataset
from typer.testing import CliRunner

from neurosono.engine.contracts.errors import InputError, OutputError, RunError
from neurosono.scripts.commands import make_app
from neurosono.scripts.study import is_source
from neurosono.stream.study.identity import Identity, read_identity
from neurosono.studies import Examined
from tests.support.cines import draw_frames, make_cine, write_cine


def study(*words: object) -> Result:
    return CliRunner().invoke(make_app("study"), ["study", *map(str, words)])


def read_all(out: Path) -> list[Dataset]:
    return [pydicom.dcmread(path) for path in sorted(out.iterdir())]


def shows(whole: Any, shown: Any) -> bool:
    """Whether a kept frame, which is black around the ultrasound, is of that very picture."""
    x, y, w, h = cv2.boundingRect(shown)
    part = shown[y : y + h, x : x + w]
    _, _, (left, top), _ = cv2.minMaxLoc(cv2.matchTemplate(whole, part, cv2.TM_SQDIFF))
    there = whole[top : top + h, left : left + w]
    return bool((there[part > 0] == part[part > 0]).all())


@pytest.fixture(scope="module")
def cines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two cines of one study."""
    folder = tmp_path_factory.mktemp("cines")
    first = make_cine(draw_frames(25))
    second = make_cine(draw_frames(25, seed=8), study=first.StudyInstanceUID, number=2)
    for number, cine in enumerate((first, second), 1):
        write_cine(folder / f"{number}.dcm", cine)
    return folder


@pytest.fixture(scope="module")
def made(cines: Path, bundle_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The objects of those cines, under their own study, every second frame judged."""
    out = tmp_path_factory.mktemp("made") / "study"
    ran = study(
        *(cines, "--out", out, "--bundle", bundle_root, "--every", 2), "--identity-of", "source"
    )
    assert ran.exception is None, ran.output
    assert "refers to 2 DICOM files" in ran.stderr
    return out


def test_each_kept_frame_is_the_frame_that_is_referred_to(made: Path, cines: Path) -> None:
    pictures, exam, regions = read_all(made)
    sources = {str(each.SOPInstanceUID): each for each in read_all(cines)}
    referred = {
        str(each.ReferencedSOPInstanceUID): np.atleast_1d(each.get("ReferencedFrameNumber") or [])
        for each in pictures.SourceImageSequence
    }
    assert referred.keys() == sources.keys()
    labels = pictures.FrameLabelVector
    kept = [n for n, label in enumerate(labels) if label != "exam" and "heatmap" not in label]
    found = set()
    for number in kept:
        shown = pictures.pixel_array[number][..., 0]
        for uid, source in sources.items():
            for index, whole in enumerate(source.pixel_array):
                if shows(whole, shown):
                    found.add((uid, index + 1))
    assert found == {(uid, each) for uid, numbers in referred.items() for each in numbers}
    assert len(found) == len(kept)
    assert "AI off from" not in exam.to_json(), "it was there from the first picture on"
    text = regions.to_json()
    assert any(uid in text for uid in sources)
    assert all(uid in exam.to_json() for uid in sources)
    assert {str(each.PatientName) for each in (pictures, exam, regions)} == {"Größe^Änne"}
    assert {each.StudyInstanceUID for each in (pictures, exam, regions)} == {
        each.StudyInstanceUID for each in sources.values()
    }


@pytest.mark.parametrize("command", [["dciodvfy", "-new"], ["dsrdump"]])
def test_validators_find_no_error(made: Path, command: list[str]) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]} here: .ci/run installs dicom3tools and dcmtk")
    for path in made.iterdir():
        if command[0] == "dsrdump" and "SR" not in path.name:
            continue
        ran = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)
        said = (ran.stdout + ran.stderr).splitlines()
        assert [line for line in said if line.startswith(("Error", "E:", "F:"))] == []


def test_nothing_of_the_source_is_named_unless_asked_and_its_exam_can_be_kept(
    cines: Path, bundle_root: Path, tmp_path: Path
) -> None:
    out, journal = tmp_path / "study", tmp_path / "journal.sqlite"
    where = ("--bundle", bundle_root, "--journal", journal, "--out")
    ran = study(cines / "1.dcm", *where, out)
    assert ran.exception is None, ran.output
    assert "of nobody" in ran.stderr
    source = pydicom.dcmread(cines / "1.dcm", stop_before_pixels=True)
    secrets = [source.SOPInstanceUID, source.StudyInstanceUID, "P-4711", "Größe", "A-77"]
    written = b"".join(path.read_bytes() for path in out.iterdir()) + journal.read_bytes()
    assert not [each for each in secrets if each.encode() in written]
    again = tmp_path / "again"
    assert study("last", *where, again).exception is None
    uids = [{each.SOPInstanceUID for each in read_all(folder)} for folder in (out, again)]
    assert uids[0] == uids[1], "the same record, the same objects"


def test_a_cine_that_breaks_off_is_told_and_what_came_before_is_there(
    cines: Path, bundle_root: Path, tmp_path: Path
) -> None:
    cine = pydicom.dcmread(cines / "1.dcm")
    cine.PixelData = cine.PixelData[: 20 * cine.Rows * cine.Columns]
    broken = write_cine(tmp_path / "broken.dcm", cine)
    out = tmp_path / "study"
    ran = study(broken, "--out", out, "--bundle", bundle_root, "--identity-of", "source")
    assert isinstance(ran.exception, RunError)
    assert "breaks at its picture 21" in str(ran.exception)
    assert {each.CompletionFlag for each in read_all(out)[1:]} == {"PARTIAL"}


def test_references_lead_to_frames_of_the_named_study_and_to_no_others(tmp_path: Path) -> None:
    files, uids = {}, []
    for number, study_uid in enumerate(("1.2.3", "1.2.3", "1.2.4")):
        cine = make_cine(np.zeros((3, 4, 4), np.uint8), study=study_uid)
        cine.PatientOrientation = ["A", "F"]
        files[number] = write_cine(tmp_path / f"{number}.dcm", cine)
        uids.append(str(cine.SOPInstanceUID))
    seen = {"a": (0, 2), "b": (1, 0), "beyond what it declares": (1, 3), "other": (2, 0)}
    examined = Examined("20260101-000000-000000", 3, files, seen, None)
    assert not examined.refer(Identity()).cines
    found = examined.refer(read_identity(files[0]))
    assert [each.SOPInstanceUID for each in found.cines] == uids[:2]
    told = {name: (each.sop_instance, each.frame) for name, each in found.seen.items()}
    assert told == {"a": (uids[0], 3), "b": (uids[1], 1)}
    assert not any("PatientOrientation" in each for each in found.cines), "of the others unknown"


@pytest.mark.parametrize(
    ("words", "kind", "said"),
    [
        (["20260101", "--also", "structures"], InputError, "--also is for a SOURCE"),
        (["SOURCE", "--out", "SOURCE/x"], InputError, "lies among the sources"),
        (["SOURCE", "--out", "FULL"], OutputError, "not empty"),
        (["SOURCE", "--out", "NEW", "--identity-of", "worklist"], InputError, "took no entry"),
        (
            ["phantom:normal?seed=1", "--out", "NEW", "--identity-of", "source"],
            InputError,
            "holds no DICOM",
        ),
        (["./absent.dcm", "--out", "NEW"], InputError, "there is no"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_judged(
    words: list[str], kind: type[Exception], said: str, cines: Path, tmp_path: Path
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    (tmp_path / "j").touch()
    places: dict[str, Any] = {"SOURCE": cines, "FULL": tmp_path / "full", "NEW": tmp_path / "new"}
    for name, place in places.items():
        words = [word.replace(name, str(place)) for word in words]
    more = [] if "--out" in words else ["--out", tmp_path / "new", "--journal", tmp_path / "j"]
    ran = study(*words, *more)
    assert isinstance(ran.exception, kind), ran.output
    assert said in str(ran.exception)
    assert not (tmp_path / "new").exists()


def test_words_name_an_exam_or_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("last", "20260101", "cines"):
        Path(name).mkdir()
    exams = [["last"], ["waiting"], ["20260101"], ["20260101-1200"], ["absent"]]
    sources = [["./last"], ["cines"], ["a.dcm"], ["phantom:normal"], ["a", "b"], ["dicomweb://h/x"]]
    assert not any(map(is_source, exams))
    assert all(map(is_source, sources))
