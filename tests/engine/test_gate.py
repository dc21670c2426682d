"""A gate judges as it was built, comes into a bundle whole, and is refused where it was altered."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neurosono.engine.bundle import Bundle, file_of, write_manifest
from neurosono.engine.contracts.errors import BundleError, InputError
from neurosono.engine.contracts.files import BundleFile
from neurosono.engine.contracts.frame import SkipReason
from neurosono.engine.contracts.gate import GateEntry
from neurosono.engine.gate import Familiarity, Gate
from neurosono.engine.gate_folder import add_gate, read_entry
from tests.support.gates import make_gate

NOISE = np.random.default_rng(5).integers(0, 256, (64, 64), dtype=np.uint8)
FLAT = np.full((64, 64), 255, dtype=np.uint8)


@pytest.fixture
def lenient(tmp_path: Path) -> Path:
    return make_gate(tmp_path / "lenient")


@pytest.fixture
def root(tmp_path: Path, bundle_root: Path) -> Path:
    shutil.copytree(bundle_root, tmp_path / "bundle")
    return tmp_path / "bundle"


def open_gate(root: Path) -> Gate:
    gate = Gate.open(Bundle.load(root))
    assert gate is not None
    return gate


def test_a_bundle_without_a_gate_has_none_and_keeps_its_digest(root: Path) -> None:
    before = Bundle.load(root).manifest
    assert Gate.open(Bundle.load(root)) is None
    assert "gate" not in before.to_json()


def test_a_gate_comes_into_a_bundle_and_names_another_model(root: Path, lenient: Path) -> None:
    before = Bundle.load(root).manifest
    after = add_gate(root, lenient).manifest
    assert after.digest != before.digest
    assert after.gate == Bundle.load(root).manifest.gate
    assert {file.path for file in after.files} - {file.path for file in before.files} == {
        *("gate/gate.xml", "gate/gate.bin", "gate/statistics.npz")
    }
    assert after.engines == before.engines
    assert not list(root.glob(".gate-*"))


def test_what_is_familiar_passes_with_its_plane(root: Path, lenient: Path) -> None:
    add_gate(root, lenient)
    found = open_gate(root).judge(NOISE)
    assert found.refusal is None
    assert found.plane in read_entry(lenient).planes
    assert 0 < found.score < 1
    assert 0 <= found.unfamiliarity <= 0.9


def test_a_plane_that_is_not_sure_is_not_named(root: Path, tmp_path: Path) -> None:
    folder = make_gate(tmp_path / "gate", plane_limits=[1.1] * 5)
    add_gate(root, folder)
    found = open_gate(root).judge(NOISE)
    assert (found.refusal, found.plane) == (None, None)


def test_what_is_strange_is_refused_and_has_no_plane(root: Path, lenient: Path) -> None:
    add_gate(root, lenient)
    found = open_gate(root).judge(FLAT)
    assert found.refusal is SkipReason.UNFAMILIAR
    assert found.unfamiliarity > 0.9
    assert found.plane is None


def test_a_low_score_is_no_head_or_spine_however_strange(root: Path, tmp_path: Path) -> None:
    add_gate(root, make_gate(tmp_path / "strict", threshold=0.999))
    assert open_gate(root).judge(FLAT).refusal is SkipReason.NOT_HEAD_OR_SPINE
    assert open_gate(root).judge(NOISE).refusal is SkipReason.NOT_HEAD_OR_SPINE


@pytest.mark.parametrize("name", ["gate.xml", "gate.bin", "statistics.npz"])
def test_an_altered_file_is_refused_in_the_folder_and_in_the_bundle(
    root: Path, lenient: Path, tmp_path: Path, name: str
) -> None:
    add_gate(root, lenient)
    folder = shutil.copytree(lenient, tmp_path / "gate")
    for path in (folder / name, root / "gate" / name):
        with path.open("ab") as file:
            file.write(b" ")
    with pytest.raises(BundleError, match=rf"gate/{name} .* is not what its manifest says"):
        Bundle.load(root)
    with pytest.raises(BundleError, match=rf"{name} is missing or not what gate.json says"):
        read_entry(folder)


def test_a_gate_of_another_size_leaves_the_bundle_as_it_was(root: Path, tmp_path: Path) -> None:
    before = Bundle.load(root).manifest
    with pytest.raises(BundleError, match="takes 96 px pictures, its ensemble 64 px"):
        add_gate(root, make_gate(tmp_path / "large", size_px=96))
    assert Bundle.load(root).manifest == before
    assert not (root / "gate").exists()
    assert not list(root.glob(".gate-*"))


def test_a_gate_of_other_planes_is_refused(root: Path, tmp_path: Path) -> None:
    folder = make_gate(tmp_path / "gate", planes=["one", "two"], plane_limits=[0.5, 0.5])
    with pytest.raises(BundleError, match="gives 5 planes and 168 features"):
        add_gate(root, folder)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schema": "neurosono-gate/9"}, "no gate of schema"),
        ({"threshold": 0}, "thresholds must be between 0 and 1"),
        ({"unfamiliar": 1.5}, "thresholds must be between 0 and 1"),
        ({"planes": ["one"]}, "planes must be two or more"),
        ({"plane_limits": [0.5]}, "a limit above 0 for each of its planes"),
        ({"files": []}, "a gate consists of"),
        ({"card": 3}, "holds no gate"),
    ],
)
def test_a_folder_that_is_no_gate_is_refused(
    tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    folder = make_gate(tmp_path / "gate", **changes)
    with pytest.raises(BundleError, match=words):
        read_entry(folder)


def test_no_gate_there(root: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="train gate run"):
        add_gate(root, tmp_path)


def test_statistics_that_are_none_are_refused(root: Path, lenient: Path) -> None:
    manifest = add_gate(root, lenient).manifest
    (root / "gate" / "statistics.npz").write_bytes(b"nothing")
    assert manifest.gate is not None
    files = tuple(file_of(root, file.path) for file in manifest.gate.files)
    write_manifest(root, replace(manifest, gate=replace(manifest.gate, files=files)))
    with pytest.raises(BundleError, match="holds no statistics of a gate"):
        open_gate(root)


def test_other_pictures_are_refused(root: Path, lenient: Path) -> None:
    add_gate(root, lenient)
    with pytest.raises(InputError, match=r"takes \(64, 64\) uint8"):
        open_gate(root).judge(NOISE[:32])


def test_distances_are_told_as_the_share_that_is_nearer() -> None:
    found = Familiarity(
        np.eye(2), np.array([[0.0, 0.0], [10.0, 0.0]]), np.array([1.0, 2.0]), np.array([0.5, 1.0])
    )
    distances = found.measure(np.array([[3.0, 4.0], [10.0, 1.5]]))
    assert distances == pytest.approx([5.0, 1.5])
    assert found.rank(distances) == pytest.approx([1.0, 0.75])


def test_a_path_outside_the_bundle_is_refused() -> None:
    with pytest.raises(BundleError, match="plain path inside it"):
        GateEntry((BundleFile("../gate.xml", "0" * 64),), 0.5, 0.9, ("a", "b"), (1, 1))
