"""Starts the capture and the engine processes, watches them, and leaves nothing behind."""

import contextlib
import os
import signal
import subprocess
from types import TracebackType
from typing import Self

import msgspec

from neurosono.engine.contracts.errors import ProcessFailedError
from neurosono.stream.processes.channel import Endpoints
from neurosono.stream.processes.legacy import Legacy, close_all
from neurosono.stream.processes.spawn import spawn_with_way, take_started

GRACE_S = 3.0
"""How long a child may take to end after it was asked, before it is killed."""


class Supervisor:
    """The child processes of one session; as a context manager it ends them on every way out."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._spares: dict[str, subprocess.Popen[bytes]] = {}
        self._dying: list[subprocess.Popen[bytes]] = []
        self._ways: dict[subprocess.Popen[bytes], Legacy] = {}
        self._left: dict[str, tuple[int, ...]] = {}

    def prepare(self, role: str, options: object = None) -> None:
        """Start a child that has loaded all it needs and waits to be told its options.

        The next `start` of that role takes it: the loading is most of what a restart takes. Where
        its `options` can be foreseen it gets ready for these. Where none can be started, the next
        start does without.
        """
        self.lost_spare(role)
        if role in self._spares:
            return
        with contextlib.suppress(OSError):
            spare = self._spares[role] = self._spawn(role)
            if options is not None:
                _tell(spare, msgspec.json.encode({"expected": options, "spare": True}) + b"\n")

    def has_spare(self, role: str) -> bool:
        """Whether a child was kept to be told its options; it may have died since."""
        return role in self._spares

    def lost_spare(self, role: str) -> bool:
        """Whether the child that was kept has died; it is forgotten then."""
        spare = self._spares.get(role)
        if spare is None or spare.poll() is None:
            return False
        del self._spares[role]
        self._forget_way(spare)
        _hang_up(spare)
        return True

    def start(self, role: str, options: object) -> None:
        """Start a child by its role and tell it `options`, a dataclass that it reads back.

        Raises `ProcessFailedError` if it cannot be started.
        """
        told = {"role": role, "endpoints": self._endpoints, "options": options}
        line = msgspec.json.encode(told) + b"\n"
        self._reap()
        self._inherit(role)
        self._forget_way(self._children.get(role))
        spare = self._spares.pop(role, None) or self._take_started(role)
        if spare is not None:
            self._bequeath(role, spare)
            if _tell(spare, line):
                self._children[role] = spare
                return
            self._forget_way(spare)
        try:
            child = self._children[role] = self._spawn(role)
            self._bequeath(role, child)
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
        self._inherit(role)
        child = self._children.get(role)
        return child is not None and child not in self._dying and child.poll() is None

    def pids(self) -> dict[str, int]:
        """Return the process ids of this process and of every child that runs, by role."""
        running = {role: child.pid for role, child in self._children.items() if self.runs(role)}
        return {"display": os.getpid(), **running}

    def spare_pids(self) -> dict[str, int]:
        """Return the process ids of the children that wait, by `ROLE-spare`."""
        waiting = ((role, each) for role, each in self._spares.items() if each.poll() is None)
        return {f"{role}-spare": each.pid for role, each in waiting}

    def all_pids(self) -> dict[str, int]:
        """Return the process ids of all that cost something, the waiting ones among them."""
        return self.pids() | self.spare_pids()

    def kill(self, role: str) -> None:
        """End a child that no longer answers, at once.

        It is not waited for: a busy host took six seconds to clear a killed process away, and no
        picture was shown meanwhile.
        """
        child = self._children.get(role)
        if child is None:
            return  # the system refused to start it
        child.kill()
        _hang_up(child)
        if child.poll() is None:
            self._dying.append(child)

    def _reap(self) -> None:
        """Clear away whoever was killed and has died since."""
        self._dying = [child for child in self._dying if child.poll() is None]

    def _spawn(self, role: str) -> subprocess.Popen[bytes]:
        return self._take_over(*spawn_with_way(role))

    def _take_started(self, role: str) -> subprocess.Popen[bytes] | None:
        started = take_started(role)
        return None if started is None else self._take_over(*started)

    def _take_over(
        self, child: subprocess.Popen[bytes], way: Legacy | None
    ) -> subprocess.Popen[bytes]:
        if way is not None:
            self._ways[child] = way
        return child

    def _inherit(self, role: str) -> None:
        """Take what the process of a role has left since this was last asked."""
        child = self._children.get(role)
        way = None if child is None else self._ways.get(child)
        if way is not None and (left := way.take()) is not None:
            close_all(self._left.pop(role, ()))
            self._left[role] = left

    def _bequeath(self, role: str, heir: subprocess.Popen[bytes]) -> None:
        """Hand what was left to a process that is about to be told its options."""
        if heir in self._ways:
            self._ways[heir].leave(self._left.get(role, ()))

    def _forget_way(self, child: subprocess.Popen[bytes] | None) -> None:
        if child is not None and (way := self._ways.pop(child, None)) is not None:
            way.close()

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
        for way in self._ways.values():
            way.close()
        for left in self._left.values():
            close_all(left)


def _tell(child: subprocess.Popen[bytes], line: bytes) -> bool:
    """Tell a child that waits its options; returns whether it lives to hear them."""
    assert child.stdin is not None
    try:
        child.stdin.write(line)
        child.stdin.flush()
    except OSError:
        _hang_up(child)
        child.wait()
        return False
    return child.poll() is None


def _hang_up(child: subprocess.Popen[bytes]) -> None:
    if child.stdin is not None:
        with contextlib.suppress(OSError):  # what could not be written is still in it
            child.stdin.close()


def describe_exit(code: int) -> str:
    """Return how a child ended, by its exit code, in words."""
    return f"signal {-code}" if code < 0 else f"exit code {code}"
