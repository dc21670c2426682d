import json
import re
from pathlib import Path

import numpy as np
import pytest

from neurosono.calibration.fit import Wishes
from neurosono.calibration.page import write_page
from neurosono.calibration.report import fit, shorten
from neurosono.engine.contracts.errors import InputError, OutputError
from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.contracts.predictions import Predictions
from tests.calibration.simulation import table
from tests.calibration.test_exams import shy_exams
from tests.support.pages import EVIL, assert_harmless, poison


def named(frames: Predictions, *labels: str) -> Predictions:
    return Predictions(labels, *list(vars(frames).values())[1:])


@pytest.fixture(scope="module")
def frames() -> Predictions:
    return named(shy_exams(75, 5), "a", "b", "normal")


@pytest.fixture(scope="module")
def fitted(frames: Predictions):
    return fit(frames, Wishes(alpha=0.1, method="temperature", false_alarms=0.1))


def test_the_whole_procedure_is_tried_on_unseen_patients(fitted) -> None:
    calibration, checked = fitted.calibration, fitted.report["cross_checked"]
    assert calibration.exams == 75
    assert checked["folds"] == 10
    exams = checked["exams"]
    assert exams["mean"]["ece"] > 0.2
    assert exams["after"]["ece"] < 0.12
    assert exams["after"]["nll"] < exams["mean"]["nll"]
    assert exams["same_class_as_mean"] == 1.0
    low, high = checked["sets"]["coverage_95"]
    assert low <= 0.9 <= high
    assert 1 <= checked["sets"]["mean_size"] < 1.6
    assert set(checked["sets"]["by_class"]) == {"a", "b", "normal"}
    assert checked["alarm"]["false_alarms_95"][0] <= 0.1
    # some of these exams are of few frames and end while still collecting, when no alarm sounds
    assert checked["alarm"]["sensitivity_at_end"] > 0.5
    points = checked["operating_points"]
    assert [point["wanted_sensitivity"] for point in points] == [0.9, 0.95, 0.99]
    assert points[0]["sensitivity"] == pytest.approx(0.9, abs=0.06)
    assert points[0]["specificity"] >= points[2]["specificity"]
    assert shorten(checked)["exams_ece_after"] == exams["after"]["ece"]
    json.dumps(fitted.report, allow_nan=False)


def test_the_calibration_is_fitted_on_frames_exams_and_their_ends(fitted) -> None:
    found = fitted.calibration
    assert found.exam is not None
    assert found.exam.slope > 0
    assert len(found.class_thresholds) == 3
    assert found.alarm is not None
    assert found.alarm.label == "normal"
    assert fitted.report["classes"]["a"]["own_threshold"] is True


def test_without_normal_there_is_no_alarm_and_with_few_patients_no_check() -> None:
    frames = named(shy_exams(30, 3), "a", "b", "c")
    found = fit(frames, Wishes(alpha=0.2, method="temperature"))
    assert found.calibration.alarm is None
    assert found.calibration.operating_points == ()
    assert found.report["cross_checked"]["alarm"] is None
    few = table(np.full((9, 2), 0.5), np.array([0] * 8 + [1]), np.arange(9))
    lonely = fit(few, Wishes(alpha=0.1))
    assert lonely.report["cross_checked"] is None, "a class with one patient"
    assert shorten(None) is None


@pytest.mark.parametrize("alpha", [0.0, 1.5])
def test_alpha_must_be_a_share(alpha: float) -> None:
    with pytest.raises(InputError, match="--alpha"):
        Wishes(alpha=alpha)


def test_the_page_needs_nothing_else_and_says_what_was_measured(fitted, tmp_path: Path) -> None:
    report = {"patients": 75, "fitted_on": "<b>unseen</b> patients"} | fitted.report
    path = tmp_path / "calibration.html"
    write_page(path, "a & b", fitted.calibration, report)
    text = path.read_text()
    assert NOTICE in text
    assert "a &amp; b" in text
    assert "<b>" not in text
    assert text.count("<svg") == 1
    assert not re.search(r'(src|href)="(?!#)', text), "nothing is fetched"
    ece = fitted.report["cross_checked"]["exams"]["after"]["ece"]
    assert f"{ece:.3f} (" in text
    write_page(path, "x", fitted.calibration, report | {"cross_checked": None})
    assert "too few to leave some out" in path.read_text()
    with pytest.raises(OutputError):
        write_page(tmp_path / "nowhere" / "p.html", "x", fitted.calibration, report)


def test_no_word_of_the_page_becomes_a_tag(fitted, tmp_path: Path) -> None:
    named_too = {"patients": 75, "fitted_on": "x", "labels": ["a", "b", "normal"]}
    hostile = poison(named_too | fitted.report)
    path = tmp_path / "calibration.html"
    write_page(path, EVIL, fitted.calibration, hostile)
    assert assert_harmless(path.read_text()) == 2 + 2 + 3, "its name twice, two words, classes"
