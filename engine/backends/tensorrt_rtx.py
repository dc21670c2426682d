"""TensorRT for RTX: engines built ahead of time on any host, finished for the card that runs them.

At its first start on a card the engine's kernels are compiled for it, which takes seconds; they are
kept in the user's own cache folder, never in a bundle, which may come from anywhere.
"""

import importlib.util
from pathlib import Path
from typing import Any

from neurosono.engine.backends.serialized import SerializedEngine, make_logger
from neurosono.engine.contracts.errors import BundleError, EngineUnavailableError, OutputError
from neurosono.engine.gpu import Gpu, find_gpu

TURING = "turing.engine"
AMPERE = "ampere.engine"
"""Of compute capability 8.0 and up, Blackwell included: one portable engine (TensorRT for RTX,
CPU-only engines). Turing, 7.5, needs one of its own."""

EXTRA = "pip install neurosono[tensorrt-rtx]"


def load_library() -> Any:
    """Return the `tensorrt_rtx` module; raises `EngineUnavailableError` where it does not load."""
    if importlib.util.find_spec("tensorrt_rtx") is None:
        raise EngineUnavailableError(f"tensorrt-rtx is not installed: {EXTRA}")
    try:
        import tensorrt_rtx
    except (ImportError, OSError) as error:
        raise EngineUnavailableError(
            f"tensorrt-rtx does not load: {error}; install it again: {EXTRA}"
        ) from error
    return tensorrt_rtx


def choose_file(gpu: Gpu, paths: list[Path]) -> Path:
    """Return which of an entry's engines is for `gpu`; raises `EngineUnavailableError` if none."""
    wanted = TURING if gpu.generation < (8, 0) else AMPERE
    found = next((path for path in paths if path.name == wanted), None)
    if gpu.generation < (7, 5) or found is None:
        raise EngineUnavailableError(
            f"the TensorRT for RTX engine was not built for {gpu.name} (compute capability "
            f"{gpu.compute_capability}): it has {[path.name for path in paths]}; build it in fp16, "
            "or use --engine openvino"
        )
    return found


class TensorRtRtxBackend(SerializedEngine):
    """A TensorRT for RTX engine on this host's GPU."""

    name = "tensorrt-rtx"

    def __init__(self, paths: list[Path], precision: str, cache: Path | None = None) -> None:
        """Load the engine of `paths` that is for this host's GPU.

        `cache` is a file that keeps what was compiled for it. Raises `EngineUnavailableError`
        where this host cannot run it, `BundleError` where the file is not an engine.
        """
        gpu = find_gpu()
        if gpu is None:
            raise EngineUnavailableError(
                "TensorRT for RTX needs an NVIDIA GPU and its driver, and finds none here: "
                "use --engine openvino"
            )
        trt = load_library()
        path = choose_file(gpu, [path for path in paths if path.suffix == ".engine"])
        blob = path.read_bytes()
        words: list[str] = []
        self._logger = make_logger(trt, words)
        self._runtime = trt.Runtime(self._logger)
        read_header(trt, self._runtime, blob, path)
        engine = self._runtime.deserialize_cuda_engine(blob)
        if engine is None:
            raise EngineUnavailableError(
                f"{path.name} does not load on {gpu.name} (driver for CUDA {gpu.driver}, "
                f"TensorRT for RTX {trt.__version__}: {'; '.join(words[-1:])}): build it again "
                "with `neurosono build`, or use --engine openvino"
            )
        config = engine.create_runtime_config()
        kept = config.create_runtime_cache()
        if cache is not None and cache.is_file():
            kept.deserialize(cache.read_bytes())  # refuses what another card or driver wrote
        config.set_runtime_cache(kept)
        context = engine.create_execution_context(runtime_config=config)
        if context is None:
            raise EngineUnavailableError(
                f"{gpu.name} has no room for {path.name}: use fewer --members, or --engine openvino"
            )
        super().__init__(context, engine, precision)
        if cache is not None:
            _keep(cache, bytes(kept.serialize()))


def read_header(trt: Any, runtime: Any, blob: bytes, path: Path) -> set[str]:
    """Check an engine's header, which needs no GPU; returns what speaks against running it here.

    Raises `BundleError` where it is not an engine of this version of TensorRT for RTX.
    """
    header = blob[: runtime.engine_header_size]
    validity, bits = runtime.get_engine_validity(header)
    found = {
        kind.name
        for kind in trt.EngineInvalidityDiagnostics.__members__.values()
        if bits & int(kind.value)
    }
    if found & {"MALFORMED_ENGINE", "VERSION_MISMATCH"}:
        raise BundleError(
            f"{path} is not an engine of TensorRT for RTX {trt.__version__}: build it again with "
            "`neurosono build --engine tensorrt-rtx`"
        )
    return found | ({"INVALID"} if validity == trt.EngineValidity.INVALID else set())


def _keep(cache: Path, blob: bytes) -> None:
    try:
        cache.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        aside = cache.with_suffix(".new")
        aside.write_bytes(blob)
        aside.replace(cache)
    except OSError as error:
        raise OutputError(f"cannot keep {cache}: {error}") from error
