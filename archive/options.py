"""What a user asks of an archive."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurosono.engine.contracts.errors import InputError
from neurosono.stream.intake.sampler import Sampler
from neurosono.stream.pictures.region import parse_region


@dataclass(frozen=True)
class Asked:
    """What decides the numbers of an exam; a worker knows nothing else of the archive.

    `bundle` is a folder or `demo`, `digest` the sha256 that it must have wherever it is opened, and
    `trusted_keys` the list of keys of which one must have signed it; None where nobody asks.
    """

    bundle: str
    digest: str
    every: int | None = 1
    rate_hz: float | None = None
    region: str | None = None
    engine: str = "auto"
    precision: str | None = None
    members: int | None = None
    trusted_keys: str | None = None

    def __post_init__(self) -> None:
        Sampler(self.every, self.rate_hz)  # refuses what samples nothing
        if self.region is not None:
            parse_region(self.region)

    def to_json(self) -> dict[str, Any]:
        """Return what must be the same when an archive is gone on with."""
        said = dict(vars(self))
        for name in ("bundle", "trusted_keys"):
            del said[name]  # they may have moved: the bundle's digest says which it is
        return said


@dataclass(frozen=True)
class ArchiveOptions:
    """What is judged, where the results go, and who does the work.

    `depth` is how many folders down an exam lies, `studies` groups DICOM files by their study
    instead. `jobs` is how many exams are judged at once, 0: one a core. `again` does failed ones
    anew.
    """

    sources: tuple[str, ...]
    out: Path
    jobs: int = 0
    cluster: str | None = None
    depth: int = 1
    studies: bool = False
    again: bool = False

    def __post_init__(self) -> None:
        for name, least in (("jobs", 0), ("depth", 1)):
            if getattr(self, name) < least:
                raise InputError(f"--{name} must be {least} or more: {getattr(self, name)}")
        if self.studies and self.depth != 1:
            raise InputError("--studies looks in every folder, so --depth says nothing: leave it")
        out = self.out.resolve()
        for source in self.sources:
            path = Path(source).resolve()
            if path.is_dir() and out.is_relative_to(path):
                raise InputError(
                    f"--out {self.out} lies in the archive {source}, and would be taken for an "
                    "exam: choose a folder outside"
                )

    def count_jobs(self) -> int:
        """Return how many exams are judged at once here."""
        return self.jobs or len(os.sched_getaffinity(0))
