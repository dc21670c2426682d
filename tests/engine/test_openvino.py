"""The OpenVINO engine against the torch reference."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import openvino as ov
import pytest

from neurosono.engine.backends.openvino import INPUT, OpenVinoBackend, save
from neurosono.engine.backends.torch import TorchBackend
from neurosono.engine.builders.openvino import convert
from neurosono.engine.contracts.errors import BundleError, EngineUnavailableError, InputError
from neurosono.engine.network import Ensemble
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


@pytest.mark.skipif(
    os.environ.get("ONEDNN_MAX_CPU_ISA", "ALL") not in ("ALL", "DEFAULT"),
    reason="oneDNN is held below what bf16 needs, of which OpenVINO knows nothing",
)
def test_bf16_stays_near_f32(folder: Path, pictures: np.ndarray) -> None:
    exact = OpenVinoBackend(folder / "model.xml", "f32").infer(pictures)
    short = OpenVinoBackend(folder / "model.xml", "bf16").infer(pictures)
    np.testing.assert_allclose(short.probabilities, exact.probabilities, atol=0.05)


OPENED_IN_BF16 = """
import sys
from pathlib import Path
from neurosono.engine.backends.openvino import OpenVinoBackend
from neurosono.engine.contracts.errors import NeurosonoError
try:
    OpenVinoBackend(Path(sys.argv[1]), "bf16")
except NeurosonoError as error:
    print(type(error).__name__, error)
"""


def test_bf16_on_a_processor_held_below_it_is_unavailable(folder: Path) -> None:
    held = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    command = [sys.executable, "-P", "-c", OPENED_IN_BF16, str(folder / "model.xml")]
    done = subprocess.run(command, env=held, capture_output=True, text=True, timeout=120)
    assert done.stdout.startswith("EngineUnavailableError this processor"), done.stderr


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


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ensemble, Path]:
    """Return 37 members, as many as the paper has folds, and their one graph."""
    ensemble = make_ensemble(37, size_px=32)
    where = tmp_path_factory.mktemp("many")
    save(convert(ensemble, 32), where, "f32")
    return ensemble, where / "model.xml"


@pytest.mark.parametrize("members", [1, 2, 5, 37])
def test_one_graph_holds_1_to_37_members(members: int, many: tuple[Ensemble, Path]) -> None:
    ensemble, path = many
    grey = np.random.default_rng(2).integers(0, 256, (2, 32, 32), dtype=np.uint8)
    exact = TorchBackend(ensemble).infer(grey)
    found = OpenVinoBackend(path, "f32", members).infer(grey)
    assert found.probabilities.shape == (2, members, 5)
    np.testing.assert_allclose(found.probabilities, exact.probabilities[:, :members], atol=1e-4)


def test_no_batch_norm_is_left_and_the_picture_is_normalised_once(
    many: tuple[Ensemble, Path],
) -> None:
    model = ov.Core().read_model(many[1])
    kinds = [node.get_type_name() for node in model.get_ops()]
    assert kinds.count("BatchNormInference") == 0
    assert kinds.count("Convolution") == 37 * 38
    readers = model.input(INPUT).get_target_inputs()
    assert len(readers) == 1, "one preprocessing for all members"


def test_the_compiled_graph_is_kept_and_gives_the_same_bits(
    folder: Path, pictures: np.ndarray, tmp_path: Path
) -> None:
    path, cache = folder / "model.xml", tmp_path / "cache"
    plain = OpenVinoBackend(path, "f32").infer(pictures[:2])
    first = OpenVinoBackend(path, "f32", cache=cache).infer(pictures[:2])
    assert list(cache.glob("*.blob"))
    again = OpenVinoBackend(path, "f32", cache=cache).infer(pictures[:2])
    for answer in (first, again):
        assert np.array_equal(answer.probabilities, plain.probabilities)
        assert np.array_equal(answer.cams, plain.cams)


def test_pictures_begun_beforehand_give_the_same_numbers(
    folder: Path, pictures: np.ndarray
) -> None:
    plain = OpenVinoBackend(folder / "model.xml", "f32")
    ahead = OpenVinoBackend(folder / "model.xml", "f32", streams=2)
    for passed_over in ((), (0, 3)):  # what was begun and is never asked for is let go
        for turn in (range(3), range(3, 6)):
            for place in turn:
                assert ahead.begin(pictures[place]), "two run, and one stands in line"
            assert not ahead.begin(pictures[turn[0]])
            for place in turn:
                if place not in passed_over:
                    found = ahead.infer(pictures[place][None])
                    exact = plain.infer(pictures[place][None])
                    np.testing.assert_array_equal(found.probabilities, exact.probabilities)
                    np.testing.assert_array_equal(found.cams, exact.cams)


def test_every_operation_has_a_name_of_its_own(folder: Path) -> None:
    model = ov.Core().read_model(folder / "model.xml")
    names = [op.get_friendly_name() for op in model.get_ops()]
    assert len(names) == len(set(names)), "NNCF tells operations apart by name alone"
