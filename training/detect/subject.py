"""What a detector is trained for: which labels it tells apart, from which data, in which shares."""

from collections.abc import Mapping
from dataclasses import dataclass

from neurosono.engine.contracts.manifest import STRUCTURES as KIND
from neurosono.engine.structures.names import LEARNT_ON_PHANTOMS, STRUCTURES
from neurosono.training.squares import Shelf


@dataclass(frozen=True)
class Subject:
    """`name` is the kind of its bundles and the command that trains it, `labels` its boxes' labels.

    `unproven` are those that no real picture taught; `shares` of each batch by `deck.kind_of`;
    `shelf` is the form of its data.
    """

    name: str
    labels: tuple[str, ...]
    unproven: frozenset[str]
    shares: Mapping[str, float]
    shelf: Shelf
    intended_use: str
    limits: tuple[str, ...]
    """What its bundles cannot say, for whoever reads their card."""

    @property
    def schema(self) -> str:
        """Return the schema of its runs' cards."""
        return f"neurosono-{self.name}/1"

    @property
    def command(self) -> str:
        """Return the command that its steps are given to."""
        return f"neurosono train {self.name}"


STRUCTURES_SUBJECT = Subject(
    name=KIND,
    labels=STRUCTURES,
    unproven=LEARNT_ON_PHANTOMS,
    shares={
        "real, marked": 0.19,
        "real, upright marks": 0.02,
        "real, plane told": 0.34,
        "real, head's ellipse": 0.12,
        "real, no head": 0.05,
        "phantom": 0.28,
    },
    shelf=Shelf(
        schema="neurosono-structures-data/1",
        index_name="index.jsonl",
        summary_name="structures-data.json",
        what="structures' data",
        learner="detector",
        command="neurosono train structures prepare",
    ),
    intended_use="Investigational: not for diagnosis. Planes, structures and head size of a "
    "screening cohort.",
    limits=(
        "Cerebellum, cisterna magna and thalami were learnt on phantoms alone: unproven.",
        "Of falx and choroid plexus real pictures told where they stand, phantoms how they lie.",
        "Ventricles were marked 2 to 3 mm narrower than textbooks have them: a width is a ranking.",
        "No real spine and no diagnosed anomaly was among what it learnt from.",
    ),
)
"""Real pictures carry the goals; phantoms the structures that nobody marked. Upright marks tell
what stands somewhere, not its shape, and are of few pictures."""
