"""A folder that is a model: manifest, weights, calibration, engines."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from neurosono.engine.contracts.calibration import Calibration
from neurosono.engine.contracts.errors import BundleError, InputError
from neurosono.engine.contracts.manifest import (
    CLASSIFIER,
    PATTERNS,
    REGIONS,
    STRUCTURES,
    BundleFile,
    EngineEntry,
    Manifest,
)
from neurosono.engine.files import write_whole
from neurosono.engine.signature import read_trusted_keys, verify

MANIFEST_NAME = "manifest.json"
CALIBRATION_NAME = "calibration.json"
DEMO_NAME, STRUCTURES_NAME = "demo", "structures"
REGIONS_NAME, PATTERNS_NAME, VM_NAME = "regions", "patterns", "vm"
SHIPPED = {
    name: Path(__file__).parent / "bundles" / name
    for name in (DEMO_NAME, STRUCTURES_NAME, REGIONS_NAME, PATTERNS_NAME, VM_NAME)
}
"""The bundles that ship with the package, by the name that stands for them wherever a bundle is
asked for. All but `structures` were trained on phantoms, for showing the pipeline only."""
DEMO_PATH = SHIPPED[DEMO_NAME]

_ADVICE = {
    CLASSIFIER: "to have it read beside one, name it with --also",
    STRUCTURES: f"name one, or `{STRUCTURES_NAME}`",
    PATTERNS: f"name one, or `{PATTERNS_NAME}`",
    REGIONS: f"name one, or `{REGIONS_NAME}`",
}

LARGEST_MANIFEST_BYTES = 16_000_000
"""A card with every clip's digest has some hundred kB."""

PRECISIONS_BY_PREFERENCE = ("int8", "bf16", "f16", "fp16", "f32")
"""Fastest first: an engine is only in a bundle if it passed the parity limits of its precision."""


def hash_file(path: Path) -> str:
    """Return the sha256 of a file's bytes, as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_of(root: Path, path: str) -> BundleFile:
    """Return the manifest's entry for the file that now stands at `path` inside `root`."""
    return BundleFile(path, hash_file(root / path))


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk whose every file is what its manifest says."""

    root: Path
    manifest: Manifest
    calibration: Calibration
    signer: str | None = None
    """Whose trusted key signed it, None where nobody asked."""

    @classmethod
    def load(
        cls,
        where: str | Path,
        labels: Sequence[str] | None = None,
        *,
        kind: str | None = CLASSIFIER,
        trusted: str | Path | None = None,
    ) -> "Bundle":
        """Open a bundle, or a shipped one by its name, and check every file in it.

        A `Path` is a folder first: one that is called like a shipped bundle is itself.

        Raises `BundleError` on a missing folder or file, a wrong hash, another schema, another
        `kind` than the one asked for (None: any), labels other than `labels` where given, or no
        signature by one of the keys in the file `trusted`, where that is given.
        """
        root = Path(where)
        if isinstance(where, str) or not (root / MANIFEST_NAME).is_file():
            root = SHIPPED.get(str(where), root)
        manifest, signer = _read_manifest(root, trusted)
        if kind not in (None, manifest.kind):
            raise BundleError(
                f"bundle {root} is of the kind {manifest.kind}, where a {kind} is asked for: "
                f"{_ADVICE.get(str(kind), 'name another')}"
            )
        if labels is not None and tuple(labels) != manifest.labels:
            raise BundleError(
                f"bundle {root} has labels {list(manifest.labels)}, expected {list(labels)}: "
                "use a bundle that was trained on these labels"
            )
        for file in manifest.files:
            _check_file(root, file)
        return cls(root, manifest, _read_calibration(root, manifest), signer)

    def engine(self, backend: str, precision: str | None, members: int | None) -> EngineEntry:
        """Choose the fastest of `engines`."""
        return self.engines(backend, precision, members)[0]

    def engines(
        self, backend: str, precision: str | None, members: int | None
    ) -> list[EngineEntry]:
        """Return the built engines that fit, at least one, fastest first.

        `precision` None takes any, `members` None all of them. Raises `BundleError` naming what the
        bundle has and the command that builds what is missing.
        """
        wanted = len(self.manifest.members) if members is None else members
        if not 1 <= wanted <= len(self.manifest.members):
            raise BundleError(
                f"--members {wanted} asked for, but the bundle has {len(self.manifest.members)}: "
                f"choose 1 to {len(self.manifest.members)}"
            )
        fitting = [
            engine
            for engine in self.manifest.engines
            if engine.backend == backend
            and (precision is None or _same(precision, engine.precision))
            and engine.members >= wanted
        ]
        if not fitting:
            raise BundleError(self._describe_missing(backend, precision, wanted))
        return sorted(fitting, key=lambda each: (_preference(each.precision), each.members))

    def _describe_missing(self, backend: str, precision: str | None, members: int) -> str:
        found = [f"{e.backend} {e.precision} x{e.members}" for e in self.manifest.engines]
        asked = f"{backend} {precision or 'of any precision'} x{members}"
        command = f"neurosono build {self.root} --engine {backend} --precision {precision or 'f32'}"
        return f"the bundle has no engine {asked}, only {found}: build it with `{command}`"


def find_shipped(sha256: str) -> Bundle | None:
    """Return the bundle that ships and has this digest, None where none does."""
    for root in SHIPPED.values():
        if root.is_dir() and _read_manifest(root, None)[0].digest == sha256:
            return Bundle.load(root, kind=None)
    return None


def _same(one: str, other: str) -> bool:
    return one.replace("fp", "f") == other.replace("fp", "f")  # f16 and fp16 are one precision


def _preference(precision: str) -> int:
    known = PRECISIONS_BY_PREFERENCE
    return known.index(precision) if precision in known else len(known)


def read_manifest_bytes(root: Path) -> bytes:
    """Return the bytes of a bundle's manifest, which a signature is over; raises `OSError`."""
    with (root / MANIFEST_NAME).open("rb") as file:
        return file.read(LARGEST_MANIFEST_BYTES)


