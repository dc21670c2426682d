"""Compile a bundle's members into an engine, compare it with the reference, and enter it.

Needs torch and OpenVINO; built aside, so that a bundle never holds half an engine.
"""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.backends.openvino import HINTS, MODEL_NAME, OpenVinoBackend, convert, save
from engine.backends.torch import TorchBackend
from engine.bundle import Bundle, file_of, write_manifest
from engine.contracts.errors import EngineUnavailableError, InputError, OutputError
from engine.contracts.manifest import EngineEntry
from engine.members import load_ensemble

LIMITS = {"f32": 1e-4, "f16": 0.02, "bf16": 0.02}
"""The largest difference of a member's probability to the float32 reference."""

CHECK_FRAMES = 16


def build_openvino(
    bundle: Bundle,
    precision: str,
    members: int | None,
    frames: NDArray[np.uint8],
    on_step: Callable[[str], None] = lambda _: None,
) -> EngineEntry:
    """Build the OpenVINO engine of the first `members` members in f32, f16 or bf16.

    `frames` (N, size, size) uint8 are what it is compared on. Raises `EngineUnavailableError` on
    another precision, `InputError` where the engine is over its limit: it is then not kept.
    """
    if precision not in LIMITS or precision not in HINTS:
        raise EngineUnavailableError(
            f"an OpenVINO engine is built in one of {sorted(LIMITS)}, or in int8, not {precision!r}"
        )
    ensemble = load_ensemble(bundle, members)
    on_step("converting")
    model = convert(ensemble, bundle.manifest.preprocessing.size_px)
    count = len(ensemble.members)
    name = f"engines/openvino-{precision}" + ("" if members is None else f"-x{count}")
    on_step("comparing with the reference")
    try:
        (bundle.root / name).parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=bundle.root, prefix=".build-") as aside:
            folder = Path(aside) / "engine"
            save(model, folder, precision)
            difference = _compare(TorchBackend(ensemble), folder, precision, frames)
            if difference > LIMITS[precision]:
                raise InputError(
                    f"the {precision} engine differs by {difference:.2g} from float32, the limit "
                    f"is {LIMITS[precision]:.2g}: it is not kept; choose another precision"
                )
            shutil.rmtree(bundle.root / name, ignore_errors=True)
            folder.rename(bundle.root / name)
    except OSError as error:
        raise OutputError(f"cannot write an engine into {bundle.root}: {error}") from error
    entry = EngineEntry(
        backend="openvino",
        precision=precision,
        members=count,
        files=tuple(file_of(bundle.root, f"{name}/model.{kind}") for kind in ("bin", "xml")),
        target={"device": "CPU"},
        parity={"max_probability_difference": difference, "frames": float(len(frames))},
    )
    enter_engine(bundle, entry)
    return entry


def enter_engine(bundle: Bundle, entry: EngineEntry) -> None:
    """Put an engine into the manifest, in the place of one of the same kind."""
    kind = (entry.backend, entry.precision, entry.members)
    others = tuple(
        engine
        for engine in bundle.manifest.engines
        if (engine.backend, engine.precision, engine.members) != kind
    )
    write_manifest(bundle.root, replace(bundle.manifest, engines=(*others, entry)))


def _compare(
    reference: TorchBackend, folder: Path, precision: str, frames: NDArray[np.uint8]
) -> float:
    built = OpenVinoBackend(folder / MODEL_NAME, precision).infer(frames)
    exact = reference.infer(frames)
    return float(np.abs(built.probabilities - exact.probabilities).max())
