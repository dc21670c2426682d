"""What a bundle says of how it tells pictures that its members were not trained on."""

from dataclasses import dataclass, field
from typing import Any

from neurosono.engine.contracts.files import BundleFile

FAMILIARITY_NAME = "familiarity.npz"


@dataclass(frozen=True)
class FamiliarityEntry:
    """The statistics of the members' features, as the manifest has them.

    `card` says of whose frames they are and which share of such frames they refuse, with its
    interval over patients.
    """

    file: BundleFile
    card: dict[str, Any] = field(default_factory=dict)
