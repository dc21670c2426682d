"""Kinds of bundles, one file each: what one says of a picture, and what that adds up to.

A kind is a module of this package that defines `KIND`. Of the bundles of one session the first, a
classifier, carries the exam; the others are its readers: each says something of every frame, and
has an accumulator of its own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from neurosono.engine.bundle import Bundle, find_shipped
from neurosono.engine.contracts.errors import BundleError
from neurosono.engine.contracts.frame import Frame, SkipReason
from neurosono.engine.contracts.manifest import CLASSIFIER, PATTERNS, REGIONS, STRUCTURES
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.exam.accumulator import Accumulator
from neurosono.engine.exam.counted import Counted
from neurosono.engine.kinds.told import Told
from neurosono.engine.patterns.exam import PatternsExam
from neurosono.engine.regions.exam import RegionsExam
from neurosono.engine.structures.exam import StructuresExam

KINDS = (CLASSIFIER, STRUCTURES, REGIONS, PATTERNS)
"""Each is the name of a module of this package."""


@dataclass(frozen=True)
class Heard:
    """What a reader says of a frame, in plain words and numbers, or why it says nothing.

    Words are of fixed lists, of letters, digits, dots, dashes and underscores: a record takes no
    others.
    """

    said: dict[str, Any] | None
    refusal: SkipReason | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what was said by its public names, `used`, and `skip_reason` where it was not."""
        reason = None if self.refusal is None else str(self.refusal)
        return {**(self.said or {}), "used": self.refusal is None, "skip_reason": reason}


class Reader(Protocol):
    """An open bundle that reads frames, one after the other."""

    def describe(self) -> dict[str, Any]:
        """Return what runs it: `backend`, `precision` and `members`."""

    def read(self, frame: Frame, weeks: float | None = None, /) -> Heard:
        """Read a frame with pixels of the bundle's own preprocessing.

        `weeks` is the gestational age, where it was told. A bundle that is bound to weeks says
        nothing of a fetus of others (`engine.structures.weeks`).

        Raises `EngineFailedError` where the network's numbers are not finite.
        """


@dataclass(frozen=True)
class Kind:
    """What a kind's module calls `KIND`."""

    open: Callable[[Bundle, int], Reader]
    """Open a network on so many threads; raises `BundleError`, `EngineUnavailableError`."""
    begin: Callable[[Bundle], Accumulator[ReaderResult]]
    """Begin an exam at nothing; its snapshot is in plain words and numbers.

    Its `update` may return `{what: score}`, of what the frame is the best so far: that is kept
    by itself once nothing better came for a while.
    """
    tell: Callable[[Mapping[str, Any]], Told]
    """Return such a snapshot as people read it."""


RECALLED: dict[str, Callable[[], Accumulator[ReaderResult]]] = {
    STRUCTURES: StructuresExam,
    REGIONS: RegionsExam,
    PATTERNS: PatternsExam,
}
"""Exams that need nothing of their bundle."""


def find_kind(bundle: Bundle) -> Kind:
    """Return the kind of a bundle; raises `BundleError` where this release knows none such."""
    name = bundle.manifest.kind
    if name not in KINDS:
        raise BundleError(
            f"bundle {bundle.root} is of the kind {name!r}, this release knows {list(KINDS)}: use "
            "a newer one"
        )
    return kind_named(name)


def kind_named(name: str) -> Kind:
    """Return one of `KINDS`."""
    kind: Kind = import_module(f"{__name__}.{name}").KIND
    return kind


def recall(kind: str, sha256: str = "") -> Accumulator[ReaderResult]:
    """Begin an exam of a recorded kind, read by the bundle of this digest.

    A kind that needs its bundle gets it where it ships with this release; else frames are counted.
    """
    if (begin := RECALLED.get(kind)) is not None:
        return begin()
    bundle = find_shipped(sha256)
    return Counted() if bundle is None else find_kind(bundle).begin(bundle)


def tell_recorded(kind: str, exam: Mapping[str, Any]) -> Told:
    """Return in words what a record knows of an exam; where only frames were counted, nothing."""
    known = kind in KINDS and bool(set(exam) - {"kind", "bundle", "frames"})
    return kind_named(kind).tell(exam) if known else Told()
