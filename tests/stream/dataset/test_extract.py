"""Extraction: the very pixels of a replay, every frame accounted for, bad files told."""

import shutil
from collections import Counter
from pathlib import Path

import av
import cv2
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from neurosono.engine.contracts.cache import Cache
from neurosono.engine.contracts.errors import InputError, RunError
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.stream.dataset.extract import extract
from neurosono.stream.dataset.listing import find_dataset
from neurosono.stream.intake.evidence import EvidenceGate
from neurosono.stream.intake.intake import Intake
from neurosono.stream.intake.sampler import Sampler
from neurosono.stream.phantom.cohort import write_cohort
from neurosono.stream.screen.follow import Screen
from neurosono.stream.sources import open_source

SPEC = PreprocessingSpec(size_px=64, resize_px=64)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cohort") / "c"
    write_cohort(root, exams=2, seed=4, labels=("normal", "anencephaly"), seconds=1.6, fps=12.5)
    return root


@pytest.fixture
def dataset(cohort: Path, tmp_path: Path) -> Path:
    """Return a copy of the cohort that a test may spoil, without its table."""
    root = tmp_path / "dataset"
    shutil.copytree(cohort, root, ignore=shutil.ignore_patterns("cohort.csv"))
    return root


def test_the_cache_holds_the_very_pixels_of_a_replay(cohort: Path, tmp_path: Path) -> None:
    cache = extract(find_dataset(cohort), tmp_path / "cache", spec=SPEC, every=3)
    assert cache.labels == ("anencephaly", "normal"), "the contract's order, not the folder's"
    for patient in cache.label_of_patient:
        folder = next(cohort.glob(f"*/{patient}"))
        intake = Intake(
            open_source([str(folder)]),
            screen=Screen(),
            sampler=Sampler(every=3),
            gate=EvidenceGate(),
            spec=SPEC,
            stream_id="replay",
        )
        replayed = [
            (taken.display.index, taken.sampled.pixels)
            for taken in intake.frames()
            if taken.sampled is not None and taken.sampled.pixels is not None
        ]
        rows = cache.rows_of([patient])
        assert [cache.rows[row].frame for row in rows] == [index for index, _ in replayed]
        for row, (_, pixels) in zip(rows, replayed, strict=True):
            assert np.array_equal(cache.frames[row], pixels)


def test_each_row_says_where_it_comes_from(cohort: Path, tmp_path: Path) -> None:
    cache = extract(find_dataset(cohort), tmp_path / "cache", spec=SPEC, every=4)
    sites = {line.split(",")[1]: line.split(",")[-1] for line in _lines(cohort / "cohort.csv")}
    for row in cache.rows:
        assert (cohort / row.path).is_file()
        assert row.path.startswith(f"{row.label}/{row.patient}/")
        assert row.gestational_weeks is not None
        assert 11 <= row.gestational_weeks <= 38
        assert row.site == sites[row.patient] != ""
        assert row.pts_s == pytest.approx(row.frame / 12.5, abs=0.02)
    assert Cache.load(cache.root).rows == cache.rows


def test_every_frame_is_accounted_for(dataset: Path, tmp_path: Path) -> None:
    before = extract(find_dataset(dataset), tmp_path / "before", spec=SPEC, every=5).summary
    folder = next((dataset / "normal").iterdir())
    cv2.imwrite(str(folder / "menu.png"), np.zeros((480, 640), np.uint8))
    frame = _first_picture(next(folder.glob("*.mp4")))
    for name in ("still_1.png", "still_2.png"):  # a copy of a still is a near-duplicate
        cv2.imwrite(str(folder / name), frame)
    cache = extract(find_dataset(dataset), tmp_path / "cache", spec=SPEC, every=5)
    frames = cache.summary["frames"]
    assert frames["decoded"] == 2 * 20 + 3
    assert frames["sampled"] == 2 * 4 + 3, "a still is always sampled"
    skipped = Counter(frames["skipped"]) - Counter(before["frames"]["skipped"])
    assert skipped.total() == 2, "the second still, and the menu"
    assert skipped["near-duplicate"] == 1
    assert frames["used"] == len(cache.rows) == frames["sampled"] - sum(frames["skipped"].values())
    assert cache.summary["left_out"] == []


