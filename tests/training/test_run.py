import contextlib
import json
import platform
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.cache import Cache, pseudonym
from neurosono.engine.contracts.errors import (
    EngineUnavailableError,
    InputError,
    OutputError,
    RunError,
)
from neurosono.engine.contracts.predictions import Predictions
from neurosono.training.fit.checkpoint import load_state
from neurosono.training.fit.member import MemberTrainer, Step
from neurosono.training.recipe import Recipe
from neurosono.training.run import Run
from neurosono.training.splits import make_folds
from tests.support.commands import run, start, wait_until
from tests.support.disks import disk_with
from tests.training.conftest import TINY

MakeCohort = Callable[..., Cache]


def _ignore(_: Step) -> None:
    pass


class _KilledError(Exception):
    pass


def _weights(bundle: Path, member: str = "00") -> dict[str, torch.Tensor]:
    return load_file(bundle / "members" / f"{member}.safetensors")


def test_a_run_learns_and_writes_a_bundle_that_loads(
    make_cohort: MakeCohort, tmp_path: Path
) -> None:
    cache = make_cohort(patients=5, frames=8)
    steps: list[Step] = []
    recipe = replace(TINY, epochs=12, full_size_epochs=8)
    metrics = Run(cache, recipe, tmp_path / "b", "tiny").train(steps.append)

    losses = [step.loss for step in steps if step.validation is not None and step.member == 0]
    assert losses[-1] < 0.7 * losses[0]
    assert metrics["frames"]["accuracy"] > 0.6, "chance is one in three"

    bundle = Bundle.load(tmp_path / "b", labels=cache.labels)
    assert [member.width for member in bundle.manifest.members] == [0.125, 0.125]
    assert any(not torch.equal(a, b) for a, b in _pairs(tmp_path / "b")), "members differ"
    card = bundle.manifest.card
    assert card["training_data"]["digest"] == cache.digest
    assert card["training_data"]["patients"] == 15
    assert Recipe.from_json(card["recipe"]) == recipe
    assert card["training_data"]["sites"] == {"unknown": {"patients": 15, "frames": 120}}
    assert card["training_data"]["classes"]["rows"] == {"patients": 5, "frames": 40}
    assert card["environment"]["torch"] == torch.__version__
    assert platform.node() not in json.dumps(card)
    assert Recipe.from_json(json.loads((tmp_path / "b" / "recipe.json").read_bytes())["recipe"])
    assert not list(tmp_path.glob("*.part"))


def _pairs(bundle: Path) -> list[tuple[torch.Tensor, torch.Tensor]]:
    one, other = _weights(bundle, "00"), _weights(bundle, "01")
    return [(one[name], other[name]) for name in one]


def test_predictions_are_of_held_out_patients_and_name_none(
    make_cohort: MakeCohort, tmp_path: Path
) -> None:
    cache = make_cohort()
    Run(cache, TINY, tmp_path / "b", "tiny").train(_ignore)
    found = Predictions.read(tmp_path / "b" / "report" / "predictions.csv")
    folds = make_folds(cache.label_of_patient, cache.labels, TINY)
    for fold in folds:
        judged = {cache.rows[row].patient for row in found.rows[found.folds == fold.index]}
        assert judged == fold.held_out
    assert sorted(found.rows) == list(range(len(cache.rows))), "every frame exactly once"
    text = "".join(path.read_text() for path in (tmp_path / "b").rglob("*.[cj]s*"))
    assert not any(patient in text for patient in cache.label_of_patient)
    names = {pseudonym(patient, cache.digest) for patient in cache.label_of_patient}
    assert set(found.patients) == names


def test_the_same_seed_gives_the_same_weights_and_another_does_not(
    make_cohort: MakeCohort, tmp_path: Path
) -> None:
    cache = make_cohort()
    one = replace(TINY, members=1, epochs=2, full_size_epochs=1)
    for name, recipe in {"a": one, "b": one, "c": replace(one, seed=1)}.items():
        Run(cache, recipe, tmp_path / name, "tiny").train(_ignore)
    a, b, c = (_weights(tmp_path / name) for name in "abc")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)


def test_a_killed_run_ends_as_if_it_never_was(make_cohort: MakeCohort, tmp_path: Path) -> None:
    cache = make_cohort()
    Run(cache, TINY, tmp_path / "whole", "tiny").train(_ignore)

    def kill(step: Step) -> None:
        if (step.member, step.epoch, step.step) == (1, 2, 1) and step.validation is None:
            raise _KilledError

    with pytest.raises(_KilledError):
        Run(cache, TINY, tmp_path / "cut", "tiny").train(kill)
    assert not (tmp_path / "cut").exists()
    steps: list[Step] = []
    Run(cache, TINY, tmp_path / "cut", "tiny").train(steps.append)
    assert {(step.member, step.epoch) for step in steps} == {(1, 2), (1, 3)}, "only what was left"
    for member in ("00", "01"):
        whole, cut = (_weights(tmp_path / name, member) for name in ("whole", "cut"))
        assert all(torch.equal(whole[name], cut[name]) for name in whole)
    assert (tmp_path / "whole" / "manifest.json").read_text() == (
        tmp_path / "cut" / "manifest.json"
    ).read_text()


