from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.cache import Cache
from neurosono.engine.contracts.errors import InputError, OutputError, RunError
from neurosono.engine.judgement import check_unseen
from neurosono.engine.members import load_ensemble, load_member
from neurosono.training.fit.checkpoint import load_state
from neurosono.training.recipe import Recipe
from neurosono.training.sizes.derivation import Derivation
from neurosono.training.sizes.lesson import Lesson, split_validation
from neurosono.training.sizes.student import Progress, StudentTrainer, make_student
from tests.training.conftest import TINY
from tests.training.sizes.parents import make_parent

RECIPE = replace(TINY, validation_share=0.34, epochs=3, learning_rate=1e-3, warmup_epochs=0.5)
LESSON = Lesson()

MakeCohort = Callable[..., Cache]


class _KilledError(Exception):
    pass


def _ignore(_: Progress) -> None:
    pass


@pytest.fixture
def cache(make_cohort: MakeCohort) -> Cache:
    return make_cohort(patients=3)


@pytest.fixture
def parent(cache: Cache, tmp_path: Path) -> Bundle:
    return Bundle.load(make_parent(tmp_path / "parent", cache))


def _derive(
    parent: Bundle, out: Path, recipe: Recipe = RECIPE, lesson: Lesson = LESSON
) -> Derivation:
    about = {"recipe": recipe.to_json(), "lesson": asdict(lesson)}
    return Derivation(parent, out, "student", about=about)


def _weights(bundle: Path) -> dict[str, torch.Tensor]:
    return load_file(bundle / "members" / "00.safetensors")


def test_the_loss_is_least_where_student_and_teacher_agree() -> None:
    said = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])
    target, weights = torch.tensor([1, 2]), torch.ones(3)
    lesson = Lesson(temperature=3, hard_share=0)
    logits = (said.log() + 5).requires_grad_()
    loss = lesson.lose(logits, said, target, weights)
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert torch.autograd.grad(loss, logits)[0].abs().max() < 1e-6
    assert lesson.lose(logits.flip(1), said, target, weights).item() > 0.1
    plain = torch.nn.functional.cross_entropy(logits, target, weights)
    hard = Lesson(hard_share=1).lose(logits, said, target, weights)
    torch.testing.assert_close(hard, plain)


def test_softening_divides_logits_by_the_temperature() -> None:
    logits = torch.tensor([[2.0, 0.0, -1.0]])
    soft = Lesson(temperature=4).soften(logits.softmax(1))
    torch.testing.assert_close(soft, (logits / 4).softmax(1))


