"""TensorRT for RTX engines, compiled ahead of time on a host that needs no GPU."""

from pathlib import Path
from typing import Any, cast

from neurosono.engine.backends.serialized import make_logger
from neurosono.engine.backends.tensorrt_rtx import AMPERE, TURING, load_library, read_header
from neurosono.engine.builders import Built
from neurosono.engine.builders.onnx import export_onnx
from neurosono.engine.contracts.architecture import TRANSFORMERS
from neurosono.engine.contracts.errors import EngineUnavailableError
from neurosono.engine.network import Ensemble
from neurosono.engine.networks import Network

PRECISIONS = ("f32", "fp16", "bf16")


def compile_rtx(ensemble: Ensemble, size_px: int, precision: str, folder: Path) -> Built:
    """Compile `ensemble`, which is altered, for Turing and for Ampere to Blackwell.

    The ONNX graph that they are made of is compared on the CPU, as no engine runs without its
    GPU: there, `engine.backends.serialized.check_probe` compares the engine itself.
    Raises `EngineUnavailableError` on another precision or where the library does not load.
    """
    if precision not in PRECISIONS:
        raise EngineUnavailableError(
            f"a TensorRT for RTX engine is built in one of {list(PRECISIONS)}, not {precision}: "
            "it quantises matrix products only, and these networks are convolutions"
        )
    from neurosono.engine.backends.openvino import OpenVinoBackend

    trt = load_library()
    graph = folder / "model.onnx"
    export_onnx(ensemble, size_px, precision, graph)
    layers = ""
    for name, capability in ((AMPERE, None), (TURING, trt.ComputeCapability.SM75)):
        if name == TURING and not _runs_on_turing(ensemble, precision):
            continue
        blob, layers = compile_graph(trt, graph, precision, capability)
        (folder / name).write_bytes(blob)
        read_header(trt, trt.Runtime(make_logger(trt, [])), blob, folder / name)
    judge = OpenVinoBackend(graph, "f32")
    graph.unlink()  # the engines hold the weights
    cards = "8.0 and later" + (", 7.5" if (folder / TURING).exists() else "")
    target = {
        "tensorrt_rtx": trt.__version__,
        "compute_capability": cards,
        "layers": layers,
        "parity_of": "the ONNX graph on the CPU; the engine's own is checked where it first runs",
    }
    return Built(target, judge.infer)


def _runs_on_turing(ensemble: Ensemble, precision: str) -> bool:
    """Turing has no bfloat16, and TensorRT for RTX no float32 matrix product there."""
    products = cast(Network, ensemble.members[0]).architecture in TRANSFORMERS
    return precision != "bf16" and not (products and precision == "f32")


def compile_graph(
    trt: Any, graph: Path, precision: str, capability: Any | None
) -> tuple[bytes, str]:
    """Return an ONNX graph's engine for `capability` (None: 8.0 and later), and its layers."""
    messages: list[str] = []
    logger = make_logger(trt, messages)
    builder = trt.Builder(logger)
    network = builder.create_network(0)  # strongly typed: the graph's types are the engine's
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(graph)):
        words = "; ".join(str(parser.get_error(index)) for index in range(parser.num_errors))
        raise EngineUnavailableError(f"TensorRT for RTX cannot read the graph: {words}")
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)  # its 10 bits of mantissa are not float32
    if capability is not None:
        config.num_compute_capabilities = 1
        config.set_compute_capability(capability, 0)
    blob = builder.build_serialized_network(network, config)
    if blob is None:
        words = messages[-1] if messages else "no reason given"
        raise EngineUnavailableError(f"TensorRT for RTX cannot build it in {precision}: {words}")
    return bytes(blob), describe_layers(trt, network)


def describe_layers(trt: Any, network: Any) -> str:
    """Return how many convolutions compute in which type, such as `222 convolutions in HALF`."""
    kinds = [
        network.get_layer(index).get_output(0).dtype.name
        for index in range(network.num_layers)
        if network.get_layer(index).type == trt.LayerType.CONVOLUTION
    ]
    counted = {kind: kinds.count(kind) for kind in sorted(set(kinds))}
    return ", ".join(f"{count} convolutions in {kind}" for kind, count in counted.items())
