import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.labels import DEFAULT_LABELS
from neurosono.training.recipe import Recipe
from neurosono.training.splits import Fold, make_folds

LABELS = ("a", "b")


def _cohort(a: int, b: int) -> dict[str, str]:
    return {f"a{i}": "a" for i in range(a)} | {f"b{i}": "b" for i in range(b)}


@settings(max_examples=60, deadline=None)
@given(st.integers(4, 15), st.integers(4, 15), st.integers(2, 4), st.integers(0, 99))
def test_folds_partition_patients_and_never_share_one(a: int, b: int, k: int, seed: int) -> None:
    cohort = _cohort(a, b)
    if min(a, b) - -(-max(a, b) // k) < 2:
        return
    folds = make_folds(cohort, LABELS, Recipe(folds=k, seed=seed))
    assert len(folds) == k
    held_out = [patient for fold in folds for patient in fold.held_out]
    assert sorted(held_out) == sorted(cohort), "each patient is held out exactly once"
    for fold in folds:
        assert fold.train | fold.validation | fold.held_out == set(cohort)
        assert len(fold.train) + len(fold.validation) + len(fold.held_out) == len(cohort)
        for part in (fold.train, fold.validation):
            assert {cohort[patient] for patient in part} == set(LABELS)
        counts = [sum(cohort[p] == label for p in fold.held_out) for label in LABELS]
        assert abs(counts[0] - a / k) < 1
        assert abs(counts[1] - b / k) < 1


def test_lopo_holds_out_one_patient_at_a_time() -> None:
    folds = make_folds(_cohort(4, 3), LABELS, Recipe(folds="lopo"))
    assert [len(fold.held_out) for fold in folds] == [1] * 7


PLANES = ("cerebellum", "spine", "thalami", "ventricles")


def _papers_cohort() -> dict[str, str]:
    """The paper's exams: 4 + 8 + 15 + 9 anomalous ones, and 40 normal patients."""
    counts = dict(zip(DEFAULT_LABELS, (4, 8, 15, 9, 40), strict=True))
    return {f"{label}-{i}": label for label, count in counts.items() for i in range(count)}


def test_lopo_makes_the_papers_folds() -> None:
    cohort = _papers_cohort()
    normal = {patient for patient, label in cohort.items() if label == "normal"}
    plane_of = {patient: PLANES[int(patient.split("-")[1]) % 4] for patient in normal}
    folds = make_folds(cohort, DEFAULT_LABELS, Recipe(folds="lopo"), plane_of)

    assert len(folds) == 36, "one an anomalous patient"
    assert sorted(p for fold in folds for p in fold.held_out - normal) == sorted(
        set(cohort) - normal
    )
    pieces = {fold.held_out & normal for fold in folds}
    assert len(pieces) == 5
    assert sorted(p for piece in pieces for p in piece) == sorted(normal), "disjoint by patient"
    for piece in pieces:
        of_plane = [sum(plane_of[p] == plane for p in piece) for plane in PLANES]
        assert of_plane == [2, 2, 2, 2], "each plane is in five pieces"
    judged = [patient for fold in folds for patient in fold.judged]
    assert sorted(judged) == sorted(cohort), "each patient is judged once"
    for fold in folds:
        assert fold.judged <= fold.held_out
        assert not fold.judged & (fold.train | fold.validation)


@pytest.mark.parametrize(("anomalous", "normal"), [(4, 20), (20, 4)])
def test_lopo_judges_everybody_once_with_few_on_either_side(anomalous: int, normal: int) -> None:
    cohort = {f"a{i}": "a" for i in range(anomalous)} | {f"n{i}": "normal" for i in range(normal)}
    folds = make_folds(cohort, ("a", "normal"), Recipe(folds="lopo"))
    assert len(folds) == anomalous
    assert sorted(p for fold in folds for p in fold.judged) == sorted(cohort)


def test_paper_selection_sets_nobody_aside() -> None:
    recipe = Recipe(folds=3, selection="paper")
    for fold in make_folds(_cohort(6, 3), LABELS, recipe):
        assert not fold.validation
        assert len(fold.train) == 6


def test_folds_follow_from_the_seed() -> None:
    cohort = _cohort(9, 9)
    first = make_folds(cohort, LABELS, Recipe(folds=3, seed=1))
    assert first == make_folds(dict(reversed(cohort.items())), LABELS, Recipe(folds=3, seed=1))
    assert first != make_folds(cohort, LABELS, Recipe(folds=3, seed=2))


@pytest.mark.parametrize(
    ("a", "b", "folds", "said"),
    [
        (5, 1, 2, "class b has one patient only"),
        (5, 0, 2, "class b has no patient"),
        (3, 3, 7, "7 folds need 7 patients or more, found 6"),
        (6, 2, 2, "leaves 1 of the 2 patients of class b, but training and validation"),
    ],
)
def test_too_few_patients_is_one_sentence(a: int, b: int, folds: int, said: str) -> None:
    with pytest.raises(InputError, match=said):
        make_folds(_cohort(a, b), LABELS, Recipe(folds=folds))


def test_a_fold_refuses_a_patient_in_two_splits() -> None:
    with pytest.raises(InputError, match="disjoint"):
        Fold(0, frozenset({"x", "y"}), frozenset({"z"}), frozenset({"y"}))
