"""`regions`: six regions of two planes, cut out by a detector of its own, and one verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.arrays import Floats
from neurosono.engine.contracts.errors import BundleError
from neurosono.engine.contracts.frame import Frame
from neurosono.engine.contracts.manifest import EngineEntry
from neurosono.engine.kept import keeping
from neurosono.engine.kinds import Heard, Kind
from neurosono.engine.regions.exam import RegionsExam, squash
from neurosono.engine.regions.names import MEASURED, PLANES, VERDICTS, regions_of
from neurosono.engine.regions.view import View, pick_best, view_plane
from neurosono.engine.regions.words import tell_regions
from neurosono.engine.structures.biometry import measure_head
from neurosono.engine.structures.boxes import Found
from neurosono.engine.structures.decode import Limits
from neurosono.engine.structures.names import LEARNT_ON_PHANTOMS
from neurosono.engine.structures.reading import Reading, read_answer, to_picture
from neurosono.engine.structures.weeks import CARD_KEY, Weeks

if TYPE_CHECKING:  # who keeps an exam loads no network
    from neurosono.engine.familiarity import Familiarity
    from neurosono.engine.regions.graph import RegionsGraph, Spoken
    from neurosono.engine.structures.graph import StructuresGraph

BACKEND = "openvino"
FINDER, JUDGE = "finder", "regions"
"""The two graphs of an engine: what finds the boxes, and what judges the crops."""
LIKELY_FROM = 0.5
"""Below this a frame is of neither plane."""
_DECIMALS = 4


def name_familiarity(plane: str) -> str:
    """Return the file that says which pictures of a plane are familiar."""
    return f"familiarity-{plane}.npz"


def rate_frame(likely: float, boxes: Sequence[Found], plane: str) -> float:
    """Return how good a frame of its plane it is, 0 to 1: how surely that plane, and how whole.

    What it is judged by counts half: where that is missing, it may be the finding.
    """
    best = pick_best(boxes)
    whole = [best[name].score if name in best else 0.0 for name in MEASURED[plane]]
    return (likely + sum(whole) / len(whole)) / 2


@dataclass(frozen=True, eq=False)
class Candidate:
    """A frame seen as one plane: what is said of it, and how likely it is that plane, 0 to 1."""

    plane: str
    view: View
    spoken: "Spoken"

    @property
    def likely(self) -> float:
        """Return how likely it is of this plane."""
        return squash(float(self.spoken.likeness.sum()))


@dataclass(frozen=True)
class RegionsReader:
    """The open graphs of a bundle, and the weeks for which its verdict holds."""

    finder: "StructuresGraph"
    judge: "RegionsGraph"
    familiar: "Mapping[str, Familiarity]"
    entry: EngineEntry
    weeks: Weeks | None

    def describe(self) -> dict[str, Any]:
        """Return `backend`, `precision` and `members`."""
        return {"backend": BACKEND, "precision": self.entry.precision, "members": 1}

    def read(self, frame: Frame, weeks: float | None = None, /) -> Heard:
        """Read a frame; places are in pixels of the source's own picture."""
        assert frame.pixels is not None, "only frames with pixels are read"
        side = frame.pixels.shape[0]
        reading = read_answer(self.finder.infer(frame.pixels), side, side, limits=Limits())
        best = self._name_plane(frame, reading)
        plane = None if best is None else best.plane
        said: dict[str, Any] = {"plane": plane, "regions": {}, "goodness": None}
        said |= {"strangeness": None, "unfamiliar": False}
        if best is not None:
            said |= self._describe(best, reading)
        said |= describe_place(reading, frame, plane)
        bound = None
        if self.weeks is not None:
            hc_mm = None if plane is None else _measure(reading, frame)
            bound = self.weeks.describe(weeks, hc_mm)
        return Heard({**said, CARD_KEY: bound})

    def _name_plane(self, frame: Frame, reading: Reading) -> Candidate | None:
        """Return the plane that the frame is likelier to be of, None where it is of neither."""
        if reading.head is None or frame.pixels is None:
            return None
        seen = []
        for plane in PLANES:
            view = view_plane(frame.pixels, reading.head, reading.boxes, plane)
            seen.append(Candidate(plane, view, self.judge.infer(view)))
        best = max(seen, key=lambda each: each.likely)
        return best if best.likely >= LIKELY_FROM else None

    def _describe(self, best: Candidate, reading: Reading) -> dict[str, Any]:
        regions = {
            region.name: {"contribution": round(float(each), _DECIMALS), "found": found}
            for region, each, found in zip(
                regions_of(best.plane), best.spoken.contributions, best.view.found, strict=True
            )
        }
        strangeness = self.familiar[best.plane].check(best.spoken.features)
        goodness = rate_frame(best.likely, reading.boxes, best.plane)
        return {
            "regions": regions,
            "goodness": round(goodness, _DECIMALS),
            "strangeness": round(strangeness, _DECIMALS),
            "unfamiliar": strangeness > 1,
        }


