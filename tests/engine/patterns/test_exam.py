"""A finding needs its dwell over looks that are apart, and exams do not contradict themselves."""

import math
from typing import Any

import pytest

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.frame import Frame, SkipReason
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.kinds.patterns import describe
from neurosono.engine.patterns.exam import PatternsExam
from neurosono.engine.patterns.names import (
    FINDINGS,
    MEGA_CISTERNA,
    MILD_WIDTH,
    NO_CSP,
    SEVERE_WIDTH,
)
from neurosono.engine.patterns.words import NO_DIAGNOSIS, tell_patterns
from neurosono.engine.structures.boxes import Found, RotatedBox
from neurosono.engine.structures.ellipse import Ellipse
from neurosono.engine.structures.names import CSP, LV, PLANES, TRANSCEREBELLAR
from neurosono.engine.structures.reading import Reading
from neurosono.engine.structures.weeks import Weeks
from tests.support.patterns import make_rules

PLANE = {name: float(name == TRANSCEREBELLAR) for name in PLANES}


def see(
    exam: PatternsExam,
    at_s: float,
    *shown: tuple[str, float],
    weeks: Weeks | None = None,
    told: float | None = None,
    hc_mm: float | None = None,
) -> dict[str, float]:
    """Show one frame, and return of what it is the best."""
    boxes = tuple(
        Found(label, score, RotatedBox(100, 60 * place, 40, 16))
        for place, (label, score) in enumerate(shown)
    )
    head = None if hc_mm is None else Ellipse(100, 100, hc_mm / math.tau, hc_mm / math.tau, 0)
    reading = Reading(TRANSCEREBELLAR, PLANE, None, boxes, head, None if head is None else 1.0)
    frame = Frame("", round(at_s * 100), 0, at_s, None, skip_reason=SkipReason.FROZEN)
    said = describe(reading, make_rules(), weeks, told)
    return exam.update(ReaderResult.of(frame, "p", said=said))


def finding(exam: PatternsExam, name: str) -> dict[str, Any]:
    found: dict[str, Any] = exam.snapshot()["findings"][name]
    return found


def test_a_finding_needs_looks_that_are_apart() -> None:
    exam = PatternsExam()
    for frame in range(20):  # two thirds of a second of one look
        assert see(exam, frame / 30, (MEGA_CISTERNA, 0.9)) == {}
    assert finding(exam, MEGA_CISTERNA)["looks"] == 1
    assert see(exam, 1.0, (MEGA_CISTERNA, 0.8)) == {}
    assert not finding(exam, MEGA_CISTERNA)["seen"]
    assert see(exam, 2.0, (MEGA_CISTERNA, 0.85)) == {MEGA_CISTERNA: 0.85}
    told = finding(exam, MEGA_CISTERNA)
    assert (told["seen"], told["frames"], told["looks"], told["score"]) == (True, 22, 3, 0.8)
    assert told["best"] == {"seq": 200, "pts_s": 2.0, "score": 0.85}
    assert see(exam, 2.1, (MEGA_CISTERNA, 0.95)) == {MEGA_CISTERNA: 0.95}
    assert see(exam, 2.2, (MEGA_CISTERNA, 0.94)) == {}
    assert finding(exam, MEGA_CISTERNA)["best"]["seq"] == 210


def test_what_is_below_its_threshold_is_not_said() -> None:
    exam = PatternsExam()
    for at_s in range(5):
        see(exam, float(at_s), (MEGA_CISTERNA, 0.69))
    assert finding(exam, MEGA_CISTERNA)["frames"] == 0


def test_a_cavum_that_was_seen_speaks_against_one_that_was_not() -> None:
    exam = PatternsExam()
    for at_s in range(3):
        see(exam, float(at_s), (NO_CSP, 0.8))
    assert finding(exam, NO_CSP)["seen"]
    for at_s in range(3, 6):
        see(exam, float(at_s), (CSP, 0.9))
    told = finding(exam, NO_CSP)
    assert (told["seen"], told["yields_to"], told["best"]) == (False, CSP, None)
    assert exam.snapshot()["structures"][CSP]["seen"]


def test_a_normal_ventricle_in_other_slices_does_not_speak_against_a_wide_one() -> None:
    exam = PatternsExam()
    for at_s in range(3):
        see(exam, float(at_s), (SEVERE_WIDTH, 0.8))
        see(exam, at_s + 0.4, (MILD_WIDTH, 0.75))
    for at_s in range(3, 9):
        see(exam, float(at_s), (LV, 0.95))
    assert finding(exam, SEVERE_WIDTH)["seen"]
    assert finding(exam, MILD_WIDTH)["yields_to"] == SEVERE_WIDTH
    held = {name for name in FINDINGS if finding(exam, name)["seen"]}
    assert held == {SEVERE_WIDTH}


