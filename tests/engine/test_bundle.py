"""A bundle is opened only if every file in it is what its manifest says."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from neurosono.engine.bundle import Bundle, write_manifest
from neurosono.engine.choice import open_engine
from neurosono.engine.contracts.errors import BundleError, EngineUnavailableError
from neurosono.engine.contracts.labels import DEFAULT_LABELS
from neurosono.engine.members import load_ensemble


@pytest.fixture
def root(tmp_path: Path, bundle_root: Path) -> Path:
    shutil.copytree(bundle_root, tmp_path / "bundle")
    return tmp_path / "bundle"


def edit(root: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = root / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def test_loads_what_was_written(root: Path) -> None:
    bundle = Bundle.load(root, DEFAULT_LABELS)
    assert bundle.manifest.labels == DEFAULT_LABELS
    assert bundle.calibration.temperature == 1.5
    assert len(load_ensemble(bundle).members) == 2
    assert open_engine(bundle).backend.members == 2


def test_a_folder_called_like_a_shipped_bundle_is_itself(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = Bundle.load(Path("demo"))
    shutil.copytree(root, "demo")
    own = Bundle.load(Path("demo"))
    assert own.manifest.digest == Bundle.load(root).manifest.digest != shipped.manifest.digest
    assert Bundle.load("demo/").manifest.digest == own.manifest.digest
    assert Bundle.load("demo").manifest.digest == shipped.manifest.digest, "a name is a name"


def test_names_the_model_alike_whichever_engines_it_has(root: Path) -> None:
    before = Bundle.load(root).manifest
    edit(root, lambda manifest: manifest.update(engines=[]))
    assert Bundle.load(root).manifest.digest == before.digest
    assert replace(before, name="other").digest != before.digest


def test_a_manifest_edited_by_hand_is_refused(root: Path) -> None:
    edit(root, lambda manifest: manifest.update(labels=[f"class {n}" for n in range(5)]))
    with pytest.raises(BundleError, match="was altered since it was written"):
        Bundle.load(root)


def test_an_engine_of_other_labels_is_refused(root: Path) -> None:
    manifest = Bundle.load(root).manifest
    write_manifest(root, replace(manifest, labels=("head", "spine")))
    with pytest.raises(BundleError, match=r"gives 5 classes .* the manifest has 2 labels"):
        open_engine(Bundle.load(root))


@pytest.mark.parametrize(
    "path", ["members/member-00.safetensors", "calibration.json", "engines/openvino-f32/model.bin"]
)
def test_a_missing_file_is_named(root: Path, path: str) -> None:
    (root / path).unlink()
    with pytest.raises(BundleError, match=f"misses {path}"):
        Bundle.load(root)


@pytest.mark.parametrize(
    "path", ["members/member-01.safetensors", "engines/openvino-f32/model.xml"]
)
def test_an_altered_file_is_named(root: Path, path: str) -> None:
    with (root / path).open("ab") as file:
        file.write(b" ")
    with pytest.raises(BundleError, match=rf"{path} .* is not what its manifest says"):
        Bundle.load(root)


def test_other_labels_are_refused(root: Path) -> None:
    with pytest.raises(BundleError, match=r"has labels .* expected"):
        Bundle.load(root, ("head", "spine"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.update(schema="neurosono-bundle/99"), "schema must be neurosono-bundle/1"),
        (lambda m: m.pop("labels"), "not readable"),
        (lambda m: m.update(labels=["one", "one"]), "distinct"),
        (lambda m: m.update(members=[]), "at least one member"),
        (lambda m: m["preprocessing"].update(colour=True), "preprocessing must have"),
        (lambda m: m["preprocessing"].pop("mean"), "preprocessing must have"),
        (lambda m: m["calibration"].update(path="../../etc/passwd"), "plain path inside it"),
        (lambda m: m["calibration"].update(sha256="0"), "64 hex digits"),
    ],
)
def test_a_manifest_that_is_not_ours_is_refused(
    root: Path, change: Callable[[dict[str, Any]], None], words: str
) -> None:
    edit(root, change)
    with pytest.raises(BundleError, match=words):
        Bundle.load(root)


def test_no_bundle_no_manifest_no_json(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no bundle at"):
        Bundle.load(tmp_path / "absent")
    with pytest.raises(BundleError, match="has no manifest"):
        Bundle.load(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(BundleError, match="cannot be read as JSON"):
        Bundle.load(tmp_path)


def test_an_engine_that_is_not_built_names_the_command(root: Path) -> None:
    bundle = Bundle.load(root)
    with pytest.raises(BundleError, match=r"neurosono build .* --engine openvino --precision int8"):
        bundle.engine("openvino", "int8", None)
    with pytest.raises(BundleError, match="--members 3 asked for, but the bundle has 2"):
        bundle.engine("openvino", None, 3)
    with pytest.raises(EngineUnavailableError, match="no engine 'cuda'"):
        open_engine(bundle, "cuda")


def test_the_torch_engine_is_the_same_model(root: Path) -> None:
    choice = open_engine(Bundle.load(root), "torch", members=1)
    assert choice.describe() == {
        "backend": "torch",
        "precision": "f32",
        "members": 1,
        "reason": "asked for",
    }
