from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neurosono.engine.contracts.cache import Cache, pseudonym
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.predictions import Predictions
from neurosono.training.report.answers import Answer, read_answers
from neurosono.training.report.readers import compare_pairs, describe_readers
from tests.training.simulated import LABELS, make_exams

SALT = "abc"
NORMAL = LABELS.index("normal")


def _exams() -> Predictions:
    """Return three exams of two patients, as they are called in the dataset: Ada, and Bo twice."""
    exams = make_exams([0, 1, 4], [0, 1, 4])
    full = ("Ada/Ada", "Bo/first", "Bo/second")
    return replace(
        exams,
        patients=np.array([pseudonym(name.split("/")[0], SALT) for name in full]),
        exams=np.array([pseudonym(name, SALT) for name in full]),
    )


def _write(folder: Path, text: str) -> Path:
    path = folder / "readers.csv"
    path.write_text(text)
    return path


def test_exams_are_named_as_in_the_dataset_or_by_pseudonym(tmp_path: Path) -> None:
    exams = _exams()
    rows = ["Ada,Dr A,anencephaly", "Bo/first,Dr A, Encephalocele ", f"{exams.exams[2]},Dr A,NONE"]
    path = _write(tmp_path, "\n".join(["exam,reader,answer", *rows, ""]))
    found = read_answers(path, exams, SALT)
    assert found == [
        Answer(str(name), "Dr A", choice)
        for name, choice in zip(exams.exams, (0, 1, -1), strict=True)
    ]


def test_a_patient_of_one_exam_names_it_and_of_two_does_not(tmp_path: Path) -> None:
    exams = _exams()
    for name in ("Ada", str(exams.patients[0])):
        path = _write(tmp_path, f"reader,patient,answer\nA,{name},normal\n")
        assert read_answers(path, exams, SALT) == [Answer(str(exams.exams[0]), "A", NORMAL)]
    path = _write(tmp_path, "patient,reader,answer\nBo,A,normal\n")
    with pytest.raises(InputError, match="row 2, column patient: 2 exams of this name"):
        read_answers(path, exams, SALT)


def test_the_cache_finds_exams_that_are_not_called_like_their_patients(
    tmp_path: Path, make_cohort: Callable[..., Cache]
) -> None:
    cache = make_cohort(patients=1, frames=1)
    row = replace(cache.rows[0], patient="Bo", exam="first")
    path = _write(tmp_path, "exam,reader,answer\nfirst,A,normal\n")
    with pytest.raises(InputError, match="no exam of this name"):
        read_answers(path, _exams(), SALT)
    found = read_answers(path, _exams(), SALT, replace(cache, rows=(row,)))
    assert found[0].exam == pseudonym("Bo/first", SALT)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty: its columns must be exam, reader, answer"),
        ("exam,reader\nAda,A\n", r"row 1: the columns must be exam \(or patient\)"),
        ("exam,patient,reader,answer\n", "row 1: the columns must be"),
        ("exam,reader,answer,years\n", "row 1: the columns must be .* found .*years"),
        ("exam,reader,answer\n", "holds no answer"),
        ("exam,reader,answer\nAda,A\n", "row 2 has 2 columns, expected 3"),
        ("exam,reader,answer\nAda,A,none\nSecret,A,none\n", "row 3, column exam: no exam"),
        ("exam,reader,answer\nAda,,none\n", "row 2, column reader: empty"),
        ("exam,reader,answer\nAda,A,Secret\n", "row 2, column answer: not a class; choose one of"),
        ("exam,reader,answer\nAda,A,none\n\nAda,A,normal\n", "row 4, column exam: .* in row 2"),
    ],
)
def test_a_bad_table_is_one_sentence_with_row_and_column(
    text: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=said) as caught:
        read_answers(_write(tmp_path, text), _exams(), SALT)
    assert "Secret" not in str(caught.value), "what stands there may be a patient's name"
    assert "\n" not in str(caught.value)


def test_a_table_that_is_no_text_or_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no table of readers"):
        read_answers(tmp_path / "readers.csv", _exams(), SALT)
    (tmp_path / "readers.csv").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(InputError, match="cannot be read as a CSV in UTF-8"):
        read_answers(tmp_path / "readers.csv", _exams(), SALT)


def test_recognition_of_reader_system_and_both() -> None:
    """Exam by exam: both right; system only; reader only; a normal that the system spoils."""
    exams = make_exams([0, 0, 0, NORMAL, 1], [0, 0, 1, 2, 1])
    choices = (0, NORMAL, 0, NORMAL, -1)
    answers = [
        Answer(str(name), "A", choice) for name, choice in zip(exams.exams, choices, strict=True)
    ]
    found = describe_readers(exams, answers)["readers"][0]
    right = {who: shares["all"]["right"] for who, shares in found["recognition"].items()}
    assert right == {"reader": 3, "system": 3, "either": 5, "second_read": 4}
    of_class = found["recognition"]["second_read"]["classes"]
    assert of_class["anencephaly"]["value"] == 1.0, "a missed anomaly is caught"
    assert of_class["normal"]["value"] == 0.0, "and a right normal is lost: it can do harm"
    assert of_class["rachischisis"] == {
        "value": None,
        "low": 0.0,
        "high": 1.0,
        "right": 0,
        "count": 0,
    }
    pairs = found["mcnemar"]["reader_and_system"]
    assert (pairs["only_first_right"], pairs["only_second_right"]) == (2, 2)
    assert found["mcnemar"]["reader_and_either"]["only_first_right"] == 0


def test_a_reader_is_compared_on_her_own_exams_only() -> None:
    exams = make_exams([0, 0, 1], [0, 1, 1])
    answers = [Answer("e000", "A", 0), Answer("e001", "B", 0), Answer("e002", "B", 0)]
    first, second = describe_readers(exams, answers)["readers"]
    assert (first["reader"], first["exams"], second["exams"]) == ("A", 1, 2)
    assert first["recognition"]["system"]["all"]["value"] == 1.0
    assert second["recognition"]["system"]["all"]["value"] == 0.5


def test_mcnemar_is_the_exact_binomial_test_of_the_pairs_that_differ() -> None:
    one = np.array([True] * 1 + [False] * 8 + [True] * 20)
    other = np.array([False] * 1 + [True] * 8 + [True] * 20)
    found = compare_pairs(one, other)
    assert found == {"only_first_right": 1, "only_second_right": 8, "p": pytest.approx(20 / 512)}
    assert compare_pairs(one, one)["p"] == 1.0
