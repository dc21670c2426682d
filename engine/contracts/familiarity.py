"""What a bundle says of how it tells pictures that its members were not trained on."""

from dataclasses import dataclass, field
from typing import Any

from neurosono.engine.contracts.errors import BundleError
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

    def to_json(self) -> dict[str, Any]:
        """Return the manifest's object."""
        return {"file": self.file.to_json(), "card": self.card}

    @classmethod
    def from_json(cls, found: Any) -> "FamiliarityEntry":
        """Read the manifest's object; raises `BundleError`."""
        try:
            file = BundleFile(found["file"]["path"], found["file"]["sha256"])
            return cls(file, dict(found["card"]))
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"the manifest's familiarity is not readable: {error!r}") from error
