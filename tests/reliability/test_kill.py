"""Real processes, really killed: nothing is left behind and nothing false is shown."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from neurosono.stream.processes.channel import make_socket_folder, remove_socket_folder
from tests.support.clips import write_clip
from tests.support.commands import assert_adds_up, child, start, wait_until

LONG = "phantom:normal?seed=4&seconds=30"
GRACE_S = 180

PACES = pytest.mark.parametrize("pace", [[], ["--realtime"]], ids=["lossless", "realtime"])


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Path]:
    """Return the folder where sockets are made; it must be empty in the end."""
    folder = Path("/tmp") / f"ns-{tmp_path.name[-12:]}"  # a socket's path must be short
    folder.mkdir(mode=0o700, exist_ok=True)
    yield folder
    assert list(folder.iterdir()) == []
    folder.rmdir()


def wait_for_pictures(out: Path) -> None:
    wait_until(lambda: (out / ".frames.jsonl.partial").is_file())
    wait_until(lambda: (out / ".frames.jsonl.partial").stat().st_size > 0)


@PACES
def test_ctrl_c_keeps_what_was_done_and_leaves_no_process(
    pace: list[str], bundle_root: Path, tmp_path: Path, runtime: Path
) -> None:
    out = tmp_path / "out"
    env = {"XDG_RUNTIME_DIR": str(runtime)}
    process = start("replay", LONG, "--bundle", bundle_root, "--out", out, *pace, env=env)
    children = [
        child(process, "neurosono.stream.capture.process"),
        child(process, "neurosono.stream.judge.worker"),
    ]
    wait_for_pictures(out)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=GRACE_S)
    assert process.returncode == 130, said
    assert "stopped after" in said
    assert "Traceback" not in said
    assert not any(each.is_running() for each in children)
    assert assert_adds_up(out)["complete"] is False


def test_a_killed_engine_is_ai_off_and_exit_1(
    bundle_root: Path, tmp_path: Path, runtime: Path
) -> None:
    out = tmp_path / "out"
    env = {"XDG_RUNTIME_DIR": str(runtime)}
    source = "phantom:normal?seed=4&seconds=6"
    process = start("replay", source, "--bundle", bundle_root, "--out", out, env=env)
    engine = child(process, "neurosono.stream.judge.worker")
    wait_for_pictures(out)
    engine.kill()
    _, said = process.communicate(timeout=GRACE_S)
    assert process.returncode == 1, said
    assert "the engine process died (signal 9)" in " ".join(said.split())
    record = assert_adds_up(out)
    assert record["frames"]["decoded"] == 150
    assert record["frames"]["skipped"]["engine-off"] > 0
    assert record["complete"] is False


def test_in_real_time_a_killed_engine_is_started_again(
    bundle_root: Path, tmp_path: Path, runtime: Path
) -> None:
    out = tmp_path / "out"
    env = {"XDG_RUNTIME_DIR": str(runtime)}
    source = "phantom:normal?seed=4&seconds=12&width=320&height=240"
    told = ("--bundle", bundle_root, "--out", out, "--realtime")
    process = start("replay", source, *told, env=env)
    engine = child(process, "neurosono.stream.judge.worker")
    wait_for_pictures(out)
    engine.kill()
    _, said = process.communicate(timeout=GRACE_S)
    assert process.returncode == 0, said
    record = assert_adds_up(out)
    assert record["frames"]["decoded"] == 300
    assert record["frames"]["skipped"]["engine-off"] > 0
    assert record["complete"] is True


@PACES
def test_a_killed_capture_keeps_what_came(
    pace: list[str], bundle_root: Path, tmp_path: Path, runtime: Path
) -> None:
    out = tmp_path / "out"
    env = {"XDG_RUNTIME_DIR": str(runtime)}
    process = start("replay", LONG, "--bundle", bundle_root, "--out", out, *pace, env=env)
    capture = child(process, "neurosono.stream.capture.process")
    wait_for_pictures(out)
    capture.kill()
    _, said = process.communicate(timeout=GRACE_S)
    assert process.returncode == 1, said
    assert "the capture process died (signal 9)" in " ".join(said.split())
    assert assert_adds_up(out)["complete"] is False


def test_a_killed_parent_takes_its_children_along(bundle_root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    env = {"XDG_RUNTIME_DIR": str(tmp_path)}
    process = start("replay", LONG, "--bundle", bundle_root, "--out", out, env=env)
    children = [
        child(process, "neurosono.stream.capture.process"),
        child(process, "neurosono.stream.judge.worker"),
    ]
    wait_for_pictures(out)
    process.kill()
    process.communicate(timeout=GRACE_S)
    gone, alive = psutil.wait_procs(children, timeout=60)
    assert not alive
    assert len(gone) == 2
    assert not (out / "exam.json").exists()
    assert not (out / "overlay.mp4").exists()


def test_an_engine_that_comes_late_to_a_still_clip_is_waited_for(
    bundle_root: Path, tmp_path: Path, runtime: Path
) -> None:
    clip = tmp_path / "still.mp4"
    write_clip(clip, pictures=12, moving=False)
    env = {"XDG_RUNTIME_DIR": str(runtime)}
    out = tmp_path / "out"
    process = start("replay", clip, "--bundle", bundle_root, "--out", out, env=env)
    engine = child(process, "neurosono.stream.judge.worker")
    engine.suspend()
    wait_until(lambda: (out / ".frames.jsonl.partial").is_file())
    capture, spent_s = child(process, "neurosono.stream.capture.process"), list[float]()

    def waits_for_the_engine() -> bool:
        spent_s.append(sum(capture.cpu_times()[:2]))
        return len(spent_s) > 25 and spent_s[-1] - spent_s[-25] < 0.02

    wait_until(waits_for_the_engine)
    engine.resume()
    _, said = process.communicate(timeout=GRACE_S)
    assert process.returncode == 0, said
    assert assert_adds_up(out)["frames"]["decoded"] == 12


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_closed_terminal_is_a_clean_stop(
    number: signal.Signals, bundle_root: Path, tmp_path: Path, runtime: Path
) -> None:
    env = {"XDG_RUNTIME_DIR": str(runtime)}
    out = tmp_path / "out"
    process = start("replay", LONG, "--bundle", bundle_root, "--out", out, env=env)
    wait_for_pictures(out)
    process.send_signal(number)
    _, said = process.communicate(timeout=GRACE_S)
    assert process.returncode == 130, said
    assert assert_adds_up(out)["complete"] is False


HOLD = """
import sys
from neurosono.stream.processes.channel import make_socket_folder
print(make_socket_folder(), flush=True)
sys.stdin.read()
"""


def test_folders_of_killed_sessions_are_swept_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/tmp")
    own = Path("/tmp") / f"neurosono-my-{tmp_path.name}"  # a name of somebody's own
    own.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdin is not None
    made = Path(process.stdout.readline().strip())
    # as another container's looks from here: its process ids say nothing
    elsewhere = made.rename(made.with_name(f"neurosono-999999999-{made.name}"))
    remove_socket_folder(make_socket_folder())
    assert elsewhere.is_dir(), "somebody lives there"
    process.kill()
    process.communicate()
    remove_socket_folder(make_socket_folder())
    assert not elsewhere.exists()
    assert own.is_dir()
    own.rmdir()
