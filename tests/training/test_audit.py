"""The leak audit: copies are found however they were changed, and different patients are not."""

from collections.abc import Callable
from pathlib import Path

import av
import cv2
import imagehash
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from neurosono.engine.contracts.cache import Cache, CachedFrame, CacheWriter
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.stream.dataset.extract import extract
from neurosono.stream.dataset.listing import find_dataset
from neurosono.stream.phantom.cohort import write_cohort
from neurosono.training.audit import (
    ALLOWED_KEY,
    COPIES_KEY,
    HASH_PX,
    audit,
    find_copies,
    measure_likeness,
    perceptual_hash,
)

SPEC = PreprocessingSpec()
Picture = NDArray[np.uint8]
Change = Callable[[Picture], Picture]


def _encode(picture: Picture) -> Picture:
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 40])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), dtype=np.uint8)


def _crop(picture: Picture, left: float, top: float, right: float, bottom: float) -> Picture:
    height, width = picture.shape[:2]
    rows = slice(round(height * top), height - round(height * bottom))
    return picture[rows, round(width * left) : width - round(width * right)]


CHANGES: dict[str, Change] = {
    "re-encoded": _encode,
    "resized": lambda picture: cv2.resize(picture, None, fx=0.5, fy=0.5),
    "brighter": lambda picture: cv2.convertScaleAbs(picture, alpha=1.2, beta=10),
    "mirrored": lambda picture: cv2.flip(picture, 1),
    "cropped": lambda picture: _crop(picture, 0.04, 0.04, 0.04, 0.04),
    "cropped at a corner": lambda picture: _crop(picture, 0.05, 0.05, 0, 0),
    "all of it": lambda picture: _encode(
        cv2.resize(_crop(cv2.convertScaleAbs(picture, alpha=0.9), 0.02, 0, 0.03, 0.04), (600, 450))
    ),
}


@pytest.fixture(scope="module")
def screens(tmp_path_factory: pytest.TempPathFactory) -> list[Picture]:
    """Return a scanner's screen of each of six phantoms."""
    root = tmp_path_factory.mktemp("screens") / "c"
    write_cohort(root, exams=6, seed=11, seconds=0.2, fps=5.0)
    found = []
    for clip in sorted(root.glob("*/*/*.mp4")):
        with av.open(str(clip)) as container:
            found.append(next(container.decode(video=0)).to_ndarray(format="bgr24"))
    return found


def _prepare(root: Path, pictures: dict[str, Picture], name: str = "cache") -> Cache:
    """Write pictures as files of one patient each, by name, and take them into a cache."""
    lines = ["path,patient,label"]
    for number, (patient, picture) in enumerate(pictures.items()):
        cv2.imwrite(str(root / f"{patient}.png"), picture)
        lines.append(f"{patient}.png,{patient},{'normal' if number % 2 else 'anencephaly'}")
    (root / f"{name}.csv").write_text("\n".join(lines))
    return extract(find_dataset(root / f"{name}.csv"), root / name, spec=SPEC, every=1)


def test_changed_copies_are_found_and_patients_are_not_mixed_up(
    screens: list[Picture], tmp_path: Path
) -> None:
    names = list(CHANGES)
    pictures = {f"patient-{number}": screen for number, screen in enumerate(screens)}
    for number, name in enumerate(names):
        at = number % len(screens)
        pictures[f"copy-{at}-{number}"] = CHANGES[name](screens[at])
    cache = _prepare(tmp_path, pictures)
    pairs = [
        {Path(cache.rows[row].path).stem for row in (each.first, each.second)}
        for each in find_copies(cache)
    ]
    for pair in pairs:
        assert len({name.split("-")[1] for name in pair}) == 1, f"two patients are one: {pair}"
    for number, name in enumerate(names):
        at = number % len(screens)
        assert {f"patient-{at}", f"copy-{at}-{number}"} in pairs, f"not found: {name}"


def test_the_sentence_names_files_and_frames(screens: list[Picture], tmp_path: Path) -> None:
    cache = _prepare(tmp_path, {"a": screens[0], "b": screens[1], "c": screens[0]})
    said = r"1 pair of files shows the same .*: a.png frame 0 and c.png frame 0 \(100% alike\)"
    with pytest.raises(InputError, match=said):
        audit(cache)
    clean = _prepare(tmp_path, {"d": screens[2], "e": screens[3]}, "clean")
    audit(clean)


def test_ten_pairs_are_named_and_the_others_counted(tmp_path: Path) -> None:
    one = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    cache = _write(tmp_path, [one] * 6)
    with pytest.raises(InputError, match=r"^15 pairs of files .*; and 5 more\. Leave") as caught:
        audit(cache)
    assert str(caught.value).count("alike") == 10