def test_all_bad_files_are_told_at_once_and_left_out_if_asked(
    dataset: Path, tmp_path: Path
) -> None:
    folder = next((dataset / "normal").iterdir())
    (folder / "empty.png").touch()
    (folder / "text.jpg").write_text("not a picture")
    (dataset / "normal" / "nobody").mkdir()
    found = find_dataset(dataset)
    names = ("empty.png (it is empty", "text.jpg (cannot use it as a still", "nobody (it holds no")
    with pytest.raises(InputError, match=r"3 of 5 files cannot be used: .*--skip-bad") as caught:
        extract(found, tmp_path / "cache", spec=SPEC, every=5)
    assert all(name in str(caught.value) for name in names)
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"]

    cache = extract(found, tmp_path / "cache", spec=SPEC, every=5, skip_bad=True)
    left_out = cache.summary["left_out"]
    assert {Path(each["path"]).name for each in left_out} == {"empty.png", "text.jpg", "nobody"}
    assert cache.summary["frames"]["decoded"] == 40


def test_a_clip_that_breaks_is_told_or_left_out_as_a_whole(dataset: Path, tmp_path: Path) -> None:
    folder = next((dataset / "normal").iterdir())
    cut = folder / "cut.mkv"
    _remux(next(folder.glob("*.mp4")), cut)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 2 // 3])
    found = find_dataset(dataset)
    with pytest.raises(RunError, match=r"1 of 3 files .*/cut.mkv \(breaks at its picture"):
        extract(found, tmp_path / "cache", spec=SPEC, every=2)
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"]

    cache = extract(found, tmp_path / "cache", spec=SPEC, every=2, skip_bad=True)
    assert {row.path.rsplit("/")[-1] for row in cache.rows} == {"clip_01.mp4"}
    assert [each["path"].rsplit("/")[-1] for each in cache.summary["left_out"]] == ["cut.mkv"]
    assert cache.summary["frames"]["decoded"] == 40


def test_a_class_that_loses_its_last_file_stops_it(dataset: Path, tmp_path: Path) -> None:
    clip = next((dataset / "normal").glob("*/*.mp4"))
    clip.write_bytes(b"")
    with pytest.raises(InputError, match="class normal has no usable file left"):
        extract(find_dataset(dataset), tmp_path / "cache", spec=SPEC, every=5, skip_bad=True)
    cv2.imwrite(str(clip.with_name("menu.png")), np.zeros((480, 640), np.uint8))
    with pytest.raises(InputError, match="class normal has no usable frame"):
        extract(find_dataset(dataset), tmp_path / "cache", spec=SPEC, every=5, skip_bad=True)
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"]


def test_nothing_is_left_when_it_is_stopped_or_refused(cohort: Path, tmp_path: Path) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    def refuse(cache: Cache) -> dict[str, object]:
        assert len(cache.rows) == cache.summary["frames"]["used"], "it sees the whole cache"
        raise InputError("refused")

    found = find_dataset(cohort)
    with pytest.raises(KeyboardInterrupt):
        extract(found, tmp_path / "cache", spec=SPEC, every=5, watch=stop)
    with pytest.raises(InputError, match="refused"):
        extract(found, tmp_path / "cache", spec=SPEC, every=5, check=refuse)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "cache.part").mkdir()  # as a kill leaves it
    (tmp_path / "cache.part" / "frames.npy").write_bytes(b"half")
    noted = extract(found, tmp_path / "cache", spec=SPEC, every=5, check=lambda _: {"seen": 1})
    assert noted.summary["seen"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()[1:]


def _first_picture(clip: Path) -> np.ndarray:
    with av.open(str(clip)) as found:
        return next(found.decode(video=0)).to_ndarray(format="bgr24")


def _remux(source: Path, target: Path) -> None:
    with av.open(str(source)) as found, av.open(str(target), "w") as made:
        stream = made.add_stream_from_template(found.streams.video[0])
        for packet in found.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                made.mux(packet)


def test_dicom_of_one_patient_under_two_names_stops_it(dataset: Path, tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 255, (2, 64, 64), dtype=np.uint8)
    for label in ("normal", "anencephaly"):
        folder = next((dataset / label).iterdir())
        _write_dicom(folder / "a.dcm", grey, patient="4711")
    with pytest.raises(InputError, match="PatientID of another patient"):
        extract(find_dataset(dataset), tmp_path / "cache", spec=SPEC, every=5)
    _write_dicom(folder / "a.dcm", grey, patient="4712")
    _write_dicom(folder / "b.dcm", grey, patient="4713")
    with pytest.raises(InputError, match="several patients"):
        extract(find_dataset(dataset), tmp_path / "cache", spec=SPEC, every=5)


def _write_dicom(path: Path, grey: NDArray[np.uint8], patient: str) -> None:
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.3.1"
    dataset.SOPInstanceUID = pydicom.uid.generate_uid()
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.PatientID, dataset.SamplesPerPixel = patient, 1
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = grey.shape
    dataset.PhotometricInterpretation, dataset.PixelRepresentation = "MONOCHROME2", 0
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelData = 7, np.ascontiguousarray(grey).tobytes()
    dataset["PixelData"].VR = "OB"
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)
