"""`structures`: planes, structures and the head, found by one network in each picture."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import BundleError
from neurosono.engine.contracts.frame import Frame
from neurosono.engine.contracts.manifest import EngineEntry
from neurosono.engine.kept import keeping
from neurosono.engine.kinds import Heard, Kind
from neurosono.engine.structures.exam import StructuresExam
from neurosono.engine.structures.names import STRUCTURES
from neurosono.engine.structures.reading import Reading, read_answer
from neurosono.engine.structures.words import tell_structures

if TYPE_CHECKING:  # who keeps an exam loads no network
    from neurosono.engine.structures.graph import StructuresGraph

BACKEND = "openvino"
_DECIMALS = 3
"""Of a pixel, a millimetre, a score: far below what any of them can mean."""


@dataclass(frozen=True)
class StructuresReader:
    """The open network of a bundle."""

    graph: "StructuresGraph"
    entry: EngineEntry

    def describe(self) -> dict[str, Any]:
        """Return `backend`, `precision` and `members`."""
        return {"backend": BACKEND, "precision": self.entry.precision, "members": 1}

    def read(self, frame: Frame, _: float | None = None, /) -> Heard:
        """Read a frame; places are in pixels of the source's own picture."""
        assert frame.pixels is not None, "only frames with pixels are read"
        x, y, w, h = frame.region_px or (0, 0, *frame.pixels.shape[::-1])
        reading = read_answer(self.graph.infer(frame.pixels), h, w, frame.mm_per_px)
        return Heard(_describe(reading.moved(x, y)))


def open_graph(
    bundle: Bundle, threads: int, labels: tuple[str, ...]
) -> "tuple[StructuresGraph, EngineEntry]":
    """Open a detector's network that tells `labels` apart; raises `BundleError`."""
    from neurosono.engine.structures.graph import StructuresGraph

    kind = bundle.manifest.kind
    entry = bundle.engine(BACKEND, None, None)
    path = next((file.path for file in entry.files if file.path.endswith(".xml")), None)
    if path is None or bundle.manifest.labels != labels:
        raise BundleError(
            f"bundle {bundle.root} is not what this release reads {kind} with: make it anew with "
            f"`neurosono train {kind} ship`"
        )
    where = bundle.root / path
    with keeping(entry, where, threads) as cache:
        graph = StructuresGraph(where, threads, labels, cache)
    if graph.spec != bundle.manifest.preprocessing:
        raise BundleError(
            f"{path} takes pictures as {graph.spec.to_json()}, but the manifest says "
            f"{bundle.manifest.preprocessing.to_json()}: make the bundle anew with "
            f"`neurosono train {kind} ship`"
        )
    return graph, entry


def _open(bundle: Bundle, threads: int) -> StructuresReader:
    return StructuresReader(*open_graph(bundle, threads, STRUCTURES))


KIND = Kind(_open, lambda _: StructuresExam(), tell_structures)


def _describe(reading: Reading) -> dict[str, Any]:
    """Return a reading in words that a record takes: where an age's formula is cited, it is not."""
    said = reading.to_dict()
    if said["age"] is not None:
        said["age"] = {name: said["age"][name] for name in ("weeks", "two_sd_weeks")}
    found: dict[str, Any] = rounded(said)
    return found


def rounded(found: Any) -> Any:
    """Return what is said with its numbers at a fixed number of decimals."""
    if isinstance(found, dict):
        return {name: rounded(each) for name, each in found.items()}
    if isinstance(found, list):
        return [rounded(each) for each in found]
    return round(found, _DECIMALS) if isinstance(found, float) else found
