"""How a process that only prepares for later lets those go first that are at work now."""

import os
import threading
from contextlib import suppress
from pathlib import Path

NICE = 10
"""Steps behind the others: about a tenth of a core that they keep busy, and all of an idle one."""


class Priority:
    """This process's place among others, which the calling thread and its new ones give up."""

    def __init__(self) -> None:
        self._own = os.getpriority(os.PRIO_PROCESS, 0)

    def step_back(self) -> None:
        """Let others go first, where this user may come forward again (`RLIMIT_NICE`)."""
        trial = threading.Thread(target=self._try)
        trial.start()
        trial.join()

    def _try(self) -> None:
        main = threading.main_thread().native_id
        assert main is not None
        with suppress(PermissionError):
            _place(threading.get_native_id(), self._own + NICE)
            _place(threading.get_native_id(), self._own)
            _place(main, self._own + NICE)

    def come_forward(self) -> None:
        """Take the own place again, with all threads."""
        for task in Path("/proc/self/task").iterdir():
            with suppress(ProcessLookupError, PermissionError):
                _place(int(task.name), self._own)


def _place(thread: int, nice: int) -> None:
    """Give one thread its place: Linux does so by threads, whatever POSIX says of processes."""
    os.setpriority(os.PRIO_PROCESS, thread, min(nice, 19))
