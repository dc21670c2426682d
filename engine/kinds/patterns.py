"""`patterns`: finding patterns beside the normal structures, and the logic over them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.frame import Frame
from neurosono.engine.contracts.manifest import EngineEntry
from neurosono.engine.kinds import Heard, Kind
from neurosono.engine.kinds.structures import BACKEND, open_graph, rounded
from neurosono.engine.patterns.exam import PatternsExam
from neurosono.engine.patterns.names import FINDINGS, LABELS, TWOFOLD
from neurosono.engine.patterns.rules import Rules, resolve
from neurosono.engine.patterns.words import tell_patterns
from neurosono.engine.structures.boxes import Found
from neurosono.engine.structures.decode import Limits
from neurosono.engine.structures.names import HEAD_PLANES
from neurosono.engine.structures.reading import Reading, read_answer
from neurosono.engine.structures.weeks import CARD_KEY, Holds, Weeks

if TYPE_CHECKING:  # who keeps an exam loads no network
    from neurosono.engine.structures.graph import StructuresGraph

LIMITS = Limits(paired=TWOFOLD)


@dataclass(frozen=True)
class PatternsReader:
    """The open network of a bundle, the logic over it, and the weeks for which that holds."""

    graph: "StructuresGraph"
    entry: EngineEntry
    rules: Rules
    weeks: Weeks | None

    def describe(self) -> dict[str, Any]:
        """Return `backend`, `precision` and `members`."""
        return {"backend": BACKEND, "precision": self.entry.precision, "members": 1}

    def read(self, frame: Frame, weeks: float | None = None, /) -> Heard:
        """Read a frame; places are in pixels of the source's own picture."""
        assert frame.pixels is not None, "only frames with pixels are read"
        x, y, w, h = frame.region_px or (0, 0, *frame.pixels.shape[::-1])
        answer = self.graph.infer(frame.pixels)
        reading = read_answer(answer, h, w, frame.mm_per_px, LIMITS).moved(x, y)
        return Heard(describe(reading, self.rules, self.weeks, weeks))


def keep(found: tuple[Found, ...], rules: Rules) -> list[Found]:
    """Return what is told of a picture: without contradictions, findings over their thresholds."""
    return [
        each
        for each in resolve(found, rules.groups)
        if each.score >= rules.thresholds.get(each.label, 0.0)
    ]


def describe(
    reading: Reading, rules: Rules, weeks: Weeks | None = None, told: float | None = None
) -> dict[str, Any]:
    """Return what is said of a frame: its plane, head and boxes, and the rules of its exam.

    `weeks` are those for which findings hold, `told` what the user said of this fetus: where they
    do not hold no finding is said, and why.
    """
    size = reading.size_mm if reading.plane in HEAD_PLANES else None
    bound = None if weeks is None else weeks.describe(told, None if size is None else size.hc)
    withheld = FINDINGS if bound is not None and bound["holds"] != Holds.WITHIN else ()
    boxes = [
        {**each.to_dict(), "finding": each.label in FINDINGS, "unproven": True}
        for each in keep(reading.boxes, rules)
        if each.label not in withheld
    ]
    said: dict[str, Any] = rounded(
        {
            "plane": reading.plane,
            "planes": dict(reading.planes),
            "boxes": boxes,
            "head": reading.head.to_dict() if reading.head else None,
            "dwell": rules.dwell,
            "apart_s": rules.apart_s,
            "excludes": [list(group.over_exam) for group in rules.groups if group.over_exam],
            CARD_KEY: bound,
        }
    )
    return said


def _open(bundle: Bundle, threads: int) -> PatternsReader:
    card = bundle.manifest.card
    rules, weeks = Rules.from_card(card), Weeks.from_card(card)
    return PatternsReader(*open_graph(bundle, threads, LABELS), rules, weeks)


KIND = Kind(_open, lambda _: PatternsExam(), tell_patterns)
