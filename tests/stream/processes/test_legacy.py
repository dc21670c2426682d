"""What one child leaves, the next one gets: by the real supervisor and real processes."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from neurosono.stream.processes import spawn as spawning
from neurosono.stream.processes.channel import Endpoints
from neurosono.stream.processes.legacy import Legacy, close_all
from neurosono.stream.processes.supervisor import Supervisor
from tests.support.commands import wait_until

HEIR = """
import os, sys
from neurosono.stream.processes.legacy import Legacy
sys.stdin.buffer.readline()
legacy = Legacy.at(int(sys.argv[2]))
left = legacy.take() or ()
found = b"".join(os.pread(each, 99, 0) for each in left)
open(sys.argv[1], "ab").write(b"%d:" % len(left) + found + b"\\n")
mine = os.memfd_create("mine")
os.write(mine, found + b"+")
legacy.leave([mine])
open(sys.argv[1], "ab").write(b"left\\n")
sys.stdin.buffer.read()
"""


@pytest.fixture
def heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def spawn(role: str, way) -> subprocess.Popen[bytes]:  # type: ignore[no-untyped-def]
        passed = way.fileno()
        command = [sys.executable, "-P", "-c", HEIR, tmp_path / "heard", str(passed)]
        return subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[passed])

    monkeypatch.setattr(spawning, "spawn", spawn)
    return tmp_path / "heard"


def await_lines(path: Path, count: int) -> list[str]:
    def there() -> list[str] | None:
        found = path.read_text().splitlines() if path.exists() else []
        return found if len(found) == count else None

    return list(wait_until(there))


def test_what_a_killed_child_left_is_the_next_one_s_and_nothing_stays_open(
    tmp_path: Path, heard: Path
) -> None:
    before = psutil.Process().num_fds()
    with Supervisor(Endpoints.in_folder(tmp_path)) as children:
        children.start("capture", {})
        assert await_lines(heard, 2) == ["0:", "left"]
        children.prepare("capture")
        children.kill("capture")
        children.start("capture", {})
        assert await_lines(heard, 4)[2] == "1:+"
        children.kill("capture")
        children.start("capture", {})  # without a spare
        assert await_lines(heard, 6)[4] == "1:++"
    assert psutil.Process().num_fds() == before


def test_only_what_was_left_last_is_kept() -> None:
    before = psutil.Process().num_fds()
    ours, theirs = Legacy.pair()
    child = Legacy(theirs)
    assert ours.take() is None
    for content in (b"one", b"two"):
        descriptor = os.memfd_create("x")
        os.write(descriptor, content)
        child.leave([descriptor, descriptor])
        os.close(descriptor)
    child.close()
    taken = ours.take()
    assert taken is not None
    assert [os.pread(each, 9, 0) for each in taken] == [b"two", b"two"]
    close_all(taken)
    assert ours.take() is None
    ours.leave([0])  # to nobody: no error
    ours.close()
    assert psutil.Process().num_fds() == before