@pytest.mark.parametrize("how", [{"temperature": 0}, {"hard_share": 1.1}, {"view": "none"}])
def test_a_lesson_checks_its_choices(how: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Lesson(**how)  # type: ignore[arg-type]


@pytest.mark.parametrize("view", ["same", "clean"])
def test_a_student_comes_nearer_to_its_teacher(cache: Cache, tmp_path: Path, view: str) -> None:
    parent = Bundle.load(make_parent(tmp_path / "taught", cache, epochs=8))
    seen: list[Progress] = []
    recipe = replace(RECIPE, epochs=8, full_size_epochs=6, width=0.1875)
    lesson = Lesson(view=view)
    found = make_student(
        _derive(parent, tmp_path / "s", recipe, lesson), cache, recipe, lesson, seen.append
    )
    losses = [each.loss for each in seen if each.agreement is not None]
    assert losses[-1] < 0.85 * losses[0]
    assert found["start"] == "weights random"
    assert found["validation"]["agreement"] > 0.5, "chance is one in three"
    assert found["epoch"] >= 2, "only an epoch at the full size is kept"
    made = Bundle.load(tmp_path / "s").manifest
    assert [member.width for member in made.members] == [0.1875]
    assert made.card["derivation"]["view"] == view
    assert Recipe.from_json(made.card["recipe"]) == recipe
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == [
        "manifest.json",
        "members",
        "report",
    ]


def test_a_student_of_the_members_width_starts_from_the_best_of_them(
    parent: Bundle, cache: Cache, tmp_path: Path
) -> None:
    still = replace(RECIPE, epochs=1, full_size_epochs=1, learning_rate=1e-8, weight_decay=0)
    found = make_student(_derive(parent, tmp_path / "s", still), cache, still, LESSON, _ignore)
    assert found["start"] == "member 00"
    before = load_member(parent, parent.manifest.members[0]).state_dict()
    torch.testing.assert_close(_weights(tmp_path / "s")["conv1.weight"], before["conv1.weight"])


def test_its_card_says_of_whom_it_learnt_and_who_is_seen(
    parent: Bundle, cache: Cache, tmp_path: Path
) -> None:
    make_student(_derive(parent, tmp_path / "s"), cache, RECIPE, LESSON, _ignore)
    card = Bundle.load(tmp_path / "s").manifest.card
    assert card["derivation"]["from"] == {
        "name": "parent",
        "digest": parent.manifest.digest,
        "members": 2,
    }
    data = card["training_data"]
    assert data == parent.manifest.card["training_data"]
    with pytest.raises(InputError, match="were trained on"):
        check_unseen(cache, data["digest"], data["patients_seen"])
    assert not any(name in str(card) for name in cache.label_of_patient)

    # A student of a student tells the whole way.
    child = Bundle.load(tmp_path / "s")
    make_student(_derive(child, tmp_path / "t"), cache, RECIPE, LESSON, _ignore)
    origin = Bundle.load(tmp_path / "t").manifest.card["derivation"]["from"]
    assert origin["derivation"]["from"]["digest"] == parent.manifest.digest


def test_a_killed_student_ends_as_if_it_never_was(
    parent: Bundle, cache: Cache, tmp_path: Path
) -> None:
    make_student(_derive(parent, tmp_path / "whole"), cache, RECIPE, LESSON, _ignore)

    def kill(at: Progress) -> None:
        if (at.epoch, at.step) == (1, 1) and at.agreement is None:
            raise _KilledError

    with pytest.raises(_KilledError):
        make_student(_derive(parent, tmp_path / "cut"), cache, RECIPE, LESSON, kill)
    assert not (tmp_path / "cut").exists()

    other = replace(RECIPE, seed=9)
    with pytest.raises(InputError, match="begun with other data or choices"):
        make_student(_derive(parent, tmp_path / "cut", other), cache, other, LESSON, _ignore)

    seen: list[Progress] = []
    make_student(_derive(parent, tmp_path / "cut"), cache, RECIPE, LESSON, seen.append)
    assert {each.epoch for each in seen} == {1, 2}, "only what was left"
    whole, cut = _weights(tmp_path / "whole"), _weights(tmp_path / "cut")
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


def test_validation_patients_are_whole_and_of_every_class(cache: Cache) -> None:
    learnt_from, validation = split_validation(cache, frozenset(cache.label_of_patient), RECIPE)
    assert not learnt_from & validation
    assert learnt_from | validation == set(cache.label_of_patient)
    for label in cache.labels:
        assert sum(cache.label_of_patient[name] == label for name in validation) == 1


def test_what_cannot_teach_is_refused(
    parent: Bundle, cache: Cache, make_cohort: MakeCohort, tmp_path: Path
) -> None:
    other = make_cohort("other", seed=5)
    with pytest.raises(InputError, match="keep this one to measure with"):
        make_student(_derive(parent, tmp_path / "s"), other, RECIPE, LESSON, _ignore)
    half = replace(RECIPE, precision="f16")
    with pytest.raises(InputError, match="f32 or bf16"):
        make_student(_derive(parent, tmp_path / "s"), cache, half, LESSON, _ignore)
    assert not list(tmp_path.glob("s*"))
    (tmp_path / "there").mkdir()
    with pytest.raises(OutputError, match="is there already"):
        make_student(_derive(parent, tmp_path / "there"), cache, RECIPE, LESSON, _ignore)


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_epoch(
    parent: Bundle, cache: Cache, tmp_path: Path
) -> None:
    student = load_member(parent, parent.manifest.members[0])

    def poison(at: Progress) -> None:
        if (at.epoch, at.step) == (1, 1) and at.agreement is None:
            student.fc.bias.data.fill_(float("nan"))

    patients = frozenset(cache.label_of_patient)
    trainer = StudentTrainer(cache, patients, load_ensemble(parent), student, RECIPE, LESSON)
    with pytest.raises(RunError, match="no finite number in epoch 2, batch 2"):
        trainer.fit(tmp_path, poison)
    assert load_state(tmp_path / "state-00.pt").epochs_done == 1
