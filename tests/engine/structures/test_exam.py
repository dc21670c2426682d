"""What structures add up to: a checklist, medians that single frames do not move, the age."""

import json
import math
from typing import Any

import numpy as np
import pytest

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.frame import ScaleSource, SkipReason
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.structures.exam import FEWEST_FRAMES, SEEN_FRAMES, StructuresExam
from neurosono.engine.structures.names import PLANES
from neurosono.engine.structures.spread import MOST_STEPS, Spread


def make_said(plane: str = "trans-ventricular", hc_mm: float | None = 178.0, **more: Any) -> Any:
    said: dict[str, Any] = {
        "plane": plane,
        "planes": {name: 0.9 if name == plane else 0.02 for name in PLANES},
        "quality": 0.8,
        "boxes": [{"label": "lv", "score": 0.7}, {"label": "csp", "score": 0.1}],
        "head": {"cx": 1.0},
    }
    for name, share in (("hc", 1.0), ("bpd", 0.28), ("ofd", 0.35), ("atrial_width", 0.04)):
        said[f"{name}_mm"] = None if hc_mm is None else hc_mm * share
        said[f"{name}_px"] = 800.0 * share
    return said | more


def make_seen(seq: int, said: Any = None, reason: SkipReason | None = None) -> ReaderResult:
    known = said is None or said["hc_mm"] is not None
    return ReaderResult(
        stream_id="a" * 32,
        seq=seq,
        captured_ns=seq,
        pts_s=seq / 25,
        reader="structures",
        said=said,
        skip_reason=reason,
        mm_per_px=0.2 if known else None,
        mm_per_px_from=ScaleSource.RULER if known else None,
        told_mm_per_px={"ruler": 0.2} if known else {},
    )


def test_a_measure_is_the_median_and_says_how_far_single_frames_lie_apart() -> None:
    exam = StructuresExam()
    for seq, hc in enumerate([170.0, 174.0, 178.0, 182.0, 300.0]):
        assert exam.snapshot()["measurements"]["hc_mm"] is None
        exam.update(make_seen(seq, make_said(hc_mm=hc)))
    found = exam.snapshot()
    hc = found["measurements"]["hc_mm"]
    assert FEWEST_FRAMES == hc["frames"] == 5
    assert hc["value"] == 178.0
    assert (hc["least"], hc["most"]) == (170.0, 300.0)
    assert found["scale"]["sources"] == {"ruler": 5}
    assert found["age"]["weeks"] == pytest.approx(8.96 + 0.54 * 17.8 + 0.0003 * 17.8**3)
    assert found["age"]["two_sd_weeks"] > 1
    assert "Hadlock" in found["age"]["formula"]


def test_one_frame_does_not_move_a_value() -> None:
    exam = StructuresExam()
    for seq in range(40):
        exam.update(make_seen(seq, make_said(hc_mm=178.0)))
    exam.update(make_seen(40, make_said(hc_mm=90.0)))
    assert exam.snapshot()["measurements"]["hc_mm"]["value"] == 178.0


def test_off_the_plane_or_of_a_poor_one_nothing_is_measured() -> None:
    exam = StructuresExam()
    for seq in range(9):
        exam.update(make_seen(seq, make_said(plane="trans-cerebellum")))
        exam.update(make_seen(100 + seq, make_said(quality=0.1)))
        exam.update(make_seen(200 + seq, make_said(plane="trans-thalamic")))
    found = exam.snapshot()["measurements"]
    assert found["hc_mm"]["frames"] == 9
    assert found["atrial_width_mm"] is None


def test_without_a_scale_it_stays_in_pixels_and_has_no_age() -> None:
    exam = StructuresExam()
    for seq in range(6):
        exam.update(make_seen(seq, make_said(hc_mm=None)))
    found = exam.snapshot()
    assert found["measurements"]["hc_mm"] is None
    assert found["measurements"]["hc_px"]["value"] == 800.0
    assert found["age"] is None
    assert found["scale"]["mm_per_px"] is None


def test_the_checklist_keeps_the_best_frame_of_each() -> None:
    exam = StructuresExam()
    best = [
        exam.update(make_seen(seq, make_said(quality=q))) for seq, q in enumerate([0.5, 0.9, 0.7])
    ]
    assert ["trans-ventricular" in each for each in best] == [True, True, False]
    found = exam.snapshot()
    plane = found["planes"]["trans-ventricular"]
    assert SEEN_FRAMES == plane["frames"] == 3
    assert plane["seen"]
    assert plane["best"] == {"seq": 1, "pts_s": 0.04, "score": 0.9}
    assert found["structures"]["lv"]["seen"]
    assert not found["structures"]["csp"]["frames"]
    assert found["structures"]["thalami"]["unproven"]
    assert not found["structures"]["lv"]["unproven"]


def test_every_frame_is_accounted_for_and_the_state_is_taken_up_exactly() -> None:
    exam, rng = StructuresExam(), np.random.default_rng(3)
    seen = [
        make_seen(seq, None, SkipReason.FROZEN)
        if seq % 4 == 3
        else make_seen(seq, make_said(hc_mm=float(rng.normal(178, 3)), quality=float(rng.random())))
        for seq in range(80)
    ]
    for each in seen[:50]:
        exam.update(each)
    again = StructuresExam()
    again.take_up(json.loads(json.dumps(exam.to_json())))
    for each in seen[50:]:
        exam.update(each)
        again.update(each)
    assert again.snapshot() == exam.snapshot()
    frames = exam.snapshot()["frames"]
    assert frames == {"sampled": 80, "used": 60, "skipped": {"frozen": 20}}


def test_a_state_that_is_not_whole_is_refused() -> None:
    state = StructuresExam().to_json()
    del state["marks"]
    with pytest.raises(InputError, match="saved state of structures"):
        StructuresExam().take_up(state)


@pytest.mark.parametrize("step", [[-1, 1], [10**12, 1], [5, 0]])
def test_steps_that_no_exam_counted_are_refused(step: list[int]) -> None:
    state = StructuresExam().to_json()
    state["measures"]["hc_px"] = [step]
    with pytest.raises(InputError, match="saved state of structures"):
        StructuresExam().take_up(state)


def test_a_spread_holds_what_it_counted_whatever_came_first() -> None:
    rng = np.random.default_rng(3)
    values = [*rng.normal(900, 200, 400).clip(0.2, None), 0.1, 6000.0, 1e9]
    spread = Spread()
    for at, value in enumerate(values):
        spread.add(float(value))
        places = sorted(min(round(each / 0.1), MOST_STEPS) for each in values[: at + 1])
        for share in (0.0, 0.1, 0.5, 1.0) if at < 5 or at > 398 else ():
            wanted = places[max(1, math.ceil(share * len(places))) - 1]
            assert spread.level(share) == round(wanted * 0.1, 1)
    again = Spread.restore(spread.to_json())
    assert (again.summarise(), again.to_json()) == (spread.summarise(), spread.to_json())
    assert sum(count for _, count in spread.to_json()) == spread.frames == len(values)


def test_levels_are_those_of_the_sorted_values() -> None:
    rng = np.random.default_rng(1)
    values = np.round(rng.normal(178, 4, 1001), 1)
    spread = Spread()
    for value in values:
        spread.add(float(value))
    assert spread.median == pytest.approx(float(np.median(values)))
    found = spread.summarise()
    assert found is not None
    assert found["spread"] == pytest.approx(4, rel=0.15)
    assert (found["least"], found["most"]) == (values.min(), values.max())
    low = float(np.quantile(values, 0.1, method="inverted_cdf"))
    assert found["low"] == pytest.approx(low, abs=0.05)
