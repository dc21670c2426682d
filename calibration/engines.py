"""Low-precision engines: built aside, compared with float32, kept only within limits."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from neurosono.calibration.parity import compare, describe_limits, measure_cost
from neurosono.calibration.quantise import draw_rows
from neurosono.engine.backends.openvino import MODEL_NAME, OpenVinoBackend, save
from neurosono.engine.backends.torch import TorchBackend
from neurosono.engine.build import enter_engine
from neurosono.engine.builders.openvino import convert, quantise
from neurosono.engine.bundle import Bundle, file_of, write_manifest
from neurosono.engine.choice import open_engine
from neurosono.engine.contracts.architecture import TRANSFORMERS
from neurosono.engine.contracts.cache import Cache
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.manifest import EngineEntry
from neurosono.engine.contracts.predictions import Predictions
from neurosono.engine.files import writing
from neurosono.engine.judgement import check_fits, judge
from neurosono.engine.members import load_ensemble
from neurosono.engine.parity import LIMITS, check_limits

INT8_FOLDER = "engines/openvino-int8"


def add_int8(bundle: Bundle, cache: Cache) -> dict[str, float]:
    """Build the int8 engine of all members, measure it, and write it and the manifest.

    `cache` holds patients that trained nothing. Returns what the manifest says of parity. Raises
    `InputError`, leaving the bundle as it was, where the engine is over its limits.
    """
    check_fits(bundle, cache)
    draw = draw_rows(cache)
    ensemble = load_ensemble(bundle)
    reference = judge(TorchBackend(ensemble), cache, draw.check, fold=-1, salt="")
    frames = np.asarray(cache.frames[draw.quantise])
    attends = bundle.manifest.architecture in TRANSFORMERS
    model = quantise(convert(ensemble, frames.shape[-1]), frames, attends=attends)
    with writing(f"an engine into {bundle.root}"):
        (bundle.root / INT8_FOLDER).parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=bundle.root, prefix=".int8-") as aside:
            folder = Path(aside) / "engine"
            save(model, folder, "int8")
            backend = OpenVinoBackend(folder / MODEL_NAME, "int8")
            found = judge(backend, cache, draw.check, fold=-1, salt="")
            parity = compare(reference, found)
            check_limits(parity, "int8")
            measured = measure_cost(reference, found, bundle.calibration)
            shutil.rmtree(bundle.root / INT8_FOLDER, ignore_errors=True)
            folder.rename(bundle.root / INT8_FOLDER)
    found_files = sorted((bundle.root / INT8_FOLDER).iterdir())
    entry = EngineEntry(
        backend="openvino",
        precision="int8",
        members=len(bundle.manifest.members),
        files=tuple(
            file_of(bundle.root, path.relative_to(bundle.root).as_posix()) for path in found_files
        ),
        target={"device": "CPU"},
        parity=parity.to_json()
        | measured
        | describe_limits("int8")
        | {"quantised_on_frames": float(len(draw.quantise))},
    )
    enter_engine(bundle, entry)
    return entry.parity


def check_engines(
    bundle: Bundle, reference: Predictions, cache: Cache
) -> dict[str, dict[str, float]]:
    """Compare every OpenVINO engine of all members with the float32 `reference` of `cache`.

    What each costs, in calibration too, goes into the manifest. int8 engines are left alone: they
    were compared where they were made, on patients that did not quantise them. Raises `InputError`
    where an engine is over its limits: it is then out of the manifest, its files gone.
    """
    found: dict[str, dict[str, float]] = {}
    for entry in bundle.manifest.engines:
        whole = entry.backend == "openvino" and entry.members == len(bundle.manifest.members)
        if not whole or entry.precision not in LIMITS or entry.precision == "int8":
            continue
        backend = open_engine(bundle, "openvino", entry.precision).backend
        judged = judge(backend, cache, reference.rows, fold=-1, salt="")
        parity = compare(reference, judged)
        try:
            check_limits(parity, entry.precision)
        except InputError:
            _remove_engine(bundle, entry)
            raise
        cost = measure_cost(reference, judged, bundle.calibration)
        noted = entry.parity | parity.to_json() | cost | describe_limits(entry.precision)
        enter_engine(Bundle.load(bundle.root), replace(entry, parity=noted))
        found[entry.precision] = noted
    return found


def _remove_engine(bundle: Bundle, entry: EngineEntry) -> None:
    manifest = Bundle.load(bundle.root).manifest
    kept = tuple(engine for engine in manifest.engines if engine.files != entry.files)
    write_manifest(bundle.root, replace(manifest, engines=kept))
    for file in entry.files:
        (bundle.root / file.path).unlink(missing_ok=True)


def drop_members(root: Path, reason: str) -> None:
    """Remove the members' weights from a bundle whose engines carry them; the card says `reason`.

    Raises `InputError` where no engine holds all members: nothing would be left to run.
    """
    bundle = Bundle.load(root)
    manifest = bundle.manifest
    if not any(engine.members == len(manifest.members) for engine in manifest.engines):
        raise InputError(f"bundle {root} has no engine of all members: build one first")
    members = tuple(replace(member, file=None) for member in manifest.members)
    card = manifest.card | {"members_left_out": reason}
    write_manifest(root, replace(manifest, members=members, card=card))
    for member in manifest.members:
        if member.file is not None:
            (root / member.file.path).unlink()
    if (root / "members").is_dir() and not any((root / "members").iterdir()):
        (root / "members").rmdir()
