"""TensorRT: what can be refused without a GPU, and what both TensorRTs share."""

from pathlib import Path

import numpy as np
import pytest

from neurosono.engine.backends.serialized import check_probe, check_shapes, write_probe
from neurosono.engine.backends.tensorrt import TensorRtBackend, check_target
from neurosono.engine.backends.torch import TorchBackend
from neurosono.engine.builders.tensorrt import compile_tensorrt
from neurosono.engine.contracts.errors import BundleError, EngineUnavailableError
from neurosono.engine.gpu import Gpu, find_gpu
from tests.support.bundles import make_ensemble

HERE = Gpu("NVIDIA RTX 4000", "8.9", "13.0")
BUILT = {"gpu": HERE.name, "compute_capability": "8.9", "tensorrt": "11.1.0", "driver": "12.9"}


def test_the_gpu_and_version_it_was_built_for_are_taken() -> None:
    check_target(BUILT, HERE, "11.1.0")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (BUILT | {"gpu": "NVIDIA H200"}, "built for gpu NVIDIA H200, and here is NVIDIA RTX 4000"),
        (BUILT | {"tensorrt": "10.9"}, r"built for tensorrt 10\.9, and here is 11\.1\.0"),
        ({}, r"built for gpu \?, compute_capability \?"),
    ],
)
def test_another_gpu_or_version_is_one_sentence(target: dict[str, str], words: str) -> None:
    with pytest.raises(EngineUnavailableError, match=words):
        check_target(target, HERE, "11.1.0")


@pytest.mark.skipif(find_gpu() is not None, reason="this host has a GPU")
def test_neither_built_nor_run_without_a_gpu(tmp_path: Path) -> None:
    frames = np.zeros((1, 64, 64), dtype=np.uint8)
    with pytest.raises(EngineUnavailableError, match="build with --engine tensorrt-rtx"):
        compile_tensorrt(make_ensemble(1), 64, "fp16", tmp_path, frames)
    with pytest.raises(EngineUnavailableError, match="use --engine openvino"):
        TensorRtBackend(tmp_path / "model.engine", "fp16", BUILT)


def test_an_engine_of_other_tensors_is_refused() -> None:
    shapes = [(1, 1, 64, 64), (1, 3, 5), (1, 3, 5, 2, 2), (1, 3, 64)]
    assert check_shapes(shapes) == (64, 3, 5)
    for other in (shapes[:3], [(1, 3, 64, 64), *shapes[1:]], shapes[::-1]):
        with pytest.raises(BundleError, match="expected"):
            check_shapes(other)


def test_an_engine_judges_the_frames_it_was_built_with(tmp_path: Path) -> None:
    ensemble = make_ensemble(2)
    frames = np.random.default_rng(1).integers(0, 256, (20, 64, 64), dtype=np.uint8)
    backend = TorchBackend(ensemble)
    write_probe(tmp_path, frames, backend.infer(frames).probabilities)
    probe = tmp_path / "probe.npz"
    check_probe(backend.infer, probe, "f32")
    other = TorchBackend(make_ensemble(2, seed=5))
    with pytest.raises(EngineUnavailableError, match="on this GPU the f32 engine is over"):
        check_probe(other.infer, probe, "f32")
    probe.write_bytes(b"broken")
    with pytest.raises(BundleError, match="check frames"):
        check_probe(backend.infer, probe, "f32")
