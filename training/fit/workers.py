"""Members trained side by side, each in a process of its own with one thread.

One thread each, because that gives the same weights on any machine, and because threads that wait
for each other stand still as soon as something else uses a core.
"""

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING

import torch

from neurosono.engine.contracts.cache import Cache
from neurosono.training.fit.checkpoint import MemberState, load_state
from neurosono.training.fit.member import MemberTrainer, Step, Watch
from neurosono.training.recipe import Recipe
from neurosono.training.splits import Fold

if TYPE_CHECKING:
    from multiprocessing.queues import Queue

POLL_S = 0.2
"""How often the watcher hears of steps: often enough for a progress bar."""


@dataclass(frozen=True)
class Task:
    """One member to train: what a worker needs, and small enough to send.

    Its state is kept at the ends of epochs, not more often than every `save_every_s`.
    """

    cache_root: Path
    fold: Fold
    number: int
    recipe: Recipe
    state_path: Path
    save_every_s: float = 0.0


def train_members(tasks: Sequence[Task], workers: int, watch: Watch) -> list[MemberState]:
    """Train every task and return its finished state; the first error ends the run.

    With one worker all happens in this process, on its own number of threads.
    """
    if workers == 1:
        return [_train(task, watch) for task in tasks]
    context = multiprocessing.get_context("spawn")
    steps: Queue[Step] = context.Queue()
    with ProcessPoolExecutor(workers, context, _begin, (steps,)) as pool:
        futures = [pool.submit(_train_here, task) for task in tasks]
        try:
            _follow(futures, steps, watch)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise
    return [load_state(task.state_path) for task in tasks]


def _follow(futures: Sequence["Future[None]"], steps: "Queue[Step]", watch: Watch) -> None:
    waiting = set(futures)
    while waiting:
        done, waiting = wait(waiting, timeout=POLL_S)
        while (step := _next(steps)) is not None:
            watch(step)
        for future in done:
            future.result()


def _next(steps: "Queue[Step]") -> Step | None:
    try:
        return steps.get_nowait()
    except Empty:
        return None


_steps: "Queue[Step] | None" = None


def _begin(steps: "Queue[Step]") -> None:
    global _steps  # noqa: PLW0603 (what a worker's initializer leaves for its tasks)
    _steps = steps
    torch.set_num_threads(1)


def _train_here(task: Task) -> None:
    steps = _steps
    assert steps is not None
    _train(task, steps.put)


def _train(task: Task, watch: Watch) -> MemberState:
    cache = Cache.load(task.cache_root)
    trainer = MemberTrainer(cache, task.fold, task.number, task.recipe)
    return trainer.fit(task.state_path, watch, task.save_every_s)
