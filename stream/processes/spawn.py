"""How a child process is started, and one that is needed soon before all that uses it has loaded.

It loads nothing but the standard library: a command starts the children that it will need first of
all, and they load theirs while it loads its own.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from neurosono.engine.silence import CHILD
from neurosono.stream.processes.legacy import Legacy

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

ONE_HEAP = {"MALLOC_ARENA_MAX": "1"}
"""One heap for all of capture's threads: what one has freed serves the next, where each would keep
the most that it ever took, 17 MB for letters alone."""

HEIRS = frozenset({"capture"})
"""Roles of which a process leaves open files to the one that takes its place."""

Spawned = tuple[subprocess.Popen[bytes], Legacy | None]
"""A child, and our end of the way by which it inherits and leaves, where its role has one."""

_started: list[tuple[str, Spawned]] = []


def spawn(role: str, way: socket.socket | None = None) -> subprocess.Popen[bytes]:
    """Start a child that waits to be told its options; `way` is what it may inherit by."""
    passed = [] if way is None else [way.fileno()]
    return subprocess.Popen(
        # -P: what lies in the current folder is data, never code
        [sys.executable, "-P", "-X", CHILD, "-m", MODULES[_kind_of(role)], *map(str, passed)],
        stdin=subprocess.PIPE,
        pass_fds=passed,
        env=os.environ | HEAP | (ONE_HEAP if role == "capture" else {}),
        # a group of its own: Ctrl-C reaches us alone, and we decide what it means
        process_group=0,
    )


def spawn_with_way(role: str) -> Spawned:
    """Start a child that waits to be told its options, with a way where its role has one."""
    if role not in HEIRS:
        return spawn(role), None
    way, theirs = Legacy.pair()
    try:
        with theirs:
            return spawn(role, theirs), way
    except BaseException:
        way.close()
        raise


@contextmanager
def starting(*kinds: str) -> Iterator[None]:
    """Start children of these kinds of role now; what nobody took ends on the way out."""
    try:
        with suppress(OSError):  # then they are started when they are needed, and that is told
            _started.extend((kind, spawn_with_way(kind)) for kind in kinds)
        yield
    finally:
        while _started:
            _, (child, way) = _started.pop()
            if way is not None:
                way.close()
            child.kill()
            child.wait()
            if child.stdin is not None:
                child.stdin.close()


def expect(role: str, options: object) -> None:
    """Tell a child that was started early what it will most likely be told, to prepare for it.

    A guess: it may be told something else, and does that then.
    """
    import msgspec  # the children come first

    line = msgspec.json.encode({"expected": options}) + b"\n"
    for kind, (child, _) in _started:
        if kind == role and child.stdin is not None:
            with suppress(OSError):  # it has died, and whoever takes it will see
                child.stdin.write(line)
                child.stdin.flush()


def take_started(role: str) -> Spawned | None:
    """Return a child of this role that was started before it was needed; None: there is none."""
    for at, (kind, spawned) in enumerate(_started):
        if kind == _kind_of(role):
            del _started[at]
            return spawned
    return None


def _kind_of(role: str) -> str:
    return role.partition(":")[0]
