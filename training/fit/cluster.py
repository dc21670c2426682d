"""Members trained on a Ray cluster, fold by fold.

Nothing but Ray and this package has to be shared: the cache travels once to each node through
Ray's object store, and each member's state comes back after every epoch to the process that was
started, which writes it where a run on one machine would. A fold whose worker dies is taken up
again, on any worker, from its last whole epoch. Whoever can reach a Ray cluster can run code on it:
use one on a network that is yours.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from neurosono import engine
from neurosono.engine.cluster import join_cluster
from neurosono.engine.contracts.cache import Cache
from neurosono.engine.contracts.errors import InputError, NeurosonoError, RunError
from neurosono.training.fit.checkpoint import (
    MemberState,
    load_state,
    pack_state,
    unpack_state,
    write_state,
)
from neurosono.training.fit.member import MemberTrainer, Step, Watch
from neurosono.training.fit.weights import Start, read_start
from neurosono.training.fit.workers import POLL_S, Task

RESTARTS = 3
"""Dead workers that one member is allowed (Ray's own default for a task)."""

VERSIONS = {"neurosono": engine.__version__, "torch": torch.__version__}
"""What must be the same everywhere, for members trained on different nodes to be one ensemble."""


def train_on_cluster(
    tasks: Sequence[Task], address: str, workers: int, watch: Watch
) -> list[MemberState]:
    """Train every task on the cluster at `address` and return its finished state, in order.

    `address` is HOST:PORT of a cluster that this machine has joined, or `local`, which starts one
    here with `workers` processes. A member has one core, or one GPU where the cluster has any.
    """
    left = [task for task in tasks if not load_state(task.state_path).finished]
    if left:
        start = read_start(left[0].recipe, Cache.load(left[0].cache_root).spec.size_px)
        with join_cluster(address, min(workers, len(left))) as ray:
            _train_all(ray, left, start, watch)
    return [load_state(task.state_path) for task in tasks]


@dataclass
class _Attempt:
    """A task on the cluster, for the `restarts + 1`-th time."""

    task: Task
    restarts: int = 0


def _train_all(ray: Any, tasks: Sequence[Task], start: Start, watch: Watch) -> None:
    cache = Cache.load(tasks[0].cache_root)
    # A plain array, not a memory map: the store keeps one copy a node, which all its workers share.
    shared = ray.put(replace(cache, frames=np.ascontiguousarray(cache.frames)))
    shared_start = ray.put(start)
    gpus = 1 if ray.cluster_resources().get("GPU", 0) >= 1 else 0
    remote = ray.remote(num_returns="streaming", max_retries=0, num_cpus=1, num_gpus=gpus)
    train = remote(_train_remotely)

    def begin(task: Task) -> Any:
        packed = task.state_path.read_bytes() if task.state_path.exists() else None
        return train.remote(shared, shared_start, task, packed, VERSIONS)

    running = {begin(task): _Attempt(task) for task in tasks}
    while running:
        ready, _ = ray.wait(list(running), num_returns=1, timeout=POLL_S)
        for stream in ready:
            attempt = running.pop(stream)
            try:
                if _hear(ray, stream, attempt, watch):
                    running[stream] = attempt  # behind the others: each is heard in turn
            except _WorkerDiedError as error:
                again = _count_restart(attempt, error)
                running[begin(again.task)] = again


class _WorkerDiedError(Exception):
    """What a member's worker ran on is gone; its last whole epoch is here."""


def _hear(ray: Any, stream: Any, attempt: _Attempt, watch: Watch) -> bool:
    """Take the next step of a member, keep its state, tell of it; False after the last one."""
    try:
        step, packed = ray.get(next(stream))
    except StopIteration:
        return False
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        raise cause if isinstance(cause, NeurosonoError) else error from None
    except ray.exceptions.RayError as error:
        raise _WorkerDiedError(type(error).__name__) from error
    if packed is not None:
        write_state(packed, attempt.task.state_path)
    watch(replace(step, restarts=attempt.restarts))
    return True


def _count_restart(attempt: _Attempt, error: _WorkerDiedError) -> _Attempt:
    if attempt.restarts == RESTARTS:
        raise RunError(
            f"member {attempt.task.number} lost its worker {RESTARTS + 1} times ({error}): look "
            "for too little memory on the nodes; every whole epoch is kept: give the same command "
            "again"
        ) from error
    return replace(attempt, restarts=attempt.restarts + 1)


def _train_remotely(
    cache: Cache, start: Start, task: Task, packed: bytes | None, versions: dict[str, str]
) -> Iterator[tuple[Step, bytes | None]]:
    """Train a member on a node: tell every step, and the whole state at the end of each epoch."""
    if versions != VERSIONS:
        raise InputError(
            f"a node of the cluster has {VERSIONS}, but {versions} was expected: install the same "
            "on every node"
        )
    torch.set_num_threads(1)
    state = MemberState() if packed is None else unpack_state(packed)
    trainer = MemberTrainer(cache, task.fold, task.number, task.recipe, start)
    for step in trainer.steps(state):
        yield step, None if step.validation is None else pack_state(state)
