"""TensorRT: the fastest engine, for one GPU and one set of versions; needs `tensorrt`, no torch."""

import importlib.util
from pathlib import Path
from typing import Any

from neurosono.engine.backends.serialized import SerializedEngine, make_logger
from neurosono.engine.contracts.errors import EngineUnavailableError
from neurosono.engine.gpu import Gpu, find_gpu

ENGINE_NAME = "model.engine"

EXTRA = "pip install neurosono[tensorrt]"


def load_library() -> Any:
    """Return the `tensorrt` module; raises `EngineUnavailableError` where it does not load."""
    if importlib.util.find_spec("tensorrt") is None:
        raise EngineUnavailableError(f"TensorRT is not installed: {EXTRA}")
    try:
        import tensorrt
    except (ImportError, OSError) as error:
        raise EngineUnavailableError(f"TensorRT does not load: {error}") from error
    return tensorrt


def require_gpu() -> Gpu:
    """Return this host's GPU; raises `EngineUnavailableError` where there is none."""
    gpu = find_gpu()
    if gpu is None:
        raise EngineUnavailableError(
            "TensorRT needs an NVIDIA GPU and its driver, and finds none here: "
            "use --engine openvino, or build with --engine tensorrt-rtx, which needs none"
        )
    return gpu


def check_target(target: dict[str, str], gpu: Gpu, version: str) -> None:
    """Raise `EngineUnavailableError` where an engine was built for another GPU or TensorRT.

    TensorRT's engines are neither portable between models of GPU nor between versions. The
    driver may be newer than the one it was built with.
    """
    here = {
        "gpu": gpu.name,
        "compute_capability": gpu.compute_capability,
        "tensorrt": version,
    }
    other = {key: target.get(key, "?") for key in here if target.get(key) != here[key]}
    if other:
        raise EngineUnavailableError(
            f"the TensorRT engine was built for {', '.join(f'{k} {v}' for k, v in other.items())}, "
            f"and here is {', '.join(here[key] for key in other)}: build it again with "
            "`neurosono build --engine tensorrt`, or use --engine openvino"
        )


class TensorRtBackend(SerializedEngine):
    """A TensorRT engine on the GPU that it was built on."""

    name = "tensorrt"

    def __init__(self, path: Path, precision: str, target: dict[str, str]) -> None:
        """Load the engine at `path`, built for `target`.

        Raises `EngineUnavailableError` where this host is another, or cannot run it.
        """
        gpu = require_gpu()
        trt = load_library()
        check_target(target, gpu, trt.__version__)
        words: list[str] = []
        self._logger = make_logger(trt, words)
        self._runtime = trt.Runtime(self._logger)
        engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
        context = None if engine is None else engine.create_execution_context()
        if context is None:
            raise EngineUnavailableError(
                f"{path.name} does not load on {gpu.name} (TensorRT {trt.__version__}: "
                f"{'; '.join(words[-1:])}): build it again with "
                "`neurosono build --engine tensorrt`, or use --engine openvino"
            )
        super().__init__(context, engine, precision)
