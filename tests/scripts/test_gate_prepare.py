"""What a gate learns from phantoms: planned views, organs that no exam plans, young fetuses."""

from itertools import count, islice

import pytest

from neurosono.scripts.train import gate_prepare
from neurosono.scripts.train.gate_prepare import (
    ORGAN_VIEWS,
    OTHER_FRAMES,
    OTHER_VIEWS,
    YOUNG_WEEKS,
    count_phantoms,
    take_phantoms,
)
from neurosono.stream.phantom.patient import draw_weeks
from neurosono.stream.phantom.spec import PhantomSpec

SEED = 7


def test_an_exam_ends_with_views_that_are_no_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_prepare, "PHANTOM_SECONDS", 2.0)
    told: list[None] = []
    rows = [row for _, row in take_phantoms(1, SEED, lambda: told.append(None))]
    assert len(told) == count_phantoms(1) == 1
    others = [row for row in rows if row.label == "other"]
    assert len(others) >= ORGAN_VIEWS + len(OTHER_VIEWS) * OTHER_FRAMES - 2  # two alike are one
    assert {row.plane for row in others} == {"other"}
    assert any(row.label == "head" for row in rows)


def test_a_fifth_more_exams_are_of_young_fetuses(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []

    def take(spec: PhantomSpec) -> list[None]:
        taken.append(spec.patient)
        return []

    monkeypatch.setattr(gate_prepare, "take_phantom", take)
    assert not list(take_phantoms(10, SEED, lambda: None))
    young = (n for n in count(10) if draw_weeks("cohort", SEED, n) <= YOUNG_WEEKS)
    assert taken == [*range(10), *islice(young, 2)]
    assert len(taken) == count_phantoms(10) == 12
