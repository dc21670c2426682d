from pathlib import Path

import numpy as np
import pytest

from engine.contracts.errors import InputError, RunError
from engine.contracts.preprocessing import PreprocessingSpec
from stream.evidence import EvidenceGate
from stream.extract import extract, find_dataset
from stream.intake import Intake
from stream.phantom.cohort import write_cohort
from stream.sampler import Sampler
from stream.screen import Screen
from stream.sources import open_source

SPEC = PreprocessingSpec(size_px=64, resize_px=64)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cohort") / "c"
    write_cohort(root, exams=2, seed=4, labels=("normal", "anencephaly"), seconds=1.6, fps=12.5)
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
    for row in cache.rows:
        assert (cohort / row.path).is_file()
        assert row.path.startswith(f"{row.label}/{row.patient}/")
        assert row.gestational_weeks is not None
        assert 11 <= row.gestational_weeks <= 38
        assert row.pts_s == pytest.approx(row.frame / 12.5, abs=0.02)


def test_a_patient_under_two_labels_names_both_files(tmp_path: Path) -> None:
    for label in ("a", "b"):
        _still(tmp_path / label / "same" / "x.png")
        _still(tmp_path / label / f"own-{label}" / "x.png")
    with pytest.raises(InputError, match=r"a \(a/same/x.png\) and b \(b/same/x.png\)"):
        find_dataset(tmp_path)


def test_an_empty_class_and_no_dataset_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no dataset at"):
        find_dataset(tmp_path / "nowhere")
    _still(tmp_path / "a" / "p" / "x.png")
    with pytest.raises(InputError, match="two or more label folders"):
        find_dataset(tmp_path)
    (tmp_path / "b").mkdir()
    with pytest.raises(InputError, match=r"class b .* holds no patient folder"):
        find_dataset(tmp_path)


def test_a_clip_that_breaks_leaves_no_cache(cohort: Path, tmp_path: Path) -> None:
    for label in ("normal", "anencephaly"):
        source = next((cohort / label).glob("*/*.mp4"))
        target = tmp_path / "d" / label / f"p-{label}" / "x.mkv"
        target.parent.mkdir(parents=True)
        _remux(source, target)
    cut = tmp_path / "d" / "normal" / "p-normal" / "x.mkv"
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 2 // 3])
    with pytest.raises(RunError, match="breaks at frame"):
        extract(find_dataset(tmp_path / "d"), tmp_path / "cache", spec=SPEC, every=2)
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def _still(path: Path) -> None:
    import cv2

    path.parent.mkdir(parents=True)
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8))


def _remux(source: Path, target: Path) -> None:
    import av

    with av.open(str(source)) as found, av.open(str(target), "w") as made:
        stream = made.add_stream_from_template(found.streams.video[0])
        for packet in found.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                made.mux(packet)
