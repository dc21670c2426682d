"""Folds on a real Ray cluster: two worker processes, one of them killed."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch
from safetensors.torch import load_file

from neurosono.engine.cluster import join_cluster
from neurosono.engine.contracts.cache import Cache
from neurosono.engine.contracts.errors import EngineUnavailableError, InputError, RunError
from neurosono.training.fit import cluster
from neurosono.training.fit.cluster import RESTARTS, train_on_cluster
from neurosono.training.fit.member import Step
from neurosono.training.run import Run
from tests.training.conftest import TINY

MakeCohort = Callable[..., Cache]

RECIPE = replace(TINY, epochs=8, full_size_epochs=2)


def _ignore(_: Step) -> None:
    pass


def _workers() -> list[psutil.Process]:
    """Return the processes that train a fold just now, below this one."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.cmdline() and process.cmdline()[0].startswith("ray::_train_remotely"):
                found.append(process)
        except psutil.NoSuchProcess:  # it ended while we looked
            continue
    return found


@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_the_weights_are_the_same(
    make_cohort: MakeCohort, tmp_path: Path
) -> None:
    cache = make_cohort()
    Run(cache, RECIPE, tmp_path / "alone", "tiny").train(_ignore)
    steps: list[Step] = []
    killed: list[int] = []
    done: dict[int, int] = {}

    def watch(step: Step) -> None:
        """Kill a worker once every member at work has a whole epoch behind it and more before."""
        steps.append(step)
        done[step.member] = step.epoch + (step.validation is not None)
        at_work = [member for member, epochs in done.items() if 0 < epochs < RECIPE.epochs]
        working = _workers() if at_work and not killed else []
        if working and len(working) == len(at_work):
            working[0].kill()
            killed.append(working[0].pid)

    Run(cache, RECIPE, tmp_path / "ray", "tiny", workers=2, cluster="local").train(watch)
    assert killed
    restarted = {step.member for step in steps if step.restarts}
    assert len(restarted) == 1, "one member was taken up again, the others went on"
    first = min(step.epoch for step in steps if step.restarts)
    assert first > 0, "from its last whole epoch, not from the beginning"
    for member in ("00", "01"):
        alone, there = (
            load_file(tmp_path / name / "members" / f"{member}.safetensors")
            for name in ("alone", "ray")
        )
        assert all(torch.equal(alone[name], there[name]) for name in alone)
    for name in ("predictions.csv", "predictions_paper.csv"):
        alone, there = ((tmp_path / run / "report" / name).read_text() for run in ("alone", "ray"))
        assert alone == there
    assert not [p for p in psutil.Process().children(recursive=True) if "ray" in p.name()]
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.slow
def test_a_node_with_another_version_ends_the_run_with_a_sentence(
    make_cohort: MakeCohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = set(psutil.Process().children(recursive=True))
    monkeypatch.setattr(cluster, "VERSIONS", cluster.VERSIONS | {"neurosono": "0.0"})
    with pytest.raises(InputError, match=r"a node of the cluster has .*0\.0.* was expected"):
        Run(make_cohort(), RECIPE, tmp_path / "b", "tiny", cluster="local").train(_ignore)
    assert set(psutil.Process().children(recursive=True)) <= others


def test_a_member_may_lose_a_few_workers_only() -> None:
    attempt = cluster._Attempt(task=None)  # type: ignore[arg-type]
    died = cluster._WorkerDiedError("WorkerCrashedError")
    for restarts in range(1, RESTARTS + 1):
        attempt = cluster._count_restart(attempt, died)
        assert attempt.restarts == restarts
    attempt.task = SimpleNamespace(number=3)  # type: ignore[assignment]
    with pytest.raises(RunError, match=r"member 3 lost its worker 4 times .*every whole epoch"):
        cluster._count_restart(attempt, died)


@pytest.mark.parametrize(
    ("address", "said"),
    [("nonsense", "must be HOST:PORT or local"), ("127.0.0.1:9", "no Ray cluster at 127.0.0.1:9")],
)
def test_no_cluster_there_is_one_sentence(address: str, said: str) -> None:
    with pytest.raises(InputError, match=said), join_cluster(address, 1):
        pass


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    said = pytest.raises(EngineUnavailableError, match=r"neurosono\[cluster\]")
    with said, join_cluster("local", 1):
        pass


def test_what_is_finished_asks_for_no_cluster(make_cohort: MakeCohort, tmp_path: Path) -> None:
    assert train_on_cluster([], "nowhere:1", 1, _ignore) == []
