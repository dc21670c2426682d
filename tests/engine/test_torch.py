"""The torch engines: the reference, and the GPU's steps as far as a CPU can take them."""

import copy
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from neurosono.engine.backends.torch import TorchBackend, TorchCudaBackend, fold_batch_norm
from neurosono.engine.backends.ways import WAYS
from neurosono.engine.contracts.errors import EngineFailedError, EngineUnavailableError, InputError
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.engine.network import Ensemble
from neurosono.engine.networks import make_network
from neurosono.engine.parity import LIMITS
from tests.support.bundles import make_ensemble

PICTURES = np.random.default_rng(0).integers(0, 256, (4, 64, 64), dtype=np.uint8)


@pytest.fixture(scope="module")
def ensemble() -> Ensemble:
    return make_ensemble(2)


def test_folding_leaves_no_batch_norm_and_the_answers(ensemble: Ensemble) -> None:
    folded = fold_batch_norm(copy.deepcopy(ensemble))
    assert any(isinstance(module, torch.nn.BatchNorm2d) for module in ensemble.modules())
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    exact, found = TorchBackend(ensemble).infer(PICTURES), TorchBackend(folded).infer(PICTURES)
    np.testing.assert_allclose(found.probabilities, exact.probabilities, atol=1e-5)
    np.testing.assert_allclose(found.cams, exact.cams, atol=1e-3)


@pytest.mark.parametrize("precision", ["f32", "fp16", "f16", "bf16"])
def test_the_steps_of_the_gpu_give_the_references_answers(
    ensemble: Ensemble, precision: str
) -> None:
    exact = TorchBackend(copy.deepcopy(ensemble)).infer(PICTURES)
    backend = TorchCudaBackend(copy.deepcopy(ensemble), 64, precision, device="cpu")
    found = backend.infer(PICTURES)
    limit = LIMITS[backend.precision].max_difference
    difference = np.abs(found.probabilities.mean(1) - exact.probabilities.mean(1)).max()
    # random weights have no margins: bf16's 8 bits of mantissa show more than in a trained network
    assert difference <= max(limit, 0.05 if precision == "bf16" else 0)
    assert found.cams.shape == exact.cams.shape
    assert {found.cams.dtype, found.features.dtype} == {np.dtype(np.float32)}
    again = backend.infer(PICTURES[::-1])
    np.testing.assert_array_equal(again.probabilities[::-1], found.probabilities)


@pytest.mark.parametrize("way", ["branches", "grouped", "sequence"])
@pytest.mark.parametrize("members", [1, 3])
def test_every_way_through_the_members_gives_their_answers(way: str, members: int) -> None:
    ensemble = make_ensemble(members, seed=3)
    exact = TorchBackend(copy.deepcopy(ensemble)).infer(PICTURES)
    found = TorchCudaBackend(copy.deepcopy(ensemble), 64, "f32", "cpu", (way,)).infer(PICTURES)
    np.testing.assert_allclose(found.probabilities, exact.probabilities, atol=1e-4)
    np.testing.assert_allclose(found.cams, exact.cams, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found.features, exact.features, rtol=1e-3, atol=1e-3)


def test_only_resnet34_goes_through_layers_of_all_members() -> None:
    network = make_network("vgg19", 3, 0.125, 64)
    ensemble = Ensemble([network], PreprocessingSpec(size_px=64)).eval()
    exact = TorchBackend(copy.deepcopy(ensemble)).infer(PICTURES)
    branches = TorchCudaBackend(copy.deepcopy(ensemble), 64, "f32", "cpu", ("branches",))
    np.testing.assert_allclose(
        branches.infer(PICTURES).probabilities, exact.probabilities, atol=1e-4
    )
    with pytest.raises(EngineUnavailableError, match="only ResNet34"):
        TorchCudaBackend(ensemble, 64, "f32", "cpu", ("grouped",))
    with pytest.raises(EngineUnavailableError, match="no way 'sideways'"):
        TorchCudaBackend(make_ensemble(1), 64, "f32", "cpu", ("sideways",))


@pytest.mark.skipif(find_spec("triton") is None, reason="no triton: our own kernels not run")
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU: our kernels not run")
@pytest.mark.parametrize("way", WAYS)
def test_every_way_on_a_gpu_gives_the_members_answers(way: str) -> None:
    ensemble = make_ensemble(3, width=1.0)
    exact = TorchBackend(copy.deepcopy(ensemble)).infer(PICTURES)
    found = TorchCudaBackend(copy.deepcopy(ensemble), 64, "fp16", ways=(way,)).infer(PICTURES)
    np.testing.assert_allclose(found.probabilities, exact.probabilities, atol=0.05)
    np.testing.assert_allclose(found.features, exact.features, rtol=0.05, atol=0.05)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this host has a GPU")
def test_no_gpu_is_one_sentence(ensemble: Ensemble) -> None:
    with pytest.raises(EngineUnavailableError, match="no NVIDIA GPU or driver"):
        TorchCudaBackend(copy.deepcopy(ensemble), 64)


def test_out_of_memory_is_one_sentence_and_ends_the_engine(
    ensemble: Ensemble, monkeypatch: pytest.MonkeyPatch
) -> None:
    def give_out(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nSee the manual")

    backend = TorchCudaBackend(copy.deepcopy(ensemble), 64, "f32", device="cpu")
    monkeypatch.setattr(Ensemble, "forward", give_out)
    with pytest.raises(EngineFailedError, match=r"^the GPU failed: CUDA out of memory[^\n]*$"):
        backend.infer(PICTURES)
    with pytest.raises(EngineUnavailableError, match=r"^torch cannot put 2 members[^\n]*--members"):
        TorchCudaBackend(copy.deepcopy(ensemble), 64, "f32", device="cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU: graph and pins not run")
@pytest.mark.parametrize("precision", ["f32", "fp16", "bf16"])
def test_the_captured_graph_gives_the_references_answers(
    ensemble: Ensemble, precision: str
) -> None:
    exact = TorchBackend(copy.deepcopy(ensemble)).infer(PICTURES)
    found = TorchCudaBackend(copy.deepcopy(ensemble), 64, precision).infer(PICTURES)
    np.testing.assert_allclose(found.probabilities, exact.probabilities, atol=0.05)


def test_refuses_another_size_and_precision(ensemble: Ensemble) -> None:
    backend = TorchCudaBackend(copy.deepcopy(ensemble), 64, "f32", device="cpu")
    with pytest.raises(InputError, match=r"\(B, 64, 64\) uint8"):
        backend.infer(PICTURES[:, :32])
    with pytest.raises(EngineUnavailableError, match="not 'int8'"):
        TorchCudaBackend(copy.deepcopy(ensemble), 64, "int8", device="cpu")
