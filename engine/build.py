"""Compile a bundle's members into an engine, compare it with the reference, and enter it.

Needs torch; built aside, so that a bundle never holds half an engine.
"""

import copy
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from neurosono.engine.backends import Inference, name_precision
from neurosono.engine.backends.openvino import MODEL_NAME, OpenVinoBackend, save
from neurosono.engine.backends.torch import TorchBackend
from neurosono.engine.builders import Built
from neurosono.engine.builders.openvino import convert
from neurosono.engine.bundle import Bundle, file_of, write_manifest
from neurosono.engine.contracts.arrays import Integers, Pixels, Singles
from neurosono.engine.contracts.errors import EngineUnavailableError, InputError
from neurosono.engine.contracts.manifest import EngineEntry
from neurosono.engine.files import writing
from neurosono.engine.members import load_ensemble
from neurosono.engine.network import Ensemble
from neurosono.engine.parity import check_limits, compare_answers

OPENVINO_PRECISIONS = ("f32", "fp16", "bf16")

BUILT = ("openvino", "tensorrt", "tensorrt-rtx")
"""Engines that are compiled; torch runs the members as they are."""

BATCH = 8
"""Frames compared at a time: what float32 keeps of 37 members stays under 2 GB."""


@dataclass(frozen=True)
class CheckFrames:
    """What an engine is compared on: frames (N, S, S) uint8, and the number (N,) of each's exam."""

    frames: Pixels
    exams: Integers


def build_engine(
    bundle: Bundle,
    engine: str,
    precision: str,
    members: int | None,
    check: CheckFrames,
    on_step: Callable[[str], None] = lambda _: None,
) -> EngineEntry:
    """Build the engine of the first `members` members (None: all) and enter it in the manifest.

    Raises `EngineUnavailableError` where this host cannot build it, `InputError` where it is over
    its limits: it is then not kept.
    """
    precision = name_precision(precision)
    if engine not in BUILT:
        raise EngineUnavailableError(
            f"no engine {engine!r} is built: choose one of {list(BUILT)}; torch runs the bundle's "
            "members as they are"
        )
    ensemble = load_ensemble(bundle, members)
    count = len(ensemble.members)
    name = f"engines/{engine}-{precision}" + ("" if members is None else f"-x{count}")
    with writing(f"an engine into {bundle.root}"):
        (bundle.root / name).parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=bundle.root, prefix=".build-") as aside:
            folder = Path(aside) / "engine"
            folder.mkdir()
            on_step("converting")
            built = _compile(bundle, engine, precision, copy.deepcopy(ensemble), folder, check)
            on_step("comparing with the reference")
            exact = _judge(TorchBackend(ensemble).infer, check.frames)
            found = _judge(built.infer, check.frames)
            parity = compare_answers(exact, found, check.exams)
            check_limits(parity, precision)
            if engine != "openvino":
                from neurosono.engine.backends.serialized import write_probe

                write_probe(folder, check.frames, exact)
            shutil.rmtree(bundle.root / name, ignore_errors=True)
            folder.rename(bundle.root / name)
    paths = sorted(path.name for path in (bundle.root / name).iterdir())
    entry = EngineEntry(
        backend=engine,
        precision=precision,
        members=count,
        files=tuple(file_of(bundle.root, f"{name}/{path}") for path in paths),
        target=built.target,
        parity=parity.to_json(),
    )
    enter_engine(bundle, entry)
    return entry


def copy_bundle(bundle: Bundle, out: Path) -> Bundle:
    """Copy a bundle to `out`, which must not exist, so that an engine is built there instead."""
    if out.exists():
        raise InputError(f"{out} is there already: name a new folder for the bundle's copy")
    with writing(f"the bundle to {out}", doing="copy"):
        shutil.copytree(bundle.root, out)
    return Bundle.load(out)


def enter_engine(bundle: Bundle, entry: EngineEntry) -> None:
    """Put an engine into the manifest, in the place of one of the same kind."""
    kind = (entry.backend, entry.precision, entry.members)
    others = tuple(
        engine
        for engine in bundle.manifest.engines
        if (engine.backend, engine.precision, engine.members) != kind
    )
    write_manifest(bundle.root, replace(bundle.manifest, engines=(*others, entry)))


def _judge(infer: Callable[[Pixels], Inference], frames: Pixels) -> Singles:
    parts = [frames[at : at + BATCH] for at in range(0, len(frames), BATCH)]
    return np.concatenate([infer(part).probabilities for part in parts])


def _compile(
    bundle: Bundle,
    engine: str,
    precision: str,
    ensemble: Ensemble,
    folder: Path,
    check: CheckFrames,
) -> Built:
    size_px = bundle.manifest.preprocessing.size_px
    if engine == "tensorrt":
        from neurosono.engine.builders.tensorrt import compile_tensorrt

        return compile_tensorrt(ensemble, size_px, precision, folder, check.frames)
    if engine == "tensorrt-rtx":
        from neurosono.engine.builders.tensorrt_rtx import compile_rtx

        return compile_rtx(ensemble, size_px, precision, folder)
    if precision not in OPENVINO_PRECISIONS:
        raise EngineUnavailableError(
            f"an OpenVINO engine is built in one of {list(OPENVINO_PRECISIONS)}, or in int8 with "
            f"--cache, not {precision!r}"
        )
    save(convert(ensemble, size_px), folder, precision)
    return Built({"device": "CPU"}, OpenVinoBackend(folder / MODEL_NAME, precision).infer)
