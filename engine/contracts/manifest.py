"""The model card that makes a folder a bundle: `manifest.json`, read and checked."""

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import Any

from neurosono.engine.contracts.errors import BundleError, InputError
from neurosono.engine.contracts.familiarity import FamiliarityEntry
from neurosono.engine.contracts.files import SHA256 as SHA256
from neurosono.engine.contracts.files import BundleFile as BundleFile
from neurosono.engine.contracts.files import read_files
from neurosono.engine.contracts.gate import GateEntry
from neurosono.engine.contracts.labels import validate_labels
from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.contracts.preprocessing import PreprocessingSpec

SCHEMA = "neurosono-bundle/1"


@dataclass(frozen=True)
class Member:
    """One trained network; `file` is None where the bundle carries it only inside an engine."""

    name: str
    width: float
    file: BundleFile | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the manifest's object for the member."""
        file = None if self.file is None else self.file.to_json()
        return {"name": self.name, "width": self.width, "file": file}


@dataclass(frozen=True)
class EngineEntry:
    """A compiled graph of the first `members` members, and the files that it consists of."""

    backend: str
    precision: str
    members: int
    files: tuple[BundleFile, ...]
    target: dict[str, str] = field(default_factory=dict)
    parity: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the manifest's object for the engine."""
        return {
            "backend": self.backend,
            "precision": self.precision,
            "members": self.members,
            "files": [file.to_json() for file in self.files],
            "target": self.target,
            "parity": self.parity,
        }


@dataclass(frozen=True)
class Manifest:
    """Everything that a bundle says of itself.

    `card` is the model card's free part: training data and its digest, recipe, metrics with
    intervals, intended use, limits. `gate` is the network that says which frames are a fetal head
    or spine at all; None: every frame is judged. `familiarity` says which frames are like those
    that the members were trained on; None: nobody asks.
    """

    name: str
    labels: tuple[str, ...]
    preprocessing: PreprocessingSpec
    members: tuple[Member, ...]
    calibration: BundleFile | None = None
    engines: tuple[EngineEntry, ...] = ()
    card: dict[str, Any] = field(default_factory=dict)
    gate: GateEntry | None = None
    familiarity: FamiliarityEntry | None = None

    def __post_init__(self) -> None:
        if not self.members:
            raise BundleError("a bundle needs at least one member")

    @property
    def files(self) -> tuple[BundleFile, ...]:
        """Every file that the manifest answers for."""
        members = tuple(member.file for member in self.members if member.file is not None)
        calibration = () if self.calibration is None else (self.calibration,)
        engines = tuple(file for engine in self.engines for file in engine.files)
        gate = () if self.gate is None else self.gate.files
        familiarity = () if self.familiarity is None else (self.familiarity.file,)
        return members + calibration + engines + gate + familiarity

    @property
    def digest(self) -> str:
        """Return the sha256 that names this model, the same whichever engines were built of it."""
        body = replace(self, engines=())._body()
        return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return what is written to `manifest.json`; `digest` tells if it was altered since."""
        return {**self._body(), "digest": self.digest}

    def _body(self) -> dict[str, Any]:
        body: dict[str, Any] = {
            "schema": SCHEMA,
            "name": self.name,
            "notice": NOTICE,
            "labels": list(self.labels),
            "preprocessing": self.preprocessing.to_json(),
            "members": [member.to_json() for member in self.members],
            "calibration": None if self.calibration is None else self.calibration.to_json(),
            "engines": [engine.to_json() for engine in self.engines],
            "card": self.card,
        }
        # What a bundle lacks has no key, so bundles made before there was such a thing keep their
        # digest.
        if self.gate is not None:
            body["gate"] = self.gate.to_json()
        if self.familiarity is not None:
            body["familiarity"] = self.familiarity.to_json()
        return body

    @classmethod
    def from_json(cls, found: Any) -> "Manifest":
        """Read `manifest.json`; raise `BundleError` saying what was expected and found."""
        if not isinstance(found, dict) or found.get("schema") != SCHEMA:
            schema = found.get("schema") if isinstance(found, dict) else type(found).__name__
            raise BundleError(
                f"the manifest's schema must be {SCHEMA}, found {schema!r}: "
                "make the bundle again with `neurosono train`, or use the matching release"
            )
        try:
            manifest = cls(
                name=str(found["name"]),
                labels=validate_labels(found["labels"]),
                preprocessing=PreprocessingSpec.from_json(found["preprocessing"]),
                members=tuple(_read_member(member) for member in found["members"]),
                calibration=_read_file(found["calibration"]),
                engines=tuple(_read_engine(engine) for engine in found["engines"]),
                card=dict(found["card"]),
                gate=GateEntry.from_json(found["gate"]) if "gate" in found else None,
                familiarity=FamiliarityEntry.from_json(found["familiarity"])
                if "familiarity" in found
                else None,
            )
            expected = found["digest"]
        except BundleError:
            raise
        except (KeyError, TypeError, ValueError, OverflowError, InputError) as error:
            raise BundleError(f"the manifest is not readable: {error!r}") from error
        if expected != manifest.digest:
            raise BundleError(
                f"the manifest was altered since it was written (labels {list(manifest.labels)}, "
                f"digest {manifest.digest[:12]}…, expected {str(expected)[:12]}…): "
                "copy the bundle again, or make it anew with `neurosono train`"
            )
        return manifest


def _read_file(found: Any) -> BundleFile | None:
    return None if found is None else BundleFile(found["path"], found["sha256"])


def _read_member(found: Any) -> Member:
    return Member(str(found["name"]), float(found["width"]), _read_file(found["file"]))


def _read_engine(found: Any) -> EngineEntry:
    return EngineEntry(
        backend=str(found["backend"]),
        precision=str(found["precision"]),
        members=int(found["members"]),
        files=read_files(found["files"]),
        target=dict(found["target"]),
        parity=dict(found["parity"]),
    )
