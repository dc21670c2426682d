"""What is given and not used is named on the terminal, counted in `exam.json`, never lost."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, UltrasoundMultiFrameImageStorage, generate_uid

from tests.support.clips import make_screen, write_clip
from tests.support.commands import read_record, run


@pytest.fixture
def exam(tmp_path: Path) -> Path:
    folder = tmp_path / "exam"
    folder.mkdir()
    write_clip(folder / "a.mp4", pictures=6)
    (folder / "Doe Jane.txt").write_text("words")
    write_clip(folder / ".kept.mp4", pictures=2)
    return folder


def test_files_that_are_not_used_are_told(exam: Path, bundle_root: Path, tmp_path: Path) -> None:
    words = ("replay", exam, "--bundle", bundle_root, "--no-video")
    done = run(*words, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stderr.split())
    assert "not used: 'Doe Jane.txt': no kind of picture" in said
    assert "not used: '.kept.mp4': hidden" in said
    record = read_record(tmp_path / "out")
    assert record["left_out"] == {"hidden": 1, "no kind of picture": 1}
    assert record["complete"] is True
    assert "Doe" not in (tmp_path / "out" / "exam.json").read_text()

    done = run(*words, "--strict", "--out", tmp_path / "strict")
    assert done.returncode == 2
    assert "Doe Jane.txt" in done.stderr
    assert not (tmp_path / "strict").exists()


def write_dicom(path: Path, patient: str, study: str) -> None:
    frames = np.stack([make_screen(index)[..., 0] for index in range(4)])
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = UltrasoundMultiFrameImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.SOPClassUID = UltrasoundMultiFrameImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID
    dataset.PatientID, dataset.StudyInstanceUID = patient, study
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = frames.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.PixelData = frames.tobytes()
    dataset["PixelData"].VR = "OB"
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)


def test_two_patients_are_no_exam(bundle_root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "exam"
    folder.mkdir()
    for name, patient in (("1.dcm", "P-4711"), ("2.dcm", "P-4712")):
        write_dicom(folder / name, patient, "1.2.3")
    words = ("replay", folder, "--bundle", bundle_root, "--no-video", "--out", tmp_path / "out")
    done = run(*words)
    assert done.returncode == 2
    assert "2 patients" in done.stderr
    assert "P-47" not in done.stderr
    assert not (tmp_path / "out").exists()
    done = run(*words, "--mixed")
    assert done.returncode == 0, done.stderr
    assert read_record(tmp_path / "out")["frames"]["decoded"] == 8
