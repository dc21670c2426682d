"""The alarm in the running exam, and the contract that it is fitted into."""

import json

import numpy as np
import pytest

from neurosono.engine.contracts.calibration import (
    Alarm,
    Calibration,
    ExamCalibration,
    OperatingPoint,
)
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.result import ExamState
from neurosono.engine.exam.alarm import AlarmLatch
from neurosono.engine.exam.exam import Exam

LABELS = ("a", "normal")
RULE = Alarm("normal", on=0.8, off=0.6, dwell_frames=2.0)


def show(exam: Exam, anomaly: float, times: int = 1) -> list[bool]:
    found = []
    for _ in range(times):
        exam.update(np.array([[anomaly, 1 - anomaly]], dtype=np.float32))
        found.append(exam.snapshot().alarm)
    return found


def test_without_a_rule_it_is_silent() -> None:
    latch = AlarmLatch(None)
    latch.follow(1.0, 1.0)
    assert not latch.on
    assert not any(show(Exam(LABELS, Calibration()), 1.0, 50))


def test_it_waits_for_evidence_and_stays_until_clearly_normal() -> None:
    latch = AlarmLatch(RULE)
    heard = []
    for score in (0.9, 0.9, 0.9, 0.79, 0.9, 0.9, 0.9, 0.9, 0.7, 0.6, 0.59, 0.9):
        latch.follow(score, 0.5)
        heard.append(latch.on)
    assert heard == [False] * 7 + [True] * 3 + [False] * 2


def test_the_running_exam_sounds_and_goes_on_after_a_restart() -> None:
    calibration = Calibration(alarm=RULE, exam=ExamCalibration(0.0, 0.5, 20.0, 0.5, 20.0))
    whole = Exam(LABELS, calibration)
    expected = show(whole, 0.95, 80) + show(whole, 0.05, 400)
    assert True in expected[:80]
    assert not expected[0]
    assert not expected[-1], "the mean came down: it goes off"
    for cut in (3, 80):
        first = Exam(LABELS, calibration)
        heard = show(first, 0.95, cut)
        again = Exam.restore(json.loads(json.dumps(first.to_json())), calibration)
        heard += show(again, 0.95, 80 - cut) + show(again, 0.05, 400)
        assert heard == expected


def test_a_record_of_before_the_alarm_is_taken_up_in_silence() -> None:
    exam = Exam(LABELS, Calibration())
    show(exam, 0.9, 5)
    state = exam.to_json()
    del state["alarm"]
    restored = Exam.restore(state, Calibration(alarm=RULE))
    assert restored.snapshot().used == 5
    assert not restored.snapshot().alarm
    state["alarm"] = {"above": "many"}
    with pytest.raises(InputError, match="saved state"):
        Exam.restore(state, Calibration())


FULL = Calibration(
    *(0.8, 0.4, 0.05, 120),
    weights=(1.0, 2.0),
    biases=(0.5, -0.5),
    exam=ExamCalibration(0.2, 1.5, 6.0, 0.5, 20.0, (0.1, -0.1)),
    class_thresholds=(0.3, 0.5),
    operating_points=(OperatingPoint(0.9, 0.7), OperatingPoint(0.99, 0.3)),
    alarm=RULE,
)


def test_a_calibration_survives_json() -> None:
    assert Calibration.from_json(json.loads(json.dumps(FULL.to_json()))) == FULL
    assert json.loads(json.dumps(FULL.to_json())) == FULL.to_json()


def test_the_first_schema_is_still_read() -> None:
    old = {
        "schema": "neurosono-calibration/1",
        "temperature": 1.5,
        "conformal_threshold": 0.4,
        "alpha": 0.1,
        "exams": 30,
    }
    found = Calibration.from_json(old)
    assert (found.temperature, found.conformal_threshold, found.exam) == (1.5, 0.4, None)
    exam = Exam(LABELS, found)
    show(exam, 0.9)
    assert exam.snapshot().mean is None
    with pytest.raises(InputError, match="must have"):
        Calibration.from_json(old | {"alarm": None})


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "neurosono-calibration/3"},
        {"exam": {"intercept": 0.0}},
        {"exam": FULL.to_json()["exam"] | {"colour": 1}},
        {"temperature": "hot"},
        {"exam": FULL.to_json()["exam"] | {"slope": -1.0}},
        {"exam": FULL.to_json()["exam"] | {"intercept": float("nan")}},
        {"exam": FULL.to_json()["exam"] | {"correlation": 1.0}},
        {"alarm": FULL.to_json()["alarm"] | {"off": 0.9}},
        {"alarm": {"on": 0.5}},
        {"operating_points": [{"sensitivity": 2.0, "threshold": 0.5}]},
        {"operating_points": [{"sensitivity": 0.9, "threshold": 0.5, "colour": 1}]},
        {"class_thresholds": [0.5, 1.5]},
        {"weights": [1.0]},
        {"weights": ["much", "more"]},
    ],
)
def test_a_damaged_calibration_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Calibration.from_json(FULL.to_json() | change)


@pytest.mark.parametrize(
    "calibration",
    [
        Calibration(class_thresholds=(0.1, 0.2, 0.3)),
        Calibration(weights=(1.0,) * 3, biases=(0.0,) * 3),
        Calibration(exam=ExamCalibration(biases=(0.0,) * 3)),
        Calibration(alarm=Alarm("healthy", 0.9, 0.5)),
    ],
)
def test_a_calibration_of_other_classes_begins_no_exam(calibration: Calibration) -> None:
    with pytest.raises(InputError, match="neurosono calibrate"):
        Exam(LABELS, calibration)


def test_no_alarm_sounds_while_the_exam_is_collecting() -> None:
    exam = Exam(("hole", "normal"), Calibration(alarm=Alarm("normal", 0.8, 0.6)))
    rng, sounded = np.random.default_rng(0), []
    for _ in range(20):
        share = rng.uniform(0.9, 1.0)
        exam.update(np.array([[share, 1 - share]], dtype=np.float32))
        shown = exam.snapshot()
        sounded.append(shown.alarm)
        assert shown.alarm is (shown.state is not ExamState.COLLECTING)
    assert sounded[0] is False
    assert sounded[-1] is True
