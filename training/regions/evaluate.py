"""Judges women with a bundle as it runs beside a scanner: frame by frame, by its own exam."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.frame import Frame
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.kinds import Reader, find_kind
from neurosono.engine.regions.exam import RegionsExam, RegionsState
from neurosono.engine.structures.weeks import Weeks
from neurosono.training.metrics.resampling import set_wilson
from neurosono.training.regions.data import Pair, PairData
from neurosono.training.regions.figures import measure
from neurosono.training.regions.run import Judged


@dataclass(frozen=True)
class ExamOfPair:
    """What a bundle's exam says of one woman."""

    pair: Pair
    exam: dict[str, Any]

    @property
    def state(self) -> RegionsState:
        """Return how far her exam came."""
        return RegionsState(self.exam["state"])

    def judged(self) -> Judged:
        """Return her as `measure` takes her."""
        spoken = [each["contribution"] for each in self.exam["regions"].values()]
        lean = None if self.state is not RegionsState.JUDGED else float(sum(spoken))
        return Judged(self.pair.patient, self.pair.abnormal, self.pair.finding, lean)


def examine(
    bundle: Bundle,
    data: PairData,
    pairs: Iterable[Pair],
    watch: Callable[[], None] = lambda: None,
) -> list[ExamOfPair]:
    """Return an exam of all pictures of each woman; raises `InputError` for data of another size.

    The planes are not told: the bundle's own detector names them, as beside a scanner. The weeks
    are told as those that it learnt from: phantoms are of them, and of real women nobody knows.
    """
    reader = find_kind(bundle).open(bundle, 1)
    size_px = bundle.manifest.preprocessing.size_px
    if data.frames.shape[1] != size_px:
        raise InputError(
            f"the bundle takes {size_px} px pictures, these data have {data.frames.shape[1]} px: "
            "prepare data with this bundle's detector"
        )
    weeks = Weeks.from_card(bundle.manifest.card)
    told = None if weeks is None else weeks.middle
    found = []
    for pair in pairs:
        exam = RegionsExam()
        rows = sorted((*sum(pair.rows.values(), ()), *pair.others))
        for seq, row in enumerate(rows):
            exam.update(read_row(reader, data, row, seq, told))
        found.append(ExamOfPair(pair, exam.snapshot()))
        watch()
    return found


def read_row(
    reader: Reader, data: PairData, row: int, seq: int, weeks: float | None
) -> ReaderResult:
    """Return what a reader says of a square as it would come from capture, at `weeks` as told."""
    pixels = np.array(data.frames[row])
    side = pixels.shape[0]
    frame = Frame("", seq, seq, float(seq), pixels, region_px=(0, 0, side, side))
    heard = reader.read(frame, weeks)
    return ReaderResult.of(frame, "regions", said=heard.said, skip_reason=heard.refusal)


def describe(exams: Sequence[ExamOfPair]) -> dict[str, Any]:
    """Return the figures of exams: how many were judged, and of those of whom it is known, how."""
    states = Counter(str(each.state) for each in exams)
    called = sum(each.exam["verdict"] == "abnormal" for each in exams)
    found: dict[str, Any] = {
        "women": len(exams),
        "states": dict(states),
        "called_abnormal": set_wilson(called, len(exams)),
    }
    if any(each.pair.abnormal is not None for each in exams):
        found |= measure([each.judged() for each in exams])
    return found
