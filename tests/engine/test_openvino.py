"""The OpenVINO engine against the torch reference."""

from pathlib import Path

import numpy as np
import pytest

from engine.backends.openvino import OpenVinoBackend, convert, save
from engine.backends.torch import TorchBackend
from engine.contracts.errors import BundleError, EngineUnavailableError, InputError
from engine.network import Ensemble
from tests.support.bundles import make_ensemble


@pytest.fixture(scope="module")
def ensemble() -> Ensemble:
    return make_ensemble(3, width=0.25, size_px=96)


@pytest.fixture(scope="module")
def folder(ensemble: Ensemble, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("engine")
    save(convert(ensemble, 96), where, "f32")
    return where


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, 96, 96), dtype=np.uint8)


def test_f32_gives_the_references_probabilities_and_maps(
    ensemble: Ensemble, folder: Path, pictures: np.ndarray
) -> None:
    ours = OpenVinoBackend(folder / "model.xml", "f32").infer(pictures)
    reference = TorchBackend(ensemble).infer(pictures)
    np.testing.assert_allclose(ours.probabilities, reference.probabilities, atol=1e-4)
    np.testing.assert_allclose(ours.cams, reference.cams, rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(ours.features, reference.features, rtol=1e-3, atol=1e-3)
    assert reference.probabilities.std(axis=0).max() > 1e-3  # the pictures do differ


@pytest.mark.parametrize("members", [1, 2, 3])
def test_the_first_members_can_be_cut_out(members: int, folder: Path, pictures: np.ndarray) -> None:
    whole = OpenVinoBackend(folder / "model.xml", "f32").infer(pictures[:2])
    cut = OpenVinoBackend(folder / "model.xml", "f32", members)
    assert cut.members == members
    answer = cut.infer(pictures[:2])
    np.testing.assert_allclose(answer.probabilities, whole.probabilities[:, :members], atol=1e-5)


def test_the_same_picture_gives_the_same_bits(folder: Path, pictures: np.ndarray) -> None:
    backend = OpenVinoBackend(folder / "model.xml", "f32")
    first = backend.infer(pictures[:1])
    backend.infer(pictures[1:])
    again = backend.infer(pictures[:1])
    assert np.array_equal(first.probabilities, again.probabilities)
    assert np.array_equal(first.cams, again.cams)


def test_bf16_stays_near_f32(folder: Path, pictures: np.ndarray) -> None:
    exact = OpenVinoBackend(folder / "model.xml", "f32").infer(pictures)
    short = OpenVinoBackend(folder / "model.xml", "bf16").infer(pictures)
    np.testing.assert_allclose(short.probabilities, exact.probabilities, atol=0.05)


def test_f16_halves_the_file(ensemble: Ensemble, folder: Path, tmp_path: Path) -> None:
    save(convert(ensemble, 96), tmp_path, "f16")
    full, half = (path / "model.bin" for path in (folder, tmp_path))
    assert half.stat().st_size < 0.55 * full.stat().st_size


def test_refuses_other_shapes(folder: Path) -> None:
    backend = OpenVinoBackend(folder / "model.xml", "f32")
    with pytest.raises(InputError, match=r"\(B, 96, 96\) uint8, found \(1, 64, 64\)"):
        backend.infer(np.zeros((1, 64, 64), dtype=np.uint8))


def test_refuses_more_members_than_there_are(folder: Path) -> None:
    with pytest.raises(InputError, match="holds 3 members, 4 were asked for"):
        OpenVinoBackend(folder / "model.xml", "f32", 4)


def test_refuses_an_unknown_precision(folder: Path) -> None:
    with pytest.raises(EngineUnavailableError, match="choose one of"):
        OpenVinoBackend(folder / "model.xml", "fp4")


def test_refuses_a_file_that_is_no_engine(tmp_path: Path) -> None:
    (tmp_path / "model.xml").write_text("not a graph")
    with pytest.raises(BundleError, match="not an engine that OpenVINO can read"):
        OpenVinoBackend(tmp_path / "model.xml", "f32")


def test_refuses_a_truncated_weights_file(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "model.xml").write_bytes((folder / "model.xml").read_bytes())
    whole = (folder / "model.bin").read_bytes()
    (tmp_path / "model.bin").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BundleError, match="not an engine that OpenVINO can read"):
        OpenVinoBackend(tmp_path / "model.xml", "f32")
