"""Engines that a bundle gets, or does not get."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from neurosono.engine.build import CheckFrames, build_engine, copy_bundle
from neurosono.engine.bundle import Bundle
from neurosono.engine.choice import open_engine
from neurosono.engine.contracts.errors import EngineUnavailableError, InputError

FRAMES = np.random.default_rng(3).integers(0, 256, (6, 64, 64), dtype=np.uint8)
CHECK = CheckFrames(FRAMES, np.array([0, 0, 0, 1, 1, 1]))


@pytest.fixture
def bundle(bundle_root: Path, tmp_path: Path) -> Bundle:
    shutil.copytree(bundle_root, tmp_path / "bundle")
    return Bundle.load(tmp_path / "bundle")


def test_an_openvino_engine_is_compared_and_entered(bundle: Bundle) -> None:
    entry = build_engine(bundle, "openvino", "f16", 1, CHECK)
    assert (entry.precision, entry.members) == ("fp16", 1)
    assert entry.parity["exams"] == 2
    loaded = Bundle.load(bundle.root)
    assert open_engine(loaded, "openvino", "fp16", 1).backend.members == 1
    assert len(loaded.manifest.engines) == 2
    build_engine(loaded, "openvino", "fp16", 1, CHECK)
    assert len(Bundle.load(bundle.root).manifest.engines) == 2, "one of a kind"


def test_a_rtx_engine_keeps_its_check_frames_and_says_what_was_compared(bundle: Bundle) -> None:
    pytest.importorskip("tensorrt_rtx")
    entry = build_engine(bundle, "tensorrt-rtx", "fp16", None, CHECK)
    names = {file.path.rsplit("/", 1)[1] for file in entry.files}
    assert names == {"ampere.engine", "turing.engine", "probe.npz"}
    assert "checked where it first runs" in entry.target["parity_of"]
    found = Bundle.load(bundle.root).manifest.engines[-1]
    assert found == entry, "its hashes are in the manifest"
    assert not [path for path in bundle.root.iterdir() if path.name.startswith(".build")]


def test_an_altered_engine_is_not_loaded(bundle: Bundle) -> None:
    pytest.importorskip("tensorrt_rtx")
    build_engine(bundle, "tensorrt-rtx", "fp16", 1, CHECK)
    engine = next(bundle.root.glob("engines/*/ampere.engine"))
    engine.write_bytes(engine.read_bytes()[:-1])
    with pytest.raises(InputError, match="is not what its manifest says"):
        Bundle.load(bundle.root)


@pytest.mark.parametrize(
    ("engine", "precision", "words"),
    [
        ("torch", "f32", "as they are"),
        ("openvino", "int4", "an OpenVINO engine is built in one of"),
        ("openvino", "int8", "with --cache"),
        ("tensorrt-rtx", "int8", "matrix products only"),
        ("tensorrt", "fp8", "a TensorRT engine is built in one of"),
    ],
)
def test_what_cannot_be_built_leaves_the_bundle(
    bundle: Bundle, engine: str, precision: str, words: str
) -> None:
    before = sorted(path.relative_to(bundle.root) for path in bundle.root.rglob("*"))
    with pytest.raises(EngineUnavailableError, match=words):
        build_engine(bundle, engine, precision, None, CHECK)
    assert sorted(path.relative_to(bundle.root) for path in bundle.root.rglob("*")) == before


def test_more_members_than_there_are_is_a_sentence(bundle: Bundle) -> None:
    with pytest.raises(InputError, match="--members 3 asked for, but the bundle has 2"):
        build_engine(bundle, "openvino", "f32", 3, CHECK)


def test_a_copy_is_a_new_folder(bundle: Bundle, tmp_path: Path) -> None:
    copied = copy_bundle(bundle, tmp_path / "copy")
    assert copied.manifest == bundle.manifest
    with pytest.raises(InputError, match="is there already"):
        copy_bundle(bundle, tmp_path / "copy")