def test_what_was_allowed_or_audited_passes(tmp_path: Path) -> None:
    one = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    for name, notes in (("allowed", {ALLOWED_KEY: True}), ("audited", {COPIES_KEY: []})):
        audit(_write(tmp_path / name, [one, one], notes))
    with pytest.raises(InputError):
        audit(_write(tmp_path / "denied", [one, one], {ALLOWED_KEY: False}))


def test_frames_of_one_patient_may_be_alike(tmp_path: Path) -> None:
    one = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    other = np.random.default_rng(1).integers(0, 255, (64, 64), dtype=np.uint8)
    assert find_copies(_write(tmp_path, [one, other, other], patients="abb")) == []


def test_the_hash_is_imagehash(screens: list[Picture]) -> None:
    looks = np.stack(
        [cv2.resize(cv2.cvtColor(screen, 6), (HASH_PX, HASH_PX)) for screen in screens]
    )
    for look, ours in zip(looks, perceptual_hash(looks), strict=True):
        theirs = imagehash.phash(Image.fromarray(look), hash_size=12).hash.ravel()
        assert np.count_nonzero((ours > 0) != theirs) <= 1, "of 144: float32 against float64"


def test_what_shares_nothing_is_not_alike() -> None:
    rng = np.random.default_rng(3)
    one, other = (
        cv2.GaussianBlur(rng.integers(0, 255, (112, 112), dtype=np.uint8), (0, 0), 2)
        for _ in range(2)
    )
    assert measure_likeness(one, other) < 0.5
    assert measure_likeness(one, np.zeros_like(one)) == 0.0
    assert measure_likeness(one, np.roll(one, 3, axis=1)) > 0.9


def _write(
    root: Path, pictures: list[Picture], notes: dict[str, object] | None = None, patients: str = ""
) -> Cache:
    names = patients or "abcdefghij"[: len(pictures)]
    labels = sorted({"a", names[-1]})
    spec = PreprocessingSpec(size_px=64, resize_px=64)
    with CacheWriter(root / "cache", labels, spec, 1, "") as writer:
        for name, (number, picture) in zip(names, enumerate(pictures), strict=True):
            label = "a" if name == "a" else names[-1]
            row = CachedFrame(f"{name}/{number}.png", label, name, name, 0, number, 0.0)
            writer.add(picture, row)
        return writer.finish(notes)


@pytest.mark.realdata
def test_one_real_picture_under_two_labels_is_found(real_data: Path, tmp_path: Path) -> None:
    """The set holds one picture as colphocephaly at 36 weeks and as ventriculomegaly."""
    images = sorted((real_data / "anomaly_108_plus_normal_yolo" / "images").glob("*.jpg"))
    lines = ["path,patient,label"]
    for path in images:
        case = path.name.split("_png")[0].split("_jpg")[0]
        if not case.startswith("Patient"):
            label = "ventriculomegaly" if "ventriculomegaly" in case else "other"
            lines.append(f"{path},{case},{label}")
    assert len(lines) > 100
    table = tmp_path / "t.csv"
    table.write_text("\n".join(lines))
    cache = extract(find_dataset(table), tmp_path / "cache", spec=SPEC, every=1)
    with pytest.raises(InputError, match=r"colphocephaly-36c.* frame \d+ and .*lomegaly-36b") as e:
        audit(cache)
    assert all(
        "36b" in each for each in str(e.value).split(":", 1)[1].split(". Leave")[0].split("; ")
    )


@pytest.mark.slow
@pytest.mark.realdata
def test_real_normals_are_no_copies_but_their_copies_are(real_data: Path, tmp_path: Path) -> None:
    images = sorted((real_data / "fpdb_brain_fullres" / "images").glob("*.png"))
    first = {path.name.split("_")[0]: path for path in reversed(images)}
    assert len(first) == 55
    pictures = {f"p-{name}": cv2.imread(str(path)) for name, path in first.items()}
    for number, (name, path) in enumerate(list(first.items())[:14]):
        change = list(CHANGES.values())[number % len(CHANGES)]
        pictures[f"copy-{name}"] = change(cv2.imread(str(path)))
    cache = _prepare(tmp_path, pictures)
    pairs = [
        {cache.rows[row].patient.split("-")[1] for row in (each.first, each.second)}
        for each in find_copies(cache)
    ]
    assert all(len(pair) == 1 for pair in pairs), "two patients are taken for one"
    assert len(pairs) == 14, "every copy is found"
