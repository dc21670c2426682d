"""`regions`: six regions of two planes, cut out by a detector of its own, and one verdict."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import BundleError
from neurosono.engine.contracts.frame import Frame
from neurosono.engine.contracts.manifest import EngineEntry
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.exam.accumulator import Accumulator
from neurosono.engine.kinds import Heard
from neurosono.engine.kinds.told import Told
from neurosono.engine.regions.exam import RegionsExam
from neurosono.engine.regions.names import MEASURED, PLANES, VERDICTS, regions_of
from neurosono.engine.regions.words import tell_regions
from neurosono.engine.structures.names import LEARNT_ON_PHANTOMS
from neurosono.engine.structures.reading import Reading, read_answer, to_picture

if TYPE_CHECKING:  # who keeps an exam loads no network
    from neurosono.engine.familiarity import Familiarity
    from neurosono.engine.regions.graph import RegionsGraph
    from neurosono.engine.structures.graph import StructuresGraph

BACKEND = "openvino"
FINDER, JUDGE = "finder", "regions"
"""The two graphs of an engine: what finds the boxes, and what judges the crops."""
_DECIMALS = 4


def name_familiarity(plane: str) -> str:
    """Return the file that says which pictures of a plane are familiar."""
    return f"familiarity-{plane}.npz"


def rate_frame(reading: Reading) -> float:
    """Return how good a frame of its plane it is, 0 to 1: how surely that plane, and how whole.

    What a plane must hold counts half: where it is missing, that may be the finding.
    """
    assert reading.plane is not None
    return (reading.planes[reading.plane] + (reading.quality or 0.0)) / 2


@dataclass(frozen=True)
class RegionsReader:
    """The open graphs of a bundle."""

    finder: "StructuresGraph"
    judge: "RegionsGraph"
    familiar: "Mapping[str, Familiarity]"
    entry: EngineEntry

    def describe(self) -> dict[str, Any]:
        """Return `backend`, `precision` and `members`."""
        return {"backend": BACKEND, "precision": self.entry.precision, "members": 1}

    def read(self, frame: Frame) -> Heard:
        """Read a frame; places are in pixels of the source's own picture."""
        assert frame.pixels is not None, "only frames with pixels are read"
        side = frame.pixels.shape[0]
        reading = read_answer(self.finder.infer(frame.pixels), side, side)
        said: dict[str, Any] = {"regions": {}, "goodness": None, "strangeness": None}
        if reading.plane in PLANES and reading.head is not None:
            said = self._judge(frame, reading)
        strange = said["strangeness"]
        unfamiliar = strange is not None and strange > 1
        where = describe_place(reading, frame)
        return Heard({"plane": reading.plane, **where, **said, "unfamiliar": unfamiliar})

    def _judge(self, frame: Frame, reading: Reading) -> dict[str, Any]:
        from neurosono.engine.regions.view import view_plane

        assert reading.plane is not None
        assert reading.head is not None
        assert frame.pixels is not None
        view = view_plane(frame.pixels, reading.head, reading.boxes, reading.plane)
        spoken = self.judge.infer(view)
        regions = {
            region.name: {"contribution": round(float(each), _DECIMALS), "found": found}
            for region, each, found in zip(
                regions_of(reading.plane), spoken.contributions, view.found, strict=True
            )
        }
        strangeness = self.familiar[reading.plane].check(spoken.features)
        return {
            "regions": regions,
            "goodness": round(rate_frame(reading), _DECIMALS),
            "strangeness": round(strangeness, _DECIMALS),
        }


def describe_place(reading: Reading, frame: Frame) -> dict[str, Any]:
    """Return `boxes` of the plane's structures and `head`, in pixels of the source's picture."""
    assert frame.pixels is not None
    side = frame.pixels.shape[0]
    x, y, w, h = frame.region_px or (0, 0, side, side)
    back = to_picture(h, w, side)
    back[:, 2] += (x, y)
    asked = MEASURED.get(reading.plane or "", ())
    boxes = [
        replace(each, box=each.box.mapped(back)) for each in reading.boxes if each.label in asked
    ]
    head = None if reading.head is None else reading.head.mapped(back)
    said = [
        {**_round(each.to_dict()), "unproven": each.label in LEARNT_ON_PHANTOMS} for each in boxes
    ]
    return {"boxes": said, "head": None if head is None else _round(head.to_dict())}


def _round(found: dict[str, Any]) -> dict[str, Any]:
    return {n: round(v, _DECIMALS) if isinstance(v, float) else v for n, v in found.items()}


class _Regions:
    def open(self, bundle: Bundle, threads: int) -> RegionsReader:
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
        finder = StructuresGraph(files[wanted[0]], threads)
        if finder.spec != bundle.manifest.preprocessing:
            raise BundleError(
                f"{wanted[0]} takes pictures as {finder.spec.to_json()}, but the manifest says "
                f"{bundle.manifest.preprocessing.to_json()}: make the bundle anew with "
                "`neurosono train regions ship`"
            )
        familiar = {plane: Familiarity.load(files[name_familiarity(plane)]) for plane in PLANES}
        return RegionsReader(finder, RegionsGraph(files[wanted[1]], threads), familiar, entry)

    def begin(self, bundle: Bundle) -> Accumulator[ReaderResult]:
        del bundle
        return RegionsExam()

    def tell(self, exam: Mapping[str, Any]) -> Told:
        return tell_regions(exam)


KIND = _Regions()
