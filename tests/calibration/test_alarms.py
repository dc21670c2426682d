from dataclasses import replace

import numpy as np
import pytest

from neurosono.calibration.alarms import LOWEST_OFF, fit_alarm, fit_points, follow, follow_all
from neurosono.calibration.exams import Trace
from neurosono.engine.contracts.calibration import Alarm, Calibration
from neurosono.engine.contracts.errors import InputError
from tests.calibration.simulation import table


def scans(normal: int, others: int, frames: int = 15, noise: float = 0.8, seed: int = 0) -> Trace:
    """Draw scans that look normal or not, each frame with doubts; the running mean settles."""
    rng = np.random.default_rng(seed)
    count = normal + others
    healthy = np.arange(count) < normal
    logits = np.where(healthy, -2.0, 2.0)[:, None] + rng.normal(0, noise, (count, frames))
    logits += rng.normal(0, noise, (count, 1))
    used = np.tile(np.arange(1, frames + 1), (count, 1))
    running = np.cumsum(1 / (1 + np.exp(-logits)), axis=1) / used
    means = np.stack([running, 1 - running], 2)
    exams = table(means[:, -1], healthy, np.arange(count))
    return Trace(
        replace(exams, labels=("anomaly", "normal")),
        np.repeat(np.arange(count), frames),
        means.reshape(-1, 2),
        np.maximum(1.0, used.ravel() * 0.6),
        used.ravel(),
    )


def test_false_alarms_are_as_rare_as_promised_in_new_exams() -> None:
    """60 alarms, each tried on 100 new normal exams; and it does find anomalies."""
    false, found = [], []
    for seed in range(60):
        rule = fit_alarm(scans(40, 40, seed=seed), Calibration(), 0.1)
        assert rule is not None
        calibration = Calibration(alarm=rule)
        sounding = follow_all(scans(50, 10, seed=1000 + seed), calibration)
        assert sounding is not None
        false.append(np.mean([each.any() for each in sounding[:50]]))
        found.append(np.mean([each[-1] for each in sounding[50:]]))
    assert np.mean(false) <= 0.1 + 0.02
    assert np.mean(false) > 0.005, "the promise is used"
    assert np.mean(found) > 0.8


def test_an_alarm_never_stands_where_normal_is_likelier() -> None:
    rule = fit_alarm(scans(60, 60, noise=0.1), Calibration(), 0.05)
    assert rule is not None
    assert LOWEST_OFF <= rule.off < rule.on


def test_too_few_normal_exams_promise_nothing() -> None:
    assert fit_alarm(scans(18, 20), Calibration(), 0.05) is None
    assert fit_alarm(scans(19, 20), Calibration(), 0.05) is not None
    assert fit_alarm(scans(30, 0), Calibration(), 0.05) is None
    with pytest.raises(InputError, match="--false-alarms"):
        fit_alarm(scans(30, 30), Calibration(), 1.5)


def test_the_alarm_waits_holds_and_lets_go() -> None:
    rule = Alarm("normal", on=0.8, off=0.6, dwell_frames=1.5)
    scores = np.array([0.9, 0.7, 0.9, 0.9, 0.9, 0.7, 0.61, 0.5, 0.9, 0.9, 0.9])
    worth = np.full(len(scores), 0.5)  # three frames make one and a half
    sounding = follow(rule, scores, worth).astype(int).tolist()
    assert sounding == [0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 1]


def test_operating_points_reach_their_sensitivity() -> None:
    scores = np.concatenate([np.linspace(0.01, 1, 100), np.linspace(0, 0.5, 50)])
    anomalous = np.arange(150) < 100
    points = fit_points(scores, anomalous, (0.9, 0.99))
    assert [point.sensitivity for point in points] == [0.9, 0.99]
    assert (scores[anomalous] >= points[0].threshold).sum() == 91, "of 101 with a new one, 90 %"
    assert (scores[anomalous] >= points[1].threshold).sum() == 100
    with pytest.raises(InputError, match="--sensitivity"):
        fit_points(scores, anomalous, (0.9, 1.0))
    assert fit_points(scores, ~anomalous & False, (0.9,)) == ()