def test_an_exam_goes_on_exactly_where_it_was_saved() -> None:
    exam, again = PatternsExam(), PatternsExam()
    frames = [(0.0, 0.8), (0.3, 0.9), (1.1, 0.75), (2.0, 0.85)]
    for at_s, score in frames:
        see(exam, at_s, (MEGA_CISTERNA, score), (CSP, 0.5))
    again.take_up(exam.to_json())
    assert again.snapshot() == exam.snapshot()
    assert see(again, 3.0, (MEGA_CISTERNA, 0.99)) == see(exam, 3.0, (MEGA_CISTERNA, 0.99))
    assert again.to_json() == exam.to_json()
    with pytest.raises(InputError, match="saved state"):
        again.take_up(exam.to_json() | {"looks": {}})


def test_frames_that_were_not_read_are_counted() -> None:
    exam = PatternsExam()
    frame = Frame("", 0, 0, 0.0, None, skip_reason=SkipReason.FROZEN)
    exam.update(ReaderResult.of(frame, "p", skip_reason=SkipReason.FROZEN))
    assert exam.snapshot()["frames"] == {"sampled": 1, "used": 0, "skipped": {"frozen": 1}}
    assert tell_patterns(exam.snapshot()).lines == ()


def test_words_say_what_was_found_and_never_that_all_is_normal() -> None:
    exam = PatternsExam()
    see(exam, 0.0, (CSP, 0.9))
    quiet = tell_patterns(exam.snapshot())
    assert quiet.lines == ("no finding pattern in 1 frame: no proof",)
    assert {mark.name for mark in quiet.marks if mark.frames} == {CSP}
    for at_s in range(1, 4):
        see(exam, float(at_s), (MEGA_CISTERNA, 0.8))
    said = tell_patterns(exam.snapshot())
    assert said.lines == ("mega cisterna magna (3 looks, 0.80, best at 3.0 s)", NO_DIAGNOSIS)
    assert not {mark.name for mark in said.marks} & set(FINDINGS), "nobody is to tick findings off"


SPAN = Weeks(18.0, 26.0)


@pytest.mark.parametrize("where", [{}, {"told": 30.0}, {"told": 20.0, "hc_mm": 100.0}])
def test_of_a_fetus_of_other_weeks_no_finding_is_told_but_why(where: dict[str, float]) -> None:
    exam = PatternsExam()
    for at_s in range(6):
        assert see(exam, float(at_s), (MEGA_CISTERNA, 0.9), (CSP, 0.9), weeks=SPAN, **where) == {}
    snapshot = exam.snapshot()
    assert not any(each["seen"] for each in snapshot["findings"].values())
    assert snapshot["structures"][CSP]["seen"]
    told = tell_patterns(snapshot)
    assert len(told.lines) == 1
    assert told.lines[0].startswith("no findings: ")
    again = PatternsExam()
    again.take_up(exam.to_json())
    assert again.snapshot() == snapshot


@pytest.mark.parametrize("where", [{"told": 20.0}, {"hc_mm": 190.0}])
def test_of_a_fetus_of_its_weeks_findings_are_told(where: dict[str, float]) -> None:
    exam = PatternsExam()
    for at_s in range(3):
        see(exam, float(at_s), (MEGA_CISTERNA, 0.9), weeks=SPAN, **where)
    assert finding(exam, MEGA_CISTERNA)["seen"]
    assert "mega cisterna magna" in tell_patterns(exam.snapshot()).lines[0]


def test_a_few_slices_of_a_smaller_head_do_not_make_a_late_fetus_one_of_its_weeks() -> None:
    exam = PatternsExam()
    for at_s in range(3):  # off their own plane: each for itself would hold
        see(exam, float(at_s), (MEGA_CISTERNA, 0.9), weeks=SPAN, hc_mm=230.0)
    assert finding(exam, MEGA_CISTERNA)["seen"]
    for at_s in range(3, 9):
        assert see(exam, float(at_s), (MEGA_CISTERNA, 0.9), weeks=SPAN, hc_mm=290.0) == {}
    assert not finding(exam, MEGA_CISTERNA)["seen"]
    assert exam.snapshot()["weeks"]["holds"] == "outside"
