"""Starts the capture and the engine processes, watches them, and leaves nothing behind."""

import contextlib
import os
import signal
import subprocess
import sys
from types import TracebackType
from typing import Self

import msgspec

from neurosono.engine.contracts.errors import ProcessFailedError
from neurosono.stream.processes.channel import Endpoints

MODULES = {
    "capture": "neurosono.stream.capture.process",
    "engine": "neurosono.stream.judge.worker",
    "reader": "neurosono.stream.judge.reader",
}
"""What runs in a role; that of a reader is `reader:` and its name."""

HEAP = {
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
    "MALLOC_TOP_PAD_": str(4 << 20),
}
"""glibc's settings by which a process keeps memory that it frees. Without them it gives every
picture's back to the system and gets fresh pages for the next: 340 page faults a picture of
800 x 600 against 90, which is an eighth of what capture costs."""

GRACE_S = 3.0
"""How long a child may take to end after it was asked, before it is killed."""


class Supervisor:
    """The child processes of one session; as a context manager it ends them on every way out."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._spares: dict[str, subprocess.Popen[bytes]] = {}
        self._dying: list[subprocess.Popen[bytes]] = []

    def prepare(self, role: str) -> None:
        """Start a child that has loaded all it needs and waits to be told its options.

        The next `start` of that role takes it: the loading is most of what a restart takes. Where
        none can be started, the next start does without.
        """
        if role not in self._spares or self._spares[role].poll() is not None:
            with contextlib.suppress(OSError):
                self._spares[role] = _spawn(role)

    def has_spare(self, role: str) -> bool:
        """Whether a child waits to be told its options."""
        return role in self._spares

    def start(self, role: str, options: object) -> None:
        """Start a child by its role and tell it `options`, a dataclass that it reads back.

        Raises `ProcessFailedError` if it cannot be started.
        """
        told = {"role": role, "endpoints": self._endpoints, "options": options}
        line = msgspec.json.encode(told) + b"\n"
        self._reap()
        spare = self._spares.pop(role, None)
        if spare is not None and _tell(spare, line):
            self._children[role] = spare
            return
        try:
            child = self._children[role] = _spawn(role)
            assert child.stdin is not None
            child.stdin.write(line)
            child.stdin.flush()
        except OSError as error:
            self.kill(role)
            raise ProcessFailedError(f"the {role} process did not start: {error}") from error

    def exit_code(self, role: str) -> int | None:
        """Return how a child ended, or None while it runs."""
        self._reap()
        child = self._children[role]
        return -signal.SIGKILL if child in self._dying else child.poll()

    def runs(self, role: str) -> bool:
        """Return whether a child is there (a stopped one is)."""
        self._reap()
        child = self._children.get(role)
        return child is not None and child not in self._dying and child.poll() is None

    def pids(self) -> dict[str, int]:
        """Return the process ids of this process and of every child that runs, by role."""
        running = {role: child.pid for role, child in self._children.items() if self.runs(role)}
        return {"display": os.getpid(), **running}

    def kill(self, role: str) -> None:
        """End a child that no longer answers, at once.

        It is not waited for: a busy host took six seconds to clear a killed process away, and no
        picture was shown meanwhile.
        """
        child = self._children.get(role)
        if child is None:
            return  # the system refused to start it
        child.kill()
        if child.stdin is not None:
            with contextlib.suppress(OSError):
                child.stdin.close()
        if child.poll() is None:
            self._dying.append(child)

    def _reap(self) -> None:
        """Clear away whoever was killed and has died since."""
        self._dying = [child for child in self._dying if child.poll() is None]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for spare in self._spares.values():
            spare.kill()
        children = [*self._children.values(), *self._dying, *self._spares.values()]
        for child in children:
            child.terminate()
        for child in children:
            try:
                child.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            if child.stdin is not None:
                child.stdin.close()


def _spawn(role: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        # -P: what lies in the current folder is data, never code
        [sys.executable, "-P", "-m", MODULES[role.partition(":")[0]]],
        stdin=subprocess.PIPE,
        env=os.environ | HEAP,
        # a group of its own: Ctrl-C reaches us alone, and we decide what it means
        process_group=0,
    )


def _tell(child: subprocess.Popen[bytes], line: bytes) -> bool:
    """Tell a child that waits its options; returns whether it lives to hear them."""
    assert child.stdin is not None
    try:
        child.stdin.write(line)
        child.stdin.flush()
    except OSError:
        with contextlib.suppress(OSError):  # what could not be written is still in it
            child.stdin.close()
        child.wait()
        return False
    return child.poll() is None


def describe_exit(code: int) -> str:
    """Return how a child ended, by its exit code, in words."""
    return f"signal {-code}" if code < 0 else f"exit code {code}"
