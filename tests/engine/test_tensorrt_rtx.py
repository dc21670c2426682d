"""TensorRT for RTX: built without a GPU and read back as far as that goes.

What runs on the card is not covered here: `scripts/gpu_check/` does, on a host that has one.
"""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurosono.engine.backends.openvino import OpenVinoBackend
from neurosono.engine.backends.serialized import make_logger
from neurosono.engine.backends.tensorrt_rtx import (
    AMPERE,
    TURING,
    TensorRtRtxBackend,
    choose_file,
    load_library,
    read_header,
)
from neurosono.engine.backends.torch import TorchBackend
from neurosono.engine.builders.onnx import export_onnx
from neurosono.engine.builders.tensorrt_rtx import compile_rtx, describe_layers
from neurosono.engine.contracts.errors import BundleError, EngineUnavailableError
from neurosono.engine.gpu import Gpu, find_gpu
from neurosono.engine.network import Ensemble
from tests.support.bundles import make_ensemble

pytest.importorskip("tensorrt_rtx")

PICTURES = np.random.default_rng(0).integers(0, 256, (3, 64, 64), dtype=np.uint8)
TYPES = {"f32": "FLOAT", "fp16": "HALF", "bf16": "BF16"}


@pytest.fixture(scope="module")
def ensemble() -> Ensemble:
    return make_ensemble(2)


@pytest.fixture
def library() -> Any:
    return load_library()


@pytest.mark.parametrize("precision", list(TYPES))
def test_the_parsed_graph_has_our_tensors_and_one_type(
    ensemble: Ensemble, library: Any, precision: str, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    export_onnx(copy.deepcopy(ensemble), 64, precision, path)
    assert [each.name for each in tmp_path.iterdir()] == ["model.onnx"], "weights are inside"
    logger = make_logger(library, [])
    builder = library.Builder(logger)
    network = builder.create_network(0)
    assert library.OnnxParser(network, logger).parse_from_file(str(path))
    grey = network.get_input(0)
    assert (network.num_inputs, grey.name, tuple(grey.shape)) == (1, "grey", (1, 1, 64, 64))
    assert grey.dtype == library.uint8
    outputs = [network.get_output(index) for index in range(network.num_outputs)]
    assert {each.name: tuple(each.shape) for each in outputs} == {
        "probabilities": (1, 2, 5),
        "cams": (1, 2, 5, 2, 2),
        "features": (1, 2, 22 * 8),
    }
    assert all(each.dtype == library.float32 for each in outputs)
    # 36 convolutions a member, and two more for its maps and its logits; no batch norm is left
    assert describe_layers(library, network) == f"76 convolutions in {TYPES[precision]}"
    kinds = {network.get_layer(index).type for index in range(network.num_layers)}
    assert not {library.LayerType.SCALE, library.LayerType.NORMALIZATION} & kinds


@pytest.mark.parametrize("precision", ["f32", "fp16"])
def test_an_engine_is_built_for_turing_and_for_later_cards(
    ensemble: Ensemble, library: Any, precision: str, tmp_path: Path
) -> None:
    built = compile_rtx(copy.deepcopy(ensemble), 64, precision, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {AMPERE, TURING}
    runtime = library.Runtime(make_logger(library, []))
    for path in tmp_path.iterdir():
        against = read_header(library, runtime, path.read_bytes(), path)
        assert against <= {"INVALID", "UNSUPPORTED_CC", "OLD_CUDA_DRIVER", "CUDA_ERROR"}
    assert built.target["tensorrt_rtx"] == library.__version__
    assert built.target["layers"] == f"76 convolutions in {TYPES[precision]}"
    exact = TorchBackend(copy.deepcopy(ensemble)).infer(PICTURES)
    limit = 1e-4 if precision == "f32" else 0.02
    difference = np.abs(built.infer(PICTURES).probabilities - exact.probabilities).max()
    assert difference < limit


def test_turing_has_no_bf16(ensemble: Ensemble, tmp_path: Path) -> None:
    built = compile_rtx(copy.deepcopy(ensemble), 64, "bf16", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [AMPERE]
    assert "7.5" not in built.target["compute_capability"]


def test_int8_is_refused_in_one_sentence(ensemble: Ensemble, tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailableError, match="quantises matrix products only"):
        compile_rtx(copy.deepcopy(ensemble), 64, "int8", tmp_path)


def test_the_graph_is_what_openvino_reads_too(ensemble: Ensemble, tmp_path: Path) -> None:
    export_onnx(copy.deepcopy(ensemble), 64, "f32", tmp_path / "model.onnx")
    found = OpenVinoBackend(tmp_path / "model.onnx", "f32").infer(PICTURES)
    exact = TorchBackend(copy.deepcopy(ensemble)).infer(PICTURES)
    np.testing.assert_allclose(found.cams, exact.cams, rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(found.features, exact.features, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("damage", ["not an engine", "other version"])
def test_a_broken_engine_is_one_sentence(library: Any, damage: str, tmp_path: Path) -> None:
    blob = b"x" * 4096 if damage == "not an engine" else b""
    with pytest.raises(BundleError, match="is not an engine of TensorRT for RTX"):
        read_header(
            library, library.Runtime(make_logger(library, [])), blob, tmp_path / "ampere.engine"
        )


def card(capability: str) -> Gpu:
    return Gpu("a card", capability, "13.0")


def test_each_card_has_its_file() -> None:
    both = [Path(AMPERE), Path(TURING)]
    assert choose_file(card("7.5"), both).name == TURING
    for capability in ("8.0", "8.6", "8.9", "9.0", "12.0"):
        assert choose_file(card(capability), both).name == AMPERE
    with pytest.raises(EngineUnavailableError, match="was not built for a card"):
        choose_file(card("7.5"), [Path(AMPERE)])
    with pytest.raises(EngineUnavailableError, match=r"compute capability 7\.0"):
        choose_file(card("7.0"), both)


@pytest.mark.skipif(find_gpu() is not None, reason="this host has a GPU")
def test_no_gpu_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailableError, match="needs an NVIDIA GPU and its driver"):
        TensorRtRtxBackend([tmp_path / AMPERE], "fp16")
