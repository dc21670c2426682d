"""Children: started, kept ready, ended, and none left behind."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from neurosono.stream.processes import spawn as spawning
from neurosono.stream.processes.channel import Endpoints
from neurosono.stream.processes.spawn import expect, starting
from neurosono.stream.processes.supervisor import Supervisor
from tests.support.commands import wait_until

ECHO = """
import os, sys
line = sys.stdin.buffer.readline()
open(sys.argv[1], "ab").write(b"%d " % os.getpid() + line)
sys.stdin.buffer.read()
"""


@pytest.fixture
def heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file in which each child writes its number and what it was told."""
    path = tmp_path / "heard"

    def spawn(role: str, way: object = None) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", ECHO, path], stdin=subprocess.PIPE)

    monkeypatch.setattr(spawning, "spawn", spawn)
    return path


def read(path: Path, lines: int) -> list[list[str]]:
    def there() -> list[list[str]] | None:
        found = path.read_text().splitlines() if path.exists() else []
        return [line.split(" ", 1) for line in found] if len(found) == lines else None

    return list(wait_until(there))


def test_a_child_that_was_kept_ready_is_the_next_one(tmp_path: Path, heard: Path) -> None:
    others = set(psutil.Process().children())
    with Supervisor(Endpoints.in_folder(tmp_path)) as children:
        children.start("capture", {"first": 1})
        read(heard, 1)
        first = set(psutil.Process().children())
        children.prepare("capture")
        assert children.has_spare("capture")
        (ready,) = [each.pid for each in psutil.Process().children() if each not in first]
        children.kill("capture")
        assert not children.runs("capture")
        assert children.exit_code("capture") == -9
        children.start("capture", {"second": 2})
        assert children.runs("capture")
        assert children.pids()["capture"] == ready
        assert not children.has_spare("capture")
        second = next(line for line in read(heard, 2) if "second" in line[1])
        assert second[0] == str(ready)
        children.prepare("capture")
        left = set(psutil.Process().children()) - others
    assert left
    assert not any(each.is_running() for each in left)


def test_a_spare_that_died_is_not_relied_on(tmp_path: Path, heard: Path) -> None:
    others = set(psutil.Process().children())
    with Supervisor(Endpoints.in_folder(tmp_path)) as children:
        children.prepare("capture")
        (spare,) = set(psutil.Process().children()) - others
        spare.kill()
        wait_until(lambda: spare.status() == psutil.STATUS_ZOMBIE)
        children.start("capture", {})
        assert children.runs("capture")
        assert children.pids()["capture"] != spare.pid
        read(heard, 1)


def test_a_child_whose_parent_goes_before_it_is_told_ends_without_a_word() -> None:
    command = [sys.executable, "-m", "neurosono.stream.capture.process"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (3, b"")


def test_a_child_that_was_started_early_is_the_one_that_is_told(
    tmp_path: Path, heard: Path
) -> None:
    others = set(psutil.Process().children())
    with starting("engine", "reader", "capture"):
        early = {each.pid for each in set(psutil.Process().children()) - others}
        assert len(early) == 3
        with Supervisor(Endpoints.in_folder(tmp_path)) as children:
            children.start("engine", {"first": 1})
            children.start("reader:one", {"second": 2})
            children.start("reader:two", {"third": 3})
            children.start("capture", {"fourth": 4})
            assert {int(pid) for pid, _ in read(heard, 4)} > early
            pids = children.pids()
            assert {pids["engine"], pids["reader:one"], pids["capture"]} == early
            children.kill("engine")
            children.start("engine", {"fifth": 5})
            assert children.pids()["engine"] not in early
    assert set(psutil.Process().children()) == others


def test_whoever_was_started_early_and_never_needed_ends(heard: Path) -> None:
    others = set(psutil.Process().children())
    with starting("engine", "reader"):
        assert len(set(psutil.Process().children()) - others) == 2
    assert set(psutil.Process().children()) == others
    assert not heard.exists()


def test_a_child_hears_what_it_will_most_likely_be_told_and_then_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "heard"
    words = """
import sys
from neurosono.stream.processes.child import hear
open(sys.argv[1], "w").write(f"{hear()} {hear()}")
sys.stdin.buffer.read()
"""

    def spawn(role: str, way: object = None) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", words, path], stdin=subprocess.PIPE)

    monkeypatch.setattr(spawning, "spawn", spawn)
    with starting("engine"):
        expect("reader", {"never": 0})  # none was started: nobody hears it
        expect("engine", {"first": 1})
        with Supervisor(Endpoints.in_folder(tmp_path)) as children:
            children.start("engine", {"second": 2})
            said = wait_until(lambda: path.exists() and path.read_text())
    assert said.startswith("{'expected': {'first': 1}} {'role': 'engine'")
    assert "{'second': 2}" in said
