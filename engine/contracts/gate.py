"""What a bundle says of its gate, the small network that asks: is this a fetal head or spine?"""

from dataclasses import dataclass, field
from typing import Any

from neurosono.engine.contracts.errors import BundleError, InputError
from neurosono.engine.contracts.files import BundleFile
from neurosono.engine.contracts.frame import SkipReason
from neurosono.engine.contracts.labels import check_names

GATE_FOLDER = "gate"
GRAPH_NAME, WEIGHTS_NAME, STATISTICS_NAME = "gate.xml", "gate.bin", "statistics.npz"
"""In the bundle's folder `gate`: the int8 graph in two files, and the features' statistics."""


@dataclass(frozen=True)
class GateEntry:
    """A gate as the manifest has it.

    A frame is refused as no head or spine where its score is below `threshold`, and as unfamiliar
    where its unfamiliarity is above `unfamiliar`; both in 0 to 1. `planes` are the views that it
    tells apart, in the order of the graph's output; a view is only named where its probability is
    at least its entry in `plane_limits` (above 1: never). `card` is its model card: data, patients,
    measurements, limits, and what is owed to the sources.
    """

    files: tuple[BundleFile, ...]
    threshold: float
    unfamiliar: float
    planes: tuple[str, ...]
    plane_limits: tuple[float, ...]
    card: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = {file.path.rpartition("/")[2] for file in self.files}
        if names != {GRAPH_NAME, WEIGHTS_NAME, STATISTICS_NAME} or len(self.files) != 3:
            raise BundleError(
                f"a gate consists of {GRAPH_NAME}, {WEIGHTS_NAME} and {STATISTICS_NAME}, found "
                f"{sorted(names)}: add it again with `neurosono train gate add`"
            )
        if not (0 < self.threshold < 1 and 0 < self.unfamiliar <= 1):
            raise BundleError(
                "a gate's thresholds must be between 0 and 1, found "
                f"{self.threshold} and {self.unfamiliar}"
            )
        try:
            check_names("a gate's planes", self.planes)
        except InputError as error:
            raise BundleError(str(error)) from error
        if len(self.planes) < 2 or len(set(self.planes)) != len(self.planes):
            raise BundleError(f"a gate's planes must be two or more, found {list(self.planes)}")
        if len(self.plane_limits) != len(self.planes) or not all(x > 0 for x in self.plane_limits):
            raise BundleError(
                f"a gate needs a limit above 0 for each of its planes, found {self.plane_limits}"
            )


@dataclass(frozen=True)
class GateVerdict:
    """What the gate says of one frame.

    `score` (that it is a head or spine) and `unfamiliarity` are in 0 to 1; `plane` is the likeliest
    view, None where that is not sure enough or the frame is refused; `refusal` says why the
    ensemble must not judge the frame, None where it may.
    """

    score: float
    unfamiliarity: float
    plane: str | None
    refusal: SkipReason | None
