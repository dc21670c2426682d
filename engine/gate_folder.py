"""A gate by itself, as a folder; and how it comes into a bundle."""

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from neurosono.engine.bundle import Bundle, file_of, hash_file, write_json, write_manifest
from neurosono.engine.contracts.codec import to_plain
from neurosono.engine.contracts.errors import BundleError
from neurosono.engine.contracts.gate import (
    GATE_FOLDER,
    GRAPH_NAME,
    STATISTICS_NAME,
    WEIGHTS_NAME,
    GateEntry,
)
from neurosono.engine.files import writing
from neurosono.engine.gate import Gate

ENTRY_NAME = "gate.json"
SCHEMA = "neurosono-gate/1"
NAMES = (GRAPH_NAME, WEIGHTS_NAME, STATISTICS_NAME)
LARGEST_BYTES = 6_000_000
"""A gate travels with every bundle."""


def write_entry(folder: Path, **fields: Any) -> GateEntry:
    """Write `gate.json` beside a gate's three files; `fields` are those of `GateEntry`.

    Raises `BundleError` over `LARGEST_BYTES`.
    """
    size = sum((folder / name).stat().st_size for name in NAMES)
    if size > LARGEST_BYTES:
        raise BundleError(
            f"the gate in {folder} has {size} bytes, at most {LARGEST_BYTES} may travel with a "
            "bundle: make its network narrower"
        )
    files = tuple(file_of(folder, name) for name in NAMES)
    entry = GateEntry(files=files, **fields)
    write_json(folder / ENTRY_NAME, {"schema": SCHEMA, **to_plain(entry)})
    return entry


def read_entry(folder: Path) -> GateEntry:
    """Read a gate's folder and check its files; raises `BundleError`."""
    remedy = "make it with `neurosono train gate run`"
    try:
        found = json.loads((folder / ENTRY_NAME).read_bytes())
        if found.get("schema") != SCHEMA:
            raise BundleError(f"{folder} holds no gate of schema {SCHEMA}: {remedy}")
        entry = msgspec.convert(found, GateEntry)
    except (OSError, ValueError, TypeError, AttributeError, msgspec.ValidationError) as error:
        raise BundleError(f"{folder} holds no gate ({error!r}): {remedy}") from error
    for file in entry.files:
        path = folder / file.path
        if not path.is_file() or hash_file(path) != file.sha256:
            raise BundleError(f"{path} is missing or not what {ENTRY_NAME} says: {remedy}")
    return entry


def add_gate(root: Path, folder: Path) -> Bundle:
    """Copy the gate in `folder` into the bundle at `root`, in the place of one it may have.

    Raises `BundleError` where the two do not fit, leaving the bundle as it was, and `OutputError`.
    """
    bundle, entry = Bundle.load(root), read_entry(folder)
    root = bundle.root
    with (
        writing(f"a gate into {root}"),
        tempfile.TemporaryDirectory(dir=root, prefix=".gate-") as aside,
    ):
        fresh = Path(aside) / GATE_FOLDER
        fresh.mkdir()
        for name in NAMES:
            shutil.copyfile(folder / name, fresh / name)
        here = replace(bundle, root=Path(aside), manifest=_enter(bundle, Path(aside), entry))
        Gate.open(here)
        shutil.rmtree(root / GATE_FOLDER, ignore_errors=True)
        fresh.rename(root / GATE_FOLDER)
    write_manifest(root, here.manifest)
    return Bundle.load(root)


def _enter(bundle: Bundle, root: Path, entry: GateEntry) -> Any:
    files = tuple(file_of(root, f"{GATE_FOLDER}/{name}") for name in NAMES)
    return replace(bundle.manifest, gate=replace(entry, files=files))