def describe_place(reading: Reading, frame: Frame, plane: str | None) -> dict[str, Any]:
    """Return `boxes` of a plane's structures and `head`, in pixels of the source's picture."""
    back = _back(frame)
    asked = MEASURED.get(plane or "", ())
    boxes = [
        replace(each, box=each.box.mapped(back)) for each in reading.boxes if each.label in asked
    ]
    head = None if reading.head is None else reading.head.mapped(back)
    said = [
        {**_round(each.to_dict()), "unproven": each.label in LEARNT_ON_PHANTOMS} for each in boxes
    ]
    return {"boxes": said, "head": None if head is None else _round(head.to_dict())}


def _back(frame: Frame) -> Floats:
    """Return the affine (2, 3) from a frame's square back to the source's own picture."""
    assert frame.pixels is not None
    side = frame.pixels.shape[0]
    x, y, w, h = frame.region_px or (0, 0, side, side)
    back = to_picture(h, w, side)
    back[:, 2] += (x, y)
    return back


def _measure(reading: Reading, frame: Frame) -> float | None:
    """Return HC in millimetres, where a head was seen and the scale is known."""
    if reading.head is None or frame.mm_per_px is None:
        return None
    return measure_head(reading.head.mapped(_back(frame)), frame.mm_per_px).hc


def _round(found: dict[str, Any]) -> dict[str, Any]:
    return {n: round(v, _DECIMALS) if isinstance(v, float) else v for n, v in found.items()}


def _open(bundle: Bundle, threads: int) -> RegionsReader:
    from neurosono.engine.familiarity import Familiarity
    from neurosono.engine.regions.graph import RegionsGraph
    from neurosono.engine.structures.graph import StructuresGraph

    entry = bundle.engine(BACKEND, None, None)
    files = {file.path.rpartition("/")[2]: bundle.root / file.path for file in entry.files}
    wanted = (f"{FINDER}.xml", f"{JUDGE}.xml", *map(name_familiarity, PLANES))
    if bundle.manifest.labels != VERDICTS or not set(wanted) <= set(files):
        raise BundleError(
            f"bundle {bundle.root} is not what this release judges regions with: make it anew "
            "with `neurosono train regions ship`"
        )
    with keeping(entry, files[wanted[0]], threads) as cache:
        finder = StructuresGraph(files[wanted[0]], threads, cache=cache)
        judge = RegionsGraph(files[wanted[1]], threads, cache)
    if finder.spec != bundle.manifest.preprocessing:
        raise BundleError(
            f"{wanted[0]} takes pictures as {finder.spec.to_json()}, but the manifest says "
            f"{bundle.manifest.preprocessing.to_json()}: make the bundle anew with "
            "`neurosono train regions ship`"
        )
    familiar = {plane: Familiarity.load(files[name_familiarity(plane)]) for plane in PLANES}
    weeks = Weeks.from_card(bundle.manifest.card)
    return RegionsReader(finder, judge, familiar, entry, weeks)


KIND = Kind(_open, lambda _: RegionsExam(), tell_regions)
