"""Contradictions: of labels that exclude each other on one structure the higher score stays."""

from typing import Any

import numpy as np
import pytest

from neurosono.engine.contracts.errors import BundleError, InputError
from neurosono.engine.patterns.groups import GROUPS
from neurosono.engine.patterns.names import (
    FINDINGS,
    LABELS,
    MEGA_CISTERNA,
    MILD_WIDTH,
    NO_CSP,
    OPEN_FOURTH,
    SEVERE_WIDTH,
)
from neurosono.engine.patterns.rules import CARD_KEY, Group, Rules, count_contradictions, resolve
from neurosono.engine.structures.boxes import Found, RotatedBox, cover
from neurosono.engine.structures.names import CISTERNA_MAGNA, CSP, LV
from tests.support.patterns import make_rules


def at(label: str, score: float, x: float = 100, y: float = 100) -> Found:
    return Found(label, score, RotatedBox(x, y, 40, 16))


def test_the_papers_own_example() -> None:
    """Lin et al. 2022: lateral ventricle at 0.597 yields to tear ventricle at 0.872."""
    said = [at(LV, 0.597), at(SEVERE_WIDTH, 0.872)]
    assert resolve(said, GROUPS) == [said[1]]
    assert resolve([at(LV, 0.9), at(SEVERE_WIDTH, 0.872)], GROUPS) == [at(LV, 0.9)]


def test_two_ventricles_are_two_structures_and_a_brain_has_one_cavum() -> None:
    one_sided = [at(SEVERE_WIDTH, 0.9, y=60), at(LV, 0.8, y=140)]
    assert resolve(one_sided, GROUPS) == one_sided
    cavum = [at(NO_CSP, 0.9, x=20), at(CSP, 0.8, x=200)]
    assert resolve(cavum, GROUPS) == cavum[:1]


def test_who_has_yielded_takes_nobody_along() -> None:
    """The mega cisterna yields to the open ventricle; the normal cisterna then stays."""
    said = [at(OPEN_FOURTH, 0.9), at(MEGA_CISTERNA, 0.8), at(CISTERNA_MAGNA, 0.7)]
    assert [each.label for each in resolve(said, GROUPS)] == [OPEN_FOURTH, CISTERNA_MAGNA]


def test_nothing_contradicts_itself_whatever_is_said() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        said = [
            at(str(rng.choice(LABELS)), float(rng.random()), *rng.uniform(0, 200, 2))
            for _ in range(int(rng.integers(0, 12)))
        ]
        left = resolve(said, GROUPS)
        assert count_contradictions(left, GROUPS) == 0
        assert not said or max(said, key=lambda each: each.score) in left
        assert resolve(left, GROUPS) == left


def test_how_much_of_the_smaller_box_lies_in_the_other() -> None:
    large, small = RotatedBox(0, 0, 40, 20), RotatedBox(20, 0, 10, 10)
    assert cover(large, small) == pytest.approx(0.5)
    assert cover(small, large) == pytest.approx(0.5)
    assert cover(large, RotatedBox(200, 0, 10, 10)) == 0


def test_rules_go_through_a_card_and_come_back() -> None:
    rules = make_rules()
    assert Rules.from_card({CARD_KEY: rules.to_json()}) == rules


def _without(found: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key != name}


@pytest.mark.parametrize(
    "change",
    [
        {"thresholds": {}},
        {"thresholds": dict.fromkeys(FINDINGS, 0.0)},
        {"dwell": 0},
        {"dwell": "three"},
        {"apart_s": -1.0},
        {"groups": [{"structure": "csp", "labels": ["csp", "cyst"]}]},
        {"groups": [{"structure": "csp", "labels": ["csp"]}]},
    ],
)
def test_rules_that_cannot_be_are_refused(change: dict[str, Any]) -> None:
    found = make_rules().to_json() | change
    with pytest.raises(BundleError, match="train patterns ship"):
        Rules.from_card({CARD_KEY: found})
    with pytest.raises(BundleError, match="no rules"):
        Rules.from_card({})


def test_a_group_over_an_exam_is_of_its_own_labels() -> None:
    with pytest.raises(InputError, match="exclusion group"):
        Group("lateral-ventricle", (LV, MILD_WIDTH), over_exam=(SEVERE_WIDTH,))
