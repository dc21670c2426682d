"""The limits of each precision, and what counts against them."""

import numpy as np
import pytest

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.parity import EngineParity, check_limits, compare_answers

EXACT = np.array([[[0.6, 0.4]], [[0.2, 0.8]], [[0.7, 0.3]]], dtype=np.float32)
EXAMS = np.array([0, 0, 1])


def test_equal_answers_differ_by_nothing() -> None:
    assert compare_answers(EXACT, EXACT, EXAMS) == EngineParity(3, 2, 0.0, 1.0, 1.0)


def test_differences_choices_and_exams_are_counted() -> None:
    found = EXACT.copy()
    found[2, 0] = (0.4, 0.6)
    parity = compare_answers(EXACT, found, EXAMS)
    assert parity.max_difference == pytest.approx(0.3)
    assert parity.top1_agreement == pytest.approx(2 / 3)
    assert parity.exam_agreement == 0.5


def test_what_is_compared_is_the_mean_of_the_members() -> None:
    exact = np.array([[[0.6, 0.4], [0.8, 0.2]]], dtype=np.float32)
    swapped = exact[:, ::-1]
    assert compare_answers(exact, swapped, np.zeros(1, dtype=np.int64)).max_difference == 0


def test_a_number_that_is_not_finite_is_far_off() -> None:
    found = np.full_like(EXACT, np.nan)
    with pytest.raises(InputError):
        check_limits(compare_answers(EXACT, found, EXAMS), "int8")


@pytest.mark.parametrize(
    ("precision", "difference", "top1", "within"),
    [
        ("f32", 1e-4, 1.0, True),
        ("f32", 2e-4, 1.0, False),
        ("fp16", 0.02, 0.995, True),
        ("bf16", 0.021, 1.0, False),
        ("bf16", 0.0, 0.994, False),
        ("int8", 0.05, 0.99, True),
        ("int8", 0.05, 0.989, False),
    ],
)
def test_each_precision_has_its_limits(
    precision: str, difference: float, top1: float, within: bool
) -> None:
    parity = EngineParity(200, 5, difference, top1, 1.0)
    if within:
        check_limits(parity, precision)
    else:
        with pytest.raises(InputError, match=f"the {precision} engine is over its limits"):
            check_limits(parity, precision)


def test_an_exam_that_changes_its_answer_is_refused() -> None:
    with pytest.raises(InputError, match="80% of 5 exams"):
        check_limits(EngineParity(200, 5, 0.0, 1.0, 0.8), "int8")
