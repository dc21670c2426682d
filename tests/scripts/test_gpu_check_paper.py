import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from neurosono.engine.contracts.errors import InputError
from neurosono.scripts.gpu_check.paper import main
from neurosono.scripts.gpu_check.paper_parts import KEPT_NAME, MEMBERS, START, Follower, Paper
from neurosono.scripts.gpu_check.record import Clock, Record
from neurosono.training.fit.member import Step
from neurosono.training.fit.weights import read_start
from neurosono.training.recipe import Recipe
from neurosono.training.run import Run


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    with Record(tmp_path, "paper", Clock(1000.0)) as record:
        yield record


def test_a_run_is_followed_until_its_time_is_up() -> None:
    clock = Clock(seconds=1000.0)
    hear = Follower(clock, 10.0, Recipe(early_size_px=112, epochs=2, full_size_epochs=1), 224)
    for epoch in (0, 1):
        for step in (1, 2, 3):
            hear(Step(0, epoch, step, 3, 0.5, 1e-3))
    assert hear.losses == [0.5] * 6
    assert {112, 224} == hear.speeds().keys()
    assert all(speed > 0 for speed in hear.speeds().values())
    assert hear.speed(448) == pytest.approx(max(hear.speeds()[224] / 4, hear.speeds()[112] / 16))
    hear._clock = Clock(1000.0, clock.begun_s - 995)
    with pytest.raises(TimeoutError, match="10 are kept"):
        hear(Step(0, 1, 3, 3, 0.5, 1e-3))


def test_a_start_that_is_cut_short_is_still_a_start(record: Record) -> None:
    step = Paper(record, 1, True)
    step.prepare(None)

    class Cut(Follower):
        def __call__(self, step: Step) -> None:
            super().__call__(step)
            if (step.epoch, step.step) == (1, 1):
                raise TimeoutError

    cache, recipe = step.caches["start"], step._fit_recipe(START)
    run = Run(cache, recipe, step.work / "start", "start", tensorboard=False)
    hear = Cut(step.clock, 0.0, recipe, cache.spec.size_px)
    with pytest.raises(InputError, match="as far as an epoch"):
        step._train(run, hear)
    assert step._keep_unfinished(run, hear)["epochs"] == 1
    members = replace(step._fit_recipe(MEMBERS), weights=step.start)
    assert read_start(members, cache.spec.size_px)["layer4.0.conv1.weight"].any()


def test_the_rehearsal_goes_through_every_part(tmp_path: Path) -> None:
    assert main(["--rehearse", "--workers", "1", "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "paper.json").read_text())
    assert found["members"]["members"] == 6, "a member for each anomalous patient"
    assert found["figures"]["goals"]["exam_accuracy"]["goal"] == 0.97
    assert found["figures"]["exams"]["count"] == 9
    assert {"all", "best_5", "best_1", "soup", "student"} <= found["sizes"].keys()
    with zipfile.ZipFile(tmp_path / KEPT_NAME) as file:
        assert {"predictions.csv", "members-unseen.npz"} <= set(file.namelist())
