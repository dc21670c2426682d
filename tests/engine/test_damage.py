"""What a bundle's files say when they are damaged, hostile, or not what they were."""

import io
import json
import math
import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurosono.engine.arrays import read_arrays
from neurosono.engine.bundle import Bundle, file_of, write_manifest
from neurosono.engine.choice import open_engine
from neurosono.engine.contracts.calibration import Calibration, ExamCalibration
from neurosono.engine.contracts.errors import BundleError, EngineFailedError, InputError
from neurosono.engine.contracts.frame import Frame
from neurosono.engine.contracts.labels import validate_labels
from neurosono.engine.exam.exam import Exam
from neurosono.engine.gate import Gate
from neurosono.engine.kept import NOTES_NAME, drop_altered, drop_unused, note
from neurosono.engine.kinds import find_kind
from neurosono.engine.members import load_member
from neurosono.stream.journal.words import LABEL

NAMES = ("centre", "scale")


def packed() -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, centre=np.arange(500.0), scale=np.ones((20, 20)))
    return out.getvalue()


def test_damaged_arrays_are_a_sentence_wherever_the_damage_is(tmp_path: Path) -> None:
    whole, path = packed(), tmp_path / "arrays.npz"
    rng = np.random.default_rng(5)
    refused = 0
    for _ in range(300):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), rng.integers(1, 8)):
            data[at] = rng.integers(0, 256)
        path.write_bytes(data[: rng.integers(0, len(data) + 1)] if rng.random() < 0.3 else data)
        try:
            read_arrays(path, NAMES)
        except ValueError:
            refused += 1
    assert refused > 100
    path.write_bytes(whole)
    assert [each.shape for each in read_arrays(path, NAMES)] == [(500,), (20, 20)]


def test_arrays_that_unpack_to_gigabytes_are_refused_by_what_they_declare(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("centre.npy", bytes(70_000_000))
    assert path.stat().st_size < 100_000
    with pytest.raises(ValueError, match="unpacks to"):
        read_arrays(path, NAMES)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:100],
        lambda data: b"\xff" * 8 + data[8:],
        lambda data: (2**40).to_bytes(8, "little") + data[8:],
        lambda data: data[:8] + b"[" * 200 + data[208:],
        lambda data: b"",
    ],
    ids=["cut", "endless header", "a terabyte of header", "no object", "empty"],
)
def test_damaged_weights_are_a_sentence(
    tmp_path: Path, bundle_root: Path, damage: Callable[[bytes], bytes]
) -> None:
    root = Path(shutil.copytree(bundle_root, tmp_path / "bundle"))
    bundle = Bundle.load(root)
    member = bundle.manifest.members[0]
    assert member.file is not None
    path = root / member.file.path
    path.write_bytes(damage(path.read_bytes()))
    fresh = replace(member, file=file_of(root, member.file.path))  # its hash fits: made so
    write_manifest(root, replace(bundle.manifest, members=(fresh, *bundle.manifest.members[1:])))
    with pytest.raises(BundleError, match="does not fit"):
        load_member(Bundle.load(root), fresh)


@pytest.mark.parametrize(
    "name",
    ["", " x", "x ", "kopf é", "[red]x[/red]", "\x1b[31mred", "a\nb", "a/b", "x" * 41, "-rf", None],
)
def test_a_class_by_a_name_that_not_everything_carries_is_refused(name: Any) -> None:
    with pytest.raises(InputError, match="found"):
        validate_labels(("normal", name))


@pytest.mark.parametrize("name", ["spina bifida", "chiari-2", "a", "trisomy 18.v2", "x" * 40])
def test_what_may_be_a_class_may_stand_in_the_record(name: str) -> None:
    assert validate_labels(("normal", name)) == ("normal", name)
    assert LABEL.fullmatch(name)


@pytest.mark.parametrize("field", ["name", "kind"])
def test_a_bundle_s_own_names_can_be_printed(bundle_root: Path, field: str) -> None:
    manifest = Bundle.load(bundle_root).manifest
    with pytest.raises(BundleError, match="can be printed"):
        replace(manifest, **{field: "demo\x1b]0;owned\x07"})


ABSURD = [
    {"temperature": math.nan},
    {"temperature": math.inf},
    {"conformal_threshold": math.nan},
    {"weights": [1.0, 1e308], "biases": [0.0, 0.0]},
    {"weights": [1.0, 1.0], "biases": [0.0, math.nan]},
    *({"exam": {name: value}} for name in ("intercept", "slope") for value in (math.nan, 1e308)),
    *({"exam": {"exams": value}} for value in (math.nan, math.inf, -1, 2.5, True, "3")),
    *({"exam": {"biases": [0.0, value]}} for value in (math.nan, 1e308)),
    *({"exam": {"most": value}} for value in (math.nan, math.inf, 0.5)),
    {"exam": {"pairs": math.nan}},
    {"exam": {"correlation": math.nan}},
    {"exam": {"bounds": [[0.0, 0.0, math.nan], [1.0, 1.0, 1.0]]}},
]


