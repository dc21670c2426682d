"""Verdicts over an exam: none without both planes, and of the best frame of each."""

import json
from typing import Any

import pytest

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.frame import SkipReason
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.kinds import recall, tell_recorded
from neurosono.engine.regions.exam import RegionsExam, squash
from neurosono.engine.regions.names import PLANES, REGIONS, regions_of
from neurosono.engine.regions.words import CAUTION, tell_regions
from neurosono.engine.structures.weeks import Weeks

VENTRICULAR, CEREBELLAR = PLANES


def say(seq: int, plane: str | None, goodness: float = 0.5, **said: Any) -> ReaderResult:
    each = said.pop("each", 0.1)
    regions = {
        region.name: {"contribution": each, "found": True} for region in regions_of(plane or "")
    }
    answer = {"plane": plane, "regions": regions, "goodness": goodness, "unfamiliar": False}
    return ReaderResult(
        stream_id="s",
        seq=seq,
        captured_ns=seq,
        pts_s=seq / 25,
        reader="regions",
        said={**answer, **said},
    )


def add(*seen: ReaderResult) -> RegionsExam:
    exam = RegionsExam()
    for each in seen:
        exam.update(each)
    return exam


@pytest.mark.parametrize(
    ("planes", "waits"),
    [
        ((), "waiting for the transventricular and the transcerebellar planes"),
        ((VENTRICULAR,), "waiting for the transcerebellar plane"),
        ((CEREBELLAR,), "waiting for the transventricular plane"),
        ((VENTRICULAR, None, "trans-thalamic"), "waiting for the transcerebellar plane"),
    ],
)
def test_with_a_plane_missing_nothing_is_said(planes: tuple[str | None, ...], waits: str) -> None:
    exam = add(*(say(seq, plane, each=-9.0) for seq, plane in enumerate(planes))).snapshot()
    assert exam["state"] == "waiting"
    assert exam["verdict"] is None
    assert exam["score"] is None
    told = tell_regions(exam)
    assert told.lines == (waits,)
    assert "normal" not in " ".join(told.lines)
    assert exam["frames"] == {"sampled": len(planes), "used": len(planes), "skipped": {}}


@pytest.mark.parametrize(("each", "verdict"), [(0.2, "abnormal"), (-0.2, "normal")])
def test_both_planes_add_up_to_a_verdict(each: float, verdict: str) -> None:
    exam = add(say(0, VENTRICULAR, each=each), say(1, CEREBELLAR, each=each)).snapshot()
    assert exam["state"] == "judged"
    assert exam["verdict"] == verdict
    assert exam["score"] == pytest.approx(squash(6 * each), abs=1e-4)
    assert sum(r["contribution"] for r in exam["regions"].values()) == pytest.approx(6 * each)
    told = tell_regions(exam)
    assert told.lines[0] == f"{verdict}, score {exam['score']:.2f}"
    assert told.lines[1].startswith(f"for {verdict}: ")
    assert told.lines[-1] == CAUTION
    assert [(mark.name, mark.seen) for mark in told.marks] == [
        (VENTRICULAR, True),
        (CEREBELLAR, True),
    ]


def test_the_best_frame_of_each_plane_counts() -> None:
    exam = add(say(0, VENTRICULAR, 0.5, each=1.0), say(1, CEREBELLAR, 0.5, each=0.0))
    assert exam.update(say(2, VENTRICULAR, 0.4, each=-5.0)) == {}
    assert exam.snapshot()["verdict"] == "abnormal"
    assert exam.update(say(3, VENTRICULAR, 0.9, each=-5.0)) == {VENTRICULAR: 0.9}
    after = exam.snapshot()
    assert after["verdict"] == "normal"
    assert after["planes"][VENTRICULAR]["best"] == {"seq": 3, "pts_s": 0.12, "score": 0.9}
    assert after["planes"][CEREBELLAR]["best"]["seq"] == 1


