"""Real ultrasound, whole: every clip and DICOM file replays to its end and adds up."""

import os
from pathlib import Path

import av
import pydicom
import pytest

from neurosono.stream.replay.options import ReplayOptions
from neurosono.stream.replay.run import replay
from tests.support.commands import assert_adds_up

DATA = Path(os.environ.get("NEUROSONO_DATA", Path(__file__).parents[3] / "shared" / "data"))
FOLDERS = ("pocus_lung_videos", "itkpocus_phantom", "fetal_heart_result_videos", "dicom_us")
ENDINGS = (".mp4", ".mov", ".mpeg", ".dcm")
FILES = sorted(
    path for folder in FOLDERS for path in (DATA / folder).rglob("*") if path.suffix in ENDINGS
)

pytestmark = pytest.mark.realdata


def count_pictures(path: Path) -> int:
    """Count a source's pictures without any code of ours."""
    if path.suffix == ".dcm":
        return int(pydicom.dcmread(path, stop_before_pixels=True).get("NumberOfFrames", 1))
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_replays_to_the_end(path: Path, real_data: Path, bundle_root: Path, tmp_path: Path) -> None:
    assert real_data.is_dir()
    replay(ReplayOptions((str(path),), tmp_path, bundle=str(bundle_root), every=3))
    record = assert_adds_up(tmp_path)
    assert record["complete"] is True
    assert record["frames"]["decoded"] == record["frames"]["displayed"] == count_pictures(path)


def test_all_kinds_are_there(real_data: Path) -> None:
    assert real_data.is_dir()
    assert len(FILES) >= 38


def test_the_stills_of_one_patient_are_one_exam(
    real_data: Path, bundle_root: Path, tmp_path: Path
) -> None:
    stills = sorted((real_data / "fpdb_brain_fullres" / "images").glob("Patient01679_*.png"))
    assert len(stills) >= 2
    out = tmp_path / "out"
    sources = tuple(str(path) for path in stills)
    replay(ReplayOptions(sources, out, bundle=str(bundle_root), every=80))
    record = assert_adds_up(out)
    assert record["frames"]["decoded"] == record["frames"]["sampled"] == len(stills)
    assert record["frames"]["used"] >= len(stills) - 1