def test_a_stopped_run_is_closed_with_the_members_that_came_far_enough(
    make_cohort: MakeCohort, tmp_path: Path
) -> None:
    cache = make_cohort()
    run = Run(cache, TINY, tmp_path / "b", "tiny", save_every_s=1e6, tensorboard=False)

    def stop(step: Step) -> None:
        if (step.member, step.epoch) == (1, 3):
            raise _KilledError

    with pytest.raises(InputError, match="as far as an epoch to choose"):
        run.close()
    with pytest.raises(_KilledError):
        run.train(stop)
    assert [path.name for path in run.part.glob("state-*")] == ["state-00.pt"]
    metrics = run.close()
    bundle = Bundle.load(tmp_path / "b", labels=cache.labels)
    assert [member.name for member in bundle.manifest.members] == ["00"]
    fold = make_folds(cache.label_of_patient, cache.labels, TINY)[0]
    said = Predictions.read(tmp_path / "b" / "report" / "predictions.csv")
    assert set(said.patients) == {pseudonym(each, cache.digest) for each in fold.judged}
    assert metrics["patients"] == len(fold.judged)
    seen = set(bundle.manifest.card["training_data"]["patients_seen"])
    assert seen == {pseudonym(each, cache.digest) for each in fold.train | fold.validation}
    assert not (tmp_path / "b" / "report" / "tensorboard").exists()


def test_a_resume_with_another_recipe_is_refused(make_cohort: MakeCohort, tmp_path: Path) -> None:
    cache = make_cohort()
    run = Run(cache, TINY, tmp_path / "b", "tiny")
    run.part.mkdir()
    about = {"recipe": replace(TINY, batch=9).to_json(), "data": cache.digest}
    (run.part / "recipe.json").write_text(json.dumps(about))
    with pytest.raises(InputError, match="another recipe or other data"):
        run.train(_ignore)


def test_a_bundle_is_never_overwritten(make_cohort: MakeCohort, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    with pytest.raises(OutputError, match="there already"):
        Run(make_cohort(), TINY, tmp_path / "b", "tiny").train(_ignore)


@pytest.mark.parametrize("after", [1, 2], ids=["mid-epoch", "last update"])
def test_a_loss_that_is_no_number_names_batch_and_files_and_keeps_the_last_epoch(
    make_cohort: MakeCohort, tmp_path: Path, after: int
) -> None:
    cache = make_cohort()
    fold = make_folds(cache.label_of_patient, cache.labels, TINY)[0]
    trainer = MemberTrainer(cache, fold, 0, TINY)

    def poison(step: Step) -> None:
        if (step.epoch, step.step) == (1, after) and step.validation is None:
            with torch.no_grad():
                trainer._member.fc.weight[0, 0] = torch.nan

    with pytest.raises(RunError, match=r"epoch 2, batch 2 \(.*clip\.mp4"):
        trainer.fit(tmp_path / "state.pt", poison)
    kept = load_state(tmp_path / "state.pt")
    assert kept.epochs_done == 1
    assert all(value.isfinite().all() for value in kept.weights.values())
    whole = MemberTrainer(cache, fold, 0, TINY).fit(tmp_path / "whole.pt", _ignore)
    resumed = MemberTrainer(cache, fold, 0, TINY).fit(tmp_path / "state.pt", _ignore)
    assert all(torch.equal(whole.best[name], resumed.best[name]) for name in whole.best)


def test_a_full_disk_is_one_sentence_and_loses_no_epoch(
    make_cohort: MakeCohort, tmp_path: Path
) -> None:
    cache = make_cohort()
    recipe = replace(TINY, members=1)
    run = Run(cache, recipe, tmp_path / "b", "tiny")
    room = contextlib.ExitStack()

    def fill(step: Step) -> None:
        if step.epoch == 2:
            room.enter_context(disk_with(100_000))

    with room, pytest.raises(OutputError, match=r"cannot write .*state-00\.pt: File too large"):
        run.train(fill)
    assert load_state(run.part / "state-00.pt").epochs_done == 2
    assert sorted(path.name for path in run.part.glob("state*")) == ["state-00.pt"]
    steps: list[Step] = []
    run.train(steps.append)
    assert {step.epoch for step in steps} == {2, 3}, "only what was left"
    with disk_with(100_000), pytest.raises(OutputError, match=r"cannot write .*free some space"):
        Run(cache, recipe, tmp_path / "c", "tiny").train(_ignore)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here: f16 is possible")
def test_f16_without_a_gpu_is_one_sentence(make_cohort: MakeCohort, tmp_path: Path) -> None:
    recipe = replace(TINY, precision="f16")
    with pytest.raises(EngineUnavailableError, match="f16 needs a CUDA GPU"):
        Run(make_cohort(), recipe, tmp_path / "b", "tiny").train(_ignore)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="f16 needs a CUDA GPU")
