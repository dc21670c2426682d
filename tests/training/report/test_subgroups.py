from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from neurosono.training.metrics.resampling import Draws
from neurosono.training.report.subgroups import compare_groups, describe_subgroups
from tests.training.simulated import make_exams, simulate


def _describe(exams: Any) -> dict[str, Any]:
    return describe_subgroups(exams, Draws.bootstrap(exams))


def _sizes(split: dict[str, Any]) -> dict[str, int]:
    return {group["name"]: group["exams"] for group in split["groups"]}


def test_weeks_count_when_completed() -> None:
    """12 weeks and 6 days are the first trimester; the day of 20 weeks is past the cut."""
    weeks = [12 + 6 / 7, 13.0, 28 + 6 / 7, 29.0, 19 + 6 / 7, 20.0, np.nan]
    found = _describe(make_exams([0] * 7, [0] * 7, weeks))
    assert _sizes(found["trimester"]) == {
        "up to 12 weeks": 1,
        "13 to 28 weeks": 4,
        "over 28 weeks": 1,
    }
    assert _sizes(found["twenty_weeks"]) == {"before 20 weeks": 3, "from 20 weeks": 3}
    assert found["trimester"]["exams_without"] == found["twenty_weeks"]["exams_without"] == 1


def test_the_papers_patients_fall_as_in_the_paper() -> None:
    """Table II's 19 gestational ages: 5, 13 and 1 by trimester, 14 and 5 by the cut."""
    ages = "11+6 11+6 13+1 12+2 13+5 15+3 18+3 12+6 13+1 13+2 13+6 17+1 22+1 23+1 30+2 12+3 18+3 "
    ages += "20+6 24+6"
    weeks = [int(age.split("+")[0]) + int(age.split("+")[1]) / 7 for age in ages.split()]
    found = _describe(make_exams([0] * 19, [0] * 19, weeks))
    assert list(_sizes(found["trimester"]).values()) == [5, 13, 1]
    assert list(_sizes(found["twenty_weeks"]).values()) == [14, 5]


def test_two_groups_are_tested_by_correctness_and_by_probability() -> None:
    exams = make_exams([0] * 6, [0, 0, 0, 1, 1, 1])
    given = exams.probabilities.copy()
    given[:, 0] = [0.7, 0.8, 0.9, 0.1, 0.15, 0.05]
    exams = exams.with_probabilities(given)
    first = np.arange(6) < 3
    found = compare_groups(exams, [first, ~first])
    assert found == {"correctness_p": pytest.approx(0.1), "probability_p": pytest.approx(0.1)}
    assert compare_groups(exams, [first]) is None


def test_three_groups_are_tested_together() -> None:
    exams = simulate(patients=30).by_exam()
    thirds = [np.arange(30) % 3 == number for number in range(3)]
    found = compare_groups(exams, thirds)
    assert found is not None
    assert 0 < found["probability_p"] <= 1
    worse = exams.probabilities.copy()
    worse[thirds[0]] = 0.2
    spoilt = compare_groups(exams.with_probabilities(worse), thirds)
    assert spoilt is not None
    assert spoilt["probability_p"] < 0.01
    same = make_exams([0] * 30, [0] * 30)
    assert compare_groups(same, thirds) == {"probability_p": 1.0}


def test_sites_are_counted_by_name_and_unknown_ones_left_out() -> None:
    exams = make_exams([0] * 5, [0, 0, 1, 0, 0])
    exams = replace(exams, sites=np.array(["North", "South", "South", "", "North"]))
    found = _describe(exams)["site"]
    assert _sizes(found) == {"North": 2, "South": 2}
    assert found["exams_without"] == 1
    south = found["groups"][1]
    assert south["exam_accuracy"]["value"] == 0.5
    assert (south["exam_accuracy_wilson"]["right"], south["exam_accuracy_wilson"]["count"]) == (
        1,
        2,
    )
    assert south["classes"]["anencephaly"] == 2


def test_a_split_that_nobody_recorded_has_no_groups() -> None:
    found = _describe(make_exams([0, 1], [0, 1]))["site"]
    assert found == {"groups": [], "tests": None, "exams_without": 2}


def test_groups_hold_the_frames_of_their_exams() -> None:
    frames = simulate(patients=10, frames=4)
    frames = replace(frames, weeks=np.where(frames.targets < 2, 15.0, 25.0))
    groups = _describe(frames)["twenty_weeks"]["groups"]
    assert [group["frames"] for group in groups] == [16, 24]
    assert [group["patients"] for group in groups] == [4, 6]
