"""A TensorRT engine through torch-tensorrt, for the GPU of the host that builds it.

Written against the source of torch-tensorrt 2.14 and the references of nvidia-modelopt; it runs
only on a host with a GPU, where `scripts/gpu_check/` checks it.
"""

import inspect
from pathlib import Path
from typing import Any

import torch

from neurosono.engine.backends.tensorrt import (
    ENGINE_NAME,
    EXTRA,
    TensorRtBackend,
    load_library,
    require_gpu,
)
from neurosono.engine.backends.torch import DTYPES, fold_batch_norm
from neurosono.engine.builders import Built
from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.errors import EngineUnavailableError
from neurosono.engine.network import Ensemble

PRECISIONS = ("f32", "fp16", "bf16", "int8")


def compile_tensorrt(
    ensemble: Ensemble,
    size_px: int,
    precision: str,
    folder: Path,
    frames: Pixels,
) -> Built:
    """Compile `ensemble`, which is altered, whole: an operator that cannot be is an error.

    `frames` (N, size_px, size_px) uint8 set the ranges of int8. Raises `EngineUnavailableError`
    without a GPU, torch-tensorrt, or, for int8, nvidia-modelopt.
    """
    if precision not in PRECISIONS:
        raise EngineUnavailableError(
            f"a TensorRT engine is built in one of {list(PRECISIONS)}, not {precision}"
        )
    gpu = require_gpu()
    torchtrt, trt = _load_compiler(), load_library()
    grey = torch.zeros((1, 1, size_px, size_px), dtype=torch.uint8, device="cuda")
    try:
        module = fold_batch_norm(ensemble).cuda()
        program = (
            _quantise(module, frames, grey)
            if precision == "int8"
            else torch.export.export(module.cast(DTYPES[precision]), (grey,))
        )
        blob = _convert(torchtrt, program, grey, folder, precision)
    except RuntimeError as error:
        raise EngineUnavailableError(
            f"TensorRT cannot build it: {str(error).strip().splitlines()[0]}; "
            "use fewer --members, or --engine tensorrt-rtx"
        ) from error
    (folder / ENGINE_NAME).write_bytes(blob)
    target = {
        "gpu": gpu.name,
        "compute_capability": gpu.compute_capability,
        "driver": gpu.driver,
        "tensorrt": trt.__version__,
        "torch": torch.__version__,
        "torch_tensorrt": torchtrt.__version__,
        "parity_of": "the engine",
    }
    backend = TensorRtBackend(folder / ENGINE_NAME, precision, target)
    return Built(target, backend.infer)


def _load_compiler() -> Any:
    try:
        import torch_tensorrt
    except (ImportError, OSError, RuntimeError) as error:
        raise EngineUnavailableError(
            f"torch-tensorrt does not load: {str(error).splitlines()[0]}; {EXTRA}"
        ) from error
    return torch_tensorrt


def _convert(
    torchtrt: Any, program: Any, grey: torch.Tensor, folder: Path, precision: str
) -> bytes:
    """Return the one engine that the whole program becomes; there are no partitions."""
    convert = torchtrt.dynamo.convert_exported_program_to_serialized_trt_engine
    settings: dict[str, Any] = {
        "arg_inputs": [grey],
        "require_full_compilation": True,
        "disable_tf32": precision == "f32",  # TF32's 10 bits of mantissa are not float32
        "immutable_weights": True,
        # not the common folder for temporary files, where another user may have put one
        "timing_cache_path": str(folder / "timing.cache"),
    }
    if "use_explicit_typing" in inspect.signature(convert).parameters:
        settings["use_explicit_typing"] = True  # the module's own types; the only way since 2.13
    blob = bytes(convert(program, **settings))
    (folder / "timing.cache").unlink(missing_ok=True)
    return blob


def _quantise(module: Ensemble, frames: Pixels, grey: torch.Tensor) -> Any:
    """Return the exported program with explicit Q/DQ pairs, their ranges from `frames`."""
    try:
        import modelopt.torch.quantization as mtq
        from modelopt.torch.quantization.utils import export_torch_mode
    except ImportError as error:
        raise EngineUnavailableError(
            "a TensorRT int8 engine needs nvidia-modelopt: pip install nvidia-modelopt, "
            "or choose --precision fp16"
        ) from error

    def feed(model: torch.nn.Module) -> None:
        for frame in frames:
            model(torch.from_numpy(frame)[None, None].to(grey.device))

    with torch.no_grad():
        quantised = mtq.quantize(module, mtq.INT8_DEFAULT_CFG, forward_loop=feed)
        with export_torch_mode():
            return torch.export.export(quantised, (grey,))
