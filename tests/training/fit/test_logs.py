"""TensorBoard logs, read back by TensorBoard's own reader."""

import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from neurosono.engine.contracts.cache import Cache
from neurosono.engine.contracts.notice import NOTICE
from neurosono.training.fit.member import Step
from neurosono.training.run import Run
from tests.training.conftest import TINY

MakeCohort = Callable[..., Cache]


class _KilledError(Exception):
    pass


def _read(folder: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(folder))
    events.Reload()
    return {
        tag: [(each.step, each.value) for each in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def test_each_member_has_its_curves_also_over_a_restart(
    make_cohort: MakeCohort, tmp_path: Path
) -> None:
    cache = make_cohort()
    told: list[Step] = []

    def kill(step: Step) -> None:
        told.append(step)
        if (step.member, step.epoch) == (1, 2):
            raise _KilledError

    with pytest.raises(_KilledError):
        Run(cache, TINY, tmp_path / "b", "tiny").train(kill)
    growing = tmp_path / "b.part" / "report" / "tensorboard"
    assert [step for step, _ in _read(growing / "member-01")["loss"]] == [1, 2]
    Run(cache, TINY, tmp_path / "b", "tiny").train(told.append)

    logs = tmp_path / "b" / "report" / "tensorboard"
    ends = [step for step in told if step.validation is not None]
    for member in (0, 1):
        mine = [step for step in ends if step.member == member]
        expected = {
            "loss": [step.loss for step in mine],
            "learning_rate": [step.rate for step in mine],
            "validation_accuracy": [step.validation for step in mine],
        }
        found = _read(logs / f"member-{member:02d}")
        assert set(found) == set(expected)
        for tag, values in expected.items():
            assert [step for step, _ in found[tag]] == [1, 2, 3, 4]
            assert [value for _, value in found[tag]] == pytest.approx(values)


def test_no_patient_and_no_host_is_named(make_cohort: MakeCohort, tmp_path: Path) -> None:
    cache = make_cohort()
    Run(cache, replace(TINY, members=1), tmp_path / "b", "tiny").train(lambda _: None)
    files = [
        path for path in (tmp_path / "b" / "report" / "tensorboard").rglob("*") if path.is_file()
    ]
    assert [path.name for path in files] == ["events.out.tfevents.0.neurosono"]
    content = files[0].read_bytes()
    assert NOTICE.encode() in content
    for name in (*cache.label_of_patient, socket.gethostname(), str(tmp_path)):
        assert name.encode() not in content
        assert name not in files[0].name