@pytest.mark.parametrize("absurd", ABSURD, ids=str)
def test_a_calibration_that_gives_no_number_is_refused(absurd: dict[str, Any]) -> None:
    plain = Calibration(exam=ExamCalibration(biases=(0.0, 0.0))).to_json()
    told = json.loads(json.dumps(plain | absurd))
    if "exam" in absurd:
        told["exam"] = {**plain["exam"], **absurd["exam"]}
    with pytest.raises((InputError, TypeError)):
        Calibration.from_json(told)


@pytest.mark.parametrize("probability", [0.0, 1e-30, 0.5, 1.0])
def test_the_furthest_calibration_that_is_taken_gives_numbers(probability: float) -> None:
    widest = ExamCalibration(
        intercept=100.0, slope=100.0, most=1e9, pairs=1e9, biases=(100.0, -100.0), exams=10**9
    )
    exam = Exam(("normal", "other"), Calibration(exam=widest, temperature=0.01))
    for _ in range(50):
        exam.update(np.array([[probability, 1 - probability]], np.float32))
    assert np.isfinite(exam.snapshot().probabilities).all()


def test_a_frame_of_which_calibration_makes_no_number_is_an_engine_s_failure() -> None:
    calibration = Calibration()
    object.__setattr__(calibration, "temperature", math.nan)
    exam = Exam(("normal", "other"), calibration)
    with pytest.raises(EngineFailedError, match="no probabilities"):
        exam.update(np.array([[0.5, 0.5]], np.float32))
    assert exam.snapshot().used == 0


def test_what_was_kept_of_an_engine_is_used_only_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "1.blob").write_bytes(bytes(1000))
    (tmp_path / "2.blob").write_bytes(bytes(1000))
    note(tmp_path)
    assert drop_altered(tmp_path) == []
    (tmp_path / "2.blob").write_bytes(bytes(999) + b"\1")
    (tmp_path / "3.blob").write_bytes(b"whose?")
    assert sorted(drop_altered(tmp_path)) == ["2.blob", "3.blob"]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["1.blob", NOTES_NAME]
    (tmp_path / NOTES_NAME).write_text("[" * 100_000)
    assert drop_altered(tmp_path) == ["1.blob"]
    assert drop_altered(tmp_path / "nowhere") == []


def test_what_nobody_takes_up_any_more_goes(tmp_path: Path) -> None:
    for name, used_s in (("gone/a", 50.0), ("here/b", 50.0), ("here/c", 200.0)):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "1.blob").write_bytes(b"code")
        os.utime(tmp_path / name, (used_s, used_s))
    (tmp_path / "gone" / "of-an-older-release.blob").write_bytes(b"code")
    os.utime(tmp_path / "gone" / "of-an-older-release.blob", (50.0, 50.0))
    assert len(drop_unused(tmp_path, 100.0)) == 3
    assert [each.name for each in tmp_path.rglob("*")] == ["here", "c", "1.blob"]


@pytest.mark.parametrize("name", ["demo", "structures", "patterns", "regions"])
def test_every_graph_of_a_shipped_bundle_is_kept_compiled(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    bundle = Bundle.load(name, kind=None)
    side = bundle.manifest.preprocessing.size_px
    square = np.random.default_rng(0).integers(0, 256, (side, side), np.uint8)
    frame = Frame("", 0, 0, 0.0, square, region_px=(0, 0, side, side))
    said = []
    for _ in range(2):
        gate = Gate.open(bundle)
        if gate is not None:
            said.append([each.tolist() for each in gate.infer(square)])
        else:
            said.append(find_kind(bundle).open(bundle, 1).read(frame))
        kept = {each: each.stat().st_mtime_ns for each in tmp_path.rglob("*.blob")}
        said.append(kept)
    assert said[0] == said[2]
    assert said[1] == said[3]
    assert len(said[1]) == (2 if name == "regions" else 1)


def test_an_altered_blob_of_the_shipped_engine_is_compiled_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    bundle = Bundle.load("demo")
    picture = np.random.default_rng(0).integers(
        0, 256, (1, *(bundle.manifest.preprocessing.size_px,) * 2), np.uint8
    )
    expected = open_engine(bundle, threads=1).backend.infer(picture).probabilities
    (blob,) = tmp_path.rglob("*.blob")
    data = bytearray(blob.read_bytes())
    for at in range(len(data) // 2, len(data), 4096):
        data[at] ^= 0x10
    blob.write_bytes(data)
    found = open_engine(bundle, threads=1).backend.infer(picture).probabilities
    np.testing.assert_array_equal(found, expected)
    assert blob.read_bytes() != bytes(data)