def _read_manifest(root: Path, trusted: str | Path | None) -> tuple[Manifest, str | None]:
    """Return the manifest, and who signed the bytes that it was read from."""
    path = root / MANIFEST_NAME
    name = next((each for each, place in SHIPPED.items() if place == root), DEMO_NAME)
    if name != DEMO_NAME and not root.is_dir():
        command = "train" if name == VM_NAME else f"train {name} ship"
        raise BundleError(
            f"no bundle `{name}` ships with this release: make one with `neurosono {command}`, and "
            "name its folder"
        )
    if not root.is_dir():
        raise BundleError(f"no bundle at {root}: name a bundle's folder, or `demo`")
    try:
        data = read_manifest_bytes(root)
        signer = (
            None if trusted is None else verify(root, data, read_trusted_keys(Path(trusted))).name
        )
        return Manifest.from_json(json.loads(data)), signer
    except FileNotFoundError as error:
        raise BundleError(f"{root} is no bundle: it has no {MANIFEST_NAME}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{path} cannot be read as JSON: {error}") from error
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from error


def _check_file(root: Path, file: BundleFile) -> None:
    path = root / file.path
    remedy = "copy the bundle again, or make it anew with `neurosono train` and `neurosono build`"
    if not path.is_file():
        raise BundleError(f"bundle {root} misses {file.path}: {remedy}")
    found = hash_file(path)
    if found != file.sha256:
        raise BundleError(
            f"{file.path} in bundle {root} is not what its manifest says "
            f"(sha256 {found[:12]}…, expected {file.sha256[:12]}…): {remedy}"
        )


def _read_calibration(root: Path, manifest: Manifest) -> Calibration:
    if manifest.calibration is None:
        return Calibration()
    path = root / manifest.calibration.path
    try:
        return Calibration.from_json(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError, RecursionError, InputError) as error:
        raise BundleError(f"{path} cannot be read: {error}; run `neurosono calibrate`") from error


def write_json(path: Path, content: object, *, mode: int = 0o644) -> None:
    """Write JSON aside, then rename: the file is whole or absent. Raises `OutputError`."""
    write_whole(path, json.dumps(content, indent=2) + "\n", mode=mode)


def write_manifest(root: Path, manifest: Manifest) -> None:
    """Write `manifest.json` of the bundle at `root`, aside and then renamed."""
    write_json(root / MANIFEST_NAME, manifest.to_json())


def write_calibration(root: Path, calibration: Calibration) -> BundleFile:
    """Write `calibration.json` of the bundle at `root` and return its manifest entry."""
    write_json(root / CALIBRATION_NAME, calibration.to_json())
    return file_of(root, CALIBRATION_NAME)