def test_f16_trains_and_resumes_the_same(make_cohort: MakeCohort, tmp_path: Path) -> None:
    cache, recipe = make_cohort(), replace(TINY, precision="f16", members=1)
    fold = make_folds(cache.label_of_patient, cache.labels, recipe)[0]

    def kill(step: Step) -> None:
        if step.epoch == 2:
            raise _KilledError

    with pytest.raises(_KilledError):
        MemberTrainer(cache, fold, 0, recipe).fit(tmp_path / "cut.pt", kill)
    cut = MemberTrainer(cache, fold, 0, recipe).fit(tmp_path / "cut.pt", _ignore)
    whole = MemberTrainer(cache, fold, 0, recipe).fit(tmp_path / "whole.pt", _ignore)
    assert all(torch.equal(whole.best[name], cut.best[name]) for name in whole.best)


def test_a_spoilt_state_is_one_sentence(tmp_path: Path) -> None:
    for content in (b"", b"these are no weights", b"PK\x03\x04 cut short"):
        (tmp_path / "state.pt").write_bytes(content)
        with pytest.raises(InputError, match="cannot be resumed from"):
            load_state(tmp_path / "state.pt")


def test_the_best_epoch_is_chosen_by_validation_patients_alone(
    make_cohort: MakeCohort, tmp_path: Path
) -> None:
    """Spoiling the held-out patients' pixels changes not one weight."""
    cache = make_cohort()
    recipe = replace(TINY, members=1)
    fold = make_folds(cache.label_of_patient, cache.labels, recipe)[0]
    spoilt = np.array(cache.frames)
    spoilt[cache.rows_of(fold.held_out)] = 0
    states = [
        MemberTrainer(each, fold, 0, recipe).fit(tmp_path / f"{number}.pt", _ignore)
        for number, each in enumerate((cache, replace(cache, frames=spoilt)))
    ]
    for state in states:
        for record in state.history:
            record.pop("held_out_accuracy", None)  # measured, and must choose nothing
    assert states[0].history == states[1].history
    assert all(torch.equal(states[0].best[n], states[1].best[n]) for n in states[0].best)


def test_patience_stops_after_epochs_without_a_better_one(
    make_cohort: MakeCohort, tmp_path: Path
) -> None:
    cache = make_cohort()
    recipe = replace(
        TINY, epochs=30, full_size_epochs=30, patience=1, learning_rate=1e-8, final_rate_ratio=1
    )
    fold = make_folds(cache.label_of_patient, cache.labels, recipe)[0]
    state = MemberTrainer(cache, fold, 0, recipe).fit(tmp_path / "s.pt", _ignore)
    assert state.finished
    assert state.epochs_done == state.best_epoch + 2 < 30


@pytest.mark.slow
def test_kill_minus_nine_in_the_middle_of_a_fold_costs_no_bit(
    make_cohort: MakeCohort, tmp_path: Path
) -> None:
    """The real command, killed for good, then given again."""
    cache = make_cohort(patients=5, frames=8)
    recipe = tmp_path / "r.toml"
    values = TINY.to_json() | {"epochs": 6, "members": 1}
    recipe.write_text("".join(f"{k} = {json.dumps(v)}\n" for k, v in values.items()))
    words = ("train", cache.root, "--recipe", recipe, "--workers", "1", "--out")
    one_thread = {"OMP_NUM_THREADS": "1"}
    running = start(*words, tmp_path / "b", env=one_thread)
    wait_until((tmp_path / "b.part" / "state-00.pt").exists)
    running.kill()
    running.communicate()
    assert 0 < load_state(tmp_path / "b.part" / "state-00.pt").epochs_done < 6
    assert run(*words, tmp_path / "b", env=one_thread).returncode == 0
    Run(cache, Recipe(**values), tmp_path / "whole", "b").train(_ignore)
    whole, cut = _weights(tmp_path / "whole"), _weights(tmp_path / "b")
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


@pytest.mark.slow
def test_workers_train_the_same_weights_as_one_process(
    make_cohort: MakeCohort, tmp_path: Path
) -> None:
    cache = make_cohort()
    recipe = replace(TINY, epochs=2, full_size_epochs=1)
    Run(cache, recipe, tmp_path / "one", "tiny").train(_ignore)
    steps: list[Step] = []
    Run(cache, recipe, tmp_path / "two", "tiny", workers=2).train(steps.append)
    assert {step.member for step in steps} == {0, 1}, "the watcher hears of both"
    for member in ("00", "01"):
        one, two = (_weights(tmp_path / name, member) for name in ("one", "two"))
        assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.slow
def test_an_error_in_a_worker_ends_the_run_with_its_sentence(
    make_cohort: MakeCohort, tmp_path: Path
) -> None:
    recipe = replace(TINY, weights=str(tmp_path / "nosuch.safetensors"))
    with pytest.raises(InputError, match="cannot be read as safetensors"):
        Run(make_cohort(), recipe, tmp_path / "b", "tiny", workers=2).train(_ignore)
    assert not (tmp_path / "b").exists()
