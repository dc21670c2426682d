"""The model card that makes a folder a bundle: `manifest.json`, read and checked."""

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from neurosono.engine.contracts.architecture import RESNET34, check_architecture
from neurosono.engine.contracts.codec import to_plain
from neurosono.engine.contracts.errors import BundleError, InputError
from neurosono.engine.contracts.familiarity import FamiliarityEntry
from neurosono.engine.contracts.files import SHA256 as SHA256
from neurosono.engine.contracts.files import BundleFile as BundleFile
from neurosono.engine.contracts.gate import GateEntry
from neurosono.engine.contracts.labels import validate_labels
from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.contracts.preprocessing import PreprocessingSpec

SCHEMA = "neurosono-bundle/1"

MOST_LETTERS = 120
"""Of a bundle's, a member's or an engine's name."""

CLASSIFIER, STRUCTURES, REGIONS = "classifier", "structures", "regions"
PATTERNS = "patterns"
"""Kinds of bundles: what tells classes of an exam apart, what finds planes and structures, what
judges regions of two planes, and what finds patterns beside the structures."""


@dataclass(frozen=True)
class Member:
    """One trained network; `file` is None where the bundle carries it only inside an engine.

    `architecture` is one of `contracts.architecture`.
    """

    name: str
    width: float
    file: BundleFile | None = None
    architecture: str = RESNET34


@dataclass(frozen=True)
class EngineEntry:
    """A compiled graph of the first `members` members, and the files that it consists of."""

    backend: str
    precision: str
    members: int
    files: tuple[BundleFile, ...]
    target: dict[str, str] = field(default_factory=dict)
    parity: dict[str, int | float] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """Everything that a bundle says of itself.

    `card` is the model card's free part: training data and its digest, recipe, metrics with
    intervals, intended use, limits. `gate` is the network that says which frames are a fetal head
    or spine at all; None: every frame is judged. `familiarity` says which frames are like those
    that the members were trained on; None: nobody asks. `kind` says what the bundle gives
    (`engine.kinds`); `labels` are what it tells apart.
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
    kind: str = CLASSIFIER

    def __post_init__(self) -> None:
        if not self.members:
            raise BundleError("a bundle needs at least one member")
        if len({member.architecture for member in self.members}) != 1:
            raise BundleError("a bundle's members must be of one architecture")
        engines = (word for each in self.engines for word in (each.backend, each.precision))
        for word in (self.name, self.kind, *(each.name for each in self.members), *engines):
            if not (0 < len(word) <= MOST_LETTERS and word.isprintable()):
                raise BundleError(
                    f"a bundle's names must be 1 to {MOST_LETTERS} letters that can be printed, "
                    f"found {ascii(word)[:80]}: give another"
                )

    @property
    def architecture(self) -> str:
        """The members' network."""
        return self.members[0].architecture

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
        said = to_plain(self)
        for name in ("gate", "familiarity"):  # what a bundle lacks has no key, so that bundles
            if said[name] is None:  # made before there was such a thing keep their digest
                del said[name]
        if self.kind == CLASSIFIER:
            del said["kind"]
        for member in said["members"]:
            if member["architecture"] == RESNET34:
                del member["architecture"]
        return {"schema": SCHEMA, "name": said.pop("name"), "notice": NOTICE, **said}

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
            PreprocessingSpec.from_json(found["preprocessing"])  # says what it must have
            manifest = msgspec.convert(found, cls)
            validate_labels(manifest.labels)
            for member in manifest.members:
                check_architecture(member.architecture)
            expected = found["digest"]
        except BundleError:
            raise
        except (msgspec.ValidationError, KeyError, TypeError, ValueError, InputError) as error:
            raise BundleError(f"the manifest is not readable: {error!r}") from error
        if expected != manifest.digest:
            raise BundleError(
                f"the manifest was altered since it was written (labels {list(manifest.labels)}, "
                f"digest {manifest.digest[:12]}…, expected {str(expected)[:12]}…): "
                "copy the bundle again, or make it anew with `neurosono train`"
            )
        return manifest
