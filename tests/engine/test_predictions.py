from pathlib import Path

import numpy as np
import pytest

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.predictions import Predictions


def _make() -> Predictions:
    return Predictions(
        labels=("a", "b"),
        rows=np.array([4, 5, 9]),
        folds=np.array([0, 0, -1]),
        patients=np.array(["p1", "p1", "p2"]),
        exams=np.array(["e2", "e2", "e1"]),
        targets=np.array([0, 0, 1]),
        weeks=np.array([20.25, 20.25, np.nan]),
        sites=np.array(["one", "one", ""]),
        probabilities=np.array([[0.9, 0.1], [0.4, 0.6], [1e-9, 1 - 1e-9]]),
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    made = _make()
    made.write(tmp_path / "p.csv")
    found = Predictions.read(tmp_path / "p.csv")
    assert found.labels == made.labels
    for name in ("rows", "folds", "patients", "exams", "targets", "sites"):
        assert getattr(found, name).tolist() == getattr(made, name).tolist()
    np.testing.assert_allclose(found.probabilities, made.probabilities, rtol=1e-6)
    np.testing.assert_equal(found.weeks, made.weeks)
    assert [path.name for path in tmp_path.iterdir()] == ["p.csv"]


def test_exams_are_means_of_their_frames() -> None:
    exams = _make().by_exam()
    assert exams.exams.tolist() == ["e1", "e2"]
    assert exams.targets.tolist() == [1, 0]
    assert exams.rows.tolist() == [9, 4]
    np.testing.assert_allclose(exams.probabilities[1], [0.65, 0.35])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no predictions"),
        ("row,fold\n1,2\n", "holds no predictions"),
        (
            "row,fold,patient,exam,label,gestational_weeks,site,p_a,p_b\n0,0,p,e,c,,0.5,0.5\n",
            "holds no predictions",
        ),
        (
            "row,fold,patient,exam,label,gestational_weeks,site,p_a,p_b\n0,0,p,e,a,,,nan,0.5\n",
            "finite",
        ),
    ],
)
def test_other_tables_are_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(InputError, match=said):
        Predictions.read(tmp_path / "p.csv")


def test_a_missing_table_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neurosono train"):
        Predictions.read(tmp_path / "nothing.csv")
