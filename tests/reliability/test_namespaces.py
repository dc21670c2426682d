"""Another container that shares a folder: there a process id means another process, or none."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from neurosono.engine.contracts.errors import InputError
from neurosono.stream.journal.journal import Journal
from neurosono.stream.processes.channel import (
    make_socket_folder,
    remove_socket_folder,
    sweep_orphaned,
)
from neurosono.stream.replay.files import lock_folder
from tests.support.records import ABOUT

WAYS = (("--pid",), ("--user", "--map-root-user", "--pid"))
"""To another PID namespace: as root, and as whoever may be root of a namespace of their own."""
ALWAYS = ("--fork", "--mount-proc", "--kill-child")

SESSION = """
import os, sys
from neurosono.stream.processes.channel import make_socket_folder, remove_socket_folder
folder = make_socket_folder()
print(os.getpid(), folder, flush=True)
sys.stdin.read()
remove_socket_folder(folder)
"""

STRANGER = """
import os, sys
from pathlib import Path
from neurosono.engine.contracts.errors import NeurosonoError
from neurosono.stream.journal.journal import Journal
from neurosono.stream.replay.files import lock_folder
path, exam, out = sys.argv[1:]
for try_it in (lambda: Journal.open(Path(path)).resume(exam), lambda: lock_folder(Path(out))):
    try:
        try_it()
    except NeurosonoError as error:
        print(error)
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def enter() -> list[str]:
    """Return the command that runs another one as the first process of a PID namespace."""
    for way in WAYS:
        command = ["unshare", *way, *ALWAYS]
        try:
            done = subprocess.run([*command, "true"], capture_output=True, text=True, timeout=60)
        except FileNotFoundError:
            pytest.skip("no unshare here: a second PID namespace was not tried")
        if done.returncode == 0:
            return command
    pytest.skip(f"no second PID namespace was tried: {done.stderr.strip()}")


@pytest.fixture
def start(enter: list[str]) -> Iterator[Start]:
    """Return what starts a Python program, inside a namespace of its own or beside us."""
    started: list[subprocess.Popen[str]] = []

    def begin(program: str, *arguments: str | Path, inside: bool) -> "subprocess.Popen[str]":
        command = [*(enter if inside else []), sys.executable, "-P", "-c", program]
        pipe = subprocess.PIPE
        asked = [*command, *map(str, arguments)]
        started.append(subprocess.Popen(asked, stdin=pipe, stdout=pipe, text=True))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate(timeout=60)


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for sockets that all namespaces share; short, as a socket's path is."""
    place = Path("/tmp") / f"ns-{tmp_path.name[-10:]}-{os.getpid()}"
    place.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(place))
    yield place
    place.rmdir()


def hear(session: "subprocess.Popen[str]") -> tuple[int, Path]:
    """Return the process id that a session has where it runs, and its folder."""
    assert session.stdout is not None
    pid, folder = session.stdout.readline().split()
    return int(pid), Path(folder)


def test_who_lives_is_told_by_locks_and_not_by_process_ids(shared: Path, start: Start) -> None:
    mine = make_socket_folder()
    theirs = start(SESSION, inside=True)
    pid, folder = hear(theirs)
    assert pid == 1, "the first of its namespace: outside that is another, which always lives"
    assert mine.is_dir(), "in that namespace no process has our number"
    second = make_socket_folder()
    sweep_orphaned(folder)
    assert folder.is_dir(), "its maker lives"
    theirs.kill()
    theirs.communicate(timeout=60)
    third = make_socket_folder()
    assert not folder.exists(), "its maker is gone, though our process 1 is not"
    for each in (mine, second, third):
        remove_socket_folder(each)


def test_what_was_killed_outside_is_swept_inside(shared: Path, start: Start) -> None:
    killed = start(SESSION, inside=False)
    _, folder = hear(killed)
    killed.kill()
    killed.communicate(timeout=60)
    assert folder.is_dir()
    theirs = start(SESSION, inside=True)
    _, other = hear(theirs)
    assert not folder.exists()
    theirs.communicate("", timeout=60)
    assert not other.exists()


def test_a_record_and_a_folder_in_use_are_left_alone_by_another_namespace(
    start: Start, tmp_path: Path
) -> None:
    journal = Journal.open(tmp_path / "exams.sqlite")
    exam = journal.begin(ABOUT)
    journal.flush()
    descriptor = lock_folder(tmp_path)
    said, _ = start(STRANGER, journal.path, exam.exam_id, tmp_path, inside=True).communicate(
        timeout=60
    )
    os.close(descriptor)
    assert "is running in another process" in said
    assert "another replay is writing" in said
    exam.end({})
    assert journal.close().lost == 0
    with Journal.open(journal.path) as again, pytest.raises(InputError, match="has ended"):
        again.resume(exam.exam_id)
