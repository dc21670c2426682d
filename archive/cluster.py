"""Workers of a Ray cluster: one exam a task, a core each.

Every node needs neurosono, the same bundle and the archive under the same paths. Nothing but an
exam's paths and its row travels.
"""

import functools
from typing import Any

from neurosono import engine
from neurosono.archive.book import Exam, Outcome
from neurosono.archive.options import Asked
from neurosono.archive.pool import POLL_S, Died
from neurosono.engine.contracts.errors import InputError, NeurosonoError

AHEAD = 2
"""Exams a core that are handed over at once, so that no core waits for its next one."""


class ClusterPool:
    """What a joined cluster does at once: `jobs` exams, 0: as many as it has cores.

    A core takes one exam at a time, so only where `jobs` are fewer than cores is none handed ahead.
    """

    def __init__(self, ray: Any, asked: Asked, jobs: int) -> None:
        """`ray` is the module, joined; nothing runs yet."""
        self._ray, self._asked = ray, asked
        cores = int(ray.cluster_resources().get("CPU", 1))
        self._slots = jobs if 0 < jobs < cores else AHEAD * cores
        # a dead worker is ours to count: two deaths and the exam is listed as failed
        self._judge = ray.remote(max_retries=0, num_cpus=1)(judge_remotely)
        self._running: dict[Any, int] = {}

    @property
    def busy(self) -> int:
        """How many exams are under way."""
        return len(self._running)

    @property
    def free(self) -> int:
        """How many more may be begun now."""
        return self._slots - self.busy

    def begin(self, exam: Exam) -> None:
        """Hand an exam to the cluster."""
        task = self._judge.remote(exam, self._asked, engine.__version__)
        self._running[task] = exam.number

    def wait(self) -> list[Outcome | Died]:
        """Return what was done or died meanwhile; raises what kept a node from opening the bundle.

        An exam whose node, or whose worker, is gone has died.
        """
        running = list(self._running)
        self._ray.wait(running, timeout=POLL_S)
        ready, _ = self._ray.wait(running, num_returns=len(running), timeout=0)
        return [self._take(task) for task in ready]

    def _take(self, task: Any) -> Outcome | Died:
        number = self._running.pop(task)
        failures = self._ray.exceptions
        try:
            outcome: Outcome = self._ray.get(task)
        except failures.RayTaskError as error:
            cause = error.cause
            raise cause if isinstance(cause, NeurosonoError) else error from None
        except failures.RayError:
            return Died(number)
        return outcome


def judge_remotely(exam: Exam, asked: Asked, version: str) -> Outcome:
    """Judge an exam on a node; its worker keeps the bundle open for the next one."""
    if version != engine.__version__:
        raise InputError(
            f"a node of the cluster has neurosono {engine.__version__}, but {version} was "
            "expected: install the same on every node"
        )
    from neurosono.archive.exam import judge_exam

    opened, watch = _open(asked)
    return judge_exam(exam, opened, asked, watch)


@functools.cache
def _open(asked: Asked) -> tuple[Any, Any]:
    from neurosono.archive.exam import Watch, open_worker

    return open_worker(asked), Watch()