def test_what_is_unlike_the_learnt_is_told_and_not_judged() -> None:
    exam = add(say(0, CEREBELLAR), *(say(n, VENTRICULAR, unfamiliar=True) for n in (1, 2)))
    said = exam.snapshot()
    assert said["state"] == "unfamiliar"
    assert said["verdict"] is None
    assert said["unfamiliar"] == [VENTRICULAR]
    assert tell_regions(said).lines == (
        "no verdict: the transventricular pictures are unlike those learnt from",
    )
    for seq in (3, 4):  # as many pass as do not: still nothing
        exam.update(say(seq, VENTRICULAR))
        assert exam.snapshot()["verdict"] is None
        assert exam.snapshot()["regions"]["csp"]["contribution"] is None
    exam.update(say(5, VENTRICULAR))
    assert exam.snapshot()["verdict"] == "abnormal"


def test_a_region_that_was_not_found_is_told() -> None:
    exam = add(say(0, VENTRICULAR), say(1, CEREBELLAR))
    missing = {r.name: {"contribution": 2.0, "found": False} for r in regions_of(CEREBELLAR)}
    exam.update(say(2, CEREBELLAR, 0.9, regions=missing))
    assert "cisterna magna (not found) +2.0" in tell_regions(exam.snapshot()).lines[1]


def test_it_goes_on_from_what_it_said() -> None:
    exam = add(say(0, VENTRICULAR), say(1, CEREBELLAR, unfamiliar=True), say(2, CEREBELLAR))
    exam.update(
        ReaderResult(
            stream_id="s",
            seq=3,
            captured_ns=3,
            pts_s=0.1,
            reader="regions",
            skip_reason=SkipReason.FROZEN,
        )
    )
    again = RegionsExam()
    again.take_up(json.loads(json.dumps(exam.to_json())))
    assert again.snapshot() == exam.snapshot()
    more = say(4, CEREBELLAR, 0.7, each=3.0)
    assert again.update(more) == exam.update(more)
    assert again.snapshot() == exam.snapshot()
    assert exam.snapshot()["frames"]["skipped"] == {"frozen": 1}
    with pytest.raises(InputError, match="saved state"):
        again.take_up({"used": 1, "skipped": {}, "planes": {}})


def test_regions_that_are_none_of_the_planes_are_refused() -> None:
    with pytest.raises(ValueError, match="regions of trans-ventricular"):
        add(say(0, VENTRICULAR, regions={"csp": {"contribution": 1.0, "found": True}}))


def test_a_record_tells_the_verdict_without_the_bundle() -> None:
    exam = recall("regions")
    for seen in (say(0, VENTRICULAR, each=1.0), say(1, CEREBELLAR, each=1.0)):
        exam.update(seen)
    told = tell_recorded("regions", exam.snapshot())
    assert told.lines[0] == "abnormal, score 1.00"
    assert told.lines[-1] == CAUTION


@pytest.mark.parametrize("each", [float("nan"), float("inf"), "much", None])
def test_numbers_that_are_none_are_refused_before_they_add_up(each: Any) -> None:
    exam = add(say(0, VENTRICULAR), say(1, CEREBELLAR))
    before = exam.snapshot()
    with pytest.raises((ValueError, TypeError)):
        exam.update(say(2, VENTRICULAR, 0.9, each=each))
    after = exam.snapshot()
    assert after["verdict"] == before["verdict"]
    assert after["planes"] == before["planes"]


def test_there_are_six_regions_three_a_plane() -> None:
    assert len(REGIONS) == 6
    assert [len(regions_of(plane)) for plane in PLANES] == [3, 3]


def test_of_a_fetus_of_other_weeks_there_is_no_verdict_but_the_reason() -> None:
    span = Weeks(19.0, 24.0)
    for told, hc_mm, state in (
        (None, None, "abstains"),
        (30.0, None, "abstains"),
        (None, 100.0, "abstains"),
        (21.0, None, "judged"),
        (None, 190.0, "judged"),
    ):
        weeks = {"weeks": span.describe(told, hc_mm)}
        exam = add(say(1, VENTRICULAR, **weeks), say(2, CEREBELLAR, **weeks))
        found = exam.snapshot()
        assert found["state"] == state
        assert (found["verdict"] is None) == (state == "abstains")
        contributions = [each["contribution"] for each in found["regions"].values()]
        assert all(each is None for each in contributions) == (state == "abstains")
        told_lines = tell_regions(found).lines
        assert told_lines[0].startswith("no verdict: ") == (state == "abstains")
        again = RegionsExam()
        again.take_up(json.loads(json.dumps(exam.to_json())))
        assert again.snapshot() == found
