"""What is written belongs to its user alone, wherever it is put; and what is received, to one."""

import ast
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from neurosono.engine import files
from neurosono.engine.files import create_private, keep_private
from neurosono.scripts.console import write_json_report
from neurosono.stream.keep.recording import Segment
from neurosono.stream.overlay.video import VideoWriter
from neurosono.stream.processes.channel import (
    make_socket_folder,
    remove_socket_folder,
    sweep_orphaned,
)
from neurosono.stream.replay.best import FOLDER, BestFrames
from neurosono.stream.replay.files import FramesWriter, prepare_folder
from neurosono.stream.sources.live.links import parse_link
from neurosono.stream.sources.live.reasons import tell_reason
from neurosono.stream.sources.live.receiver import SENDER_GONE_S, Receiver, listen_udp

CANVAS = np.zeros((64, 64, 3), np.uint8)


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def write_video(path: Path) -> None:
    with_canvas = VideoWriter(path, (64, 64), 25.0)
    with_canvas.write(CANVAS, 0.0)
    with_canvas.close()


def write_frames(path: Path) -> None:
    frames = FramesWriter(path.parent, ("normal", "other"))
    frames.close()


def write_film(path: Path) -> None:
    segment = Segment(path, (64, 64), 0)
    segment.write(CANVAS, 0)
    segment.close()


WRITERS: dict[str, tuple[Callable[[Path], None], str]] = {
    "overlay.mp4": (write_video, "overlay.partial.mp4"),
    "frames.jsonl": (write_frames, ".frames.jsonl.partial"),
    "exam-report.json": (lambda path: write_json_report(path, {"a": 1}), "exam-report.json"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_planted_link_is_taken_away_and_what_is_written_is_private(
    name: str, tmp_path: Path
) -> None:
    write, planted = WRITERS[name]
    victim, out = tmp_path / "victim", tmp_path / "out"
    victim.write_text("precious")
    out.mkdir()
    (out / planted).symlink_to(victim)
    write(out / name)
    assert victim.read_text() == "precious"
    written = (out / name).lstat()
    assert stat.S_ISREG(written.st_mode)
    assert stat.S_IMODE(written.st_mode) == 0o600
    assert written.st_size > 0 or name == "frames.jsonl"
    assert [each.name for each in out.iterdir()] == [name]


def test_the_best_frames_are_private_and_no_link_leads_them_elsewhere(tmp_path: Path) -> None:
    victim, out = tmp_path / "victim", tmp_path / "out"
    victim.mkdir()
    (victim / "finder-axial.png").write_text("precious")
    out.mkdir()
    (out / FOLDER).symlink_to(victim)
    best = BestFrames()
    best._held["finder-axial"] = 3, CANVAS
    best._readers.add("finder")
    best.write(out)
    assert (victim / "finder-axial.png").read_text() == "precious"
    (written,) = (out / FOLDER).iterdir()
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert stat.S_IMODE((out / FOLDER).lstat().st_mode) == 0o700


def test_a_film_is_never_written_over_what_is_there(tmp_path: Path) -> None:
    victim, place = tmp_path / "victim", tmp_path / "film.mp4"
    victim.write_text("precious")
    place.symlink_to(victim)
    with pytest.raises(FileExistsError):
        write_film(place)
    assert victim.read_text() == "precious"
    place.unlink()
    write_film(place)
    assert stat.S_IMODE(place.stat().st_mode) == 0o600


def test_a_video_that_was_written_through_its_descriptor_plays(tmp_path: Path) -> None:
    import av

    write_video(tmp_path / "overlay.mp4")
    with av.open(str(tmp_path / "overlay.mp4")) as container:
        assert len(list(container.decode(video=0))) == 1
    data = (tmp_path / "overlay.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # it begins to play before it has all come


def test_a_link_that_comes_back_is_refused_and_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim, place = tmp_path / "victim", tmp_path / "place"
    victim.write_text("precious")
    place.symlink_to(victim)
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)  # as if planted anew at once
    with pytest.raises(FileExistsError):
        create_private(place)
    assert victim.read_text() == "precious"


def test_no_file_is_made_through_a_link_that_somebody_planted(tmp_path: Path) -> None:
    victim, place = tmp_path / "victim", tmp_path / "book"
    place.symlink_to(victim)
    with pytest.raises(OSError, match="symbolic link"):
        keep_private(place)
    assert not victim.exists()
    root = Path(files.__file__).resolve().parent.parent
    for folder in ("archive", "calibration", "engine", "node", "scripts", "stream", "training"):
        for path in sorted((root / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call | ast.Assign) and "O_CREAT" in ast.unparse(node):
                    said = ast.unparse(node)
                    safe = "O_EXCL" in said or "O_NOFOLLOW" in said
                    assert safe or path.name == "log.py", f"{path}: {said}"  # may be /dev/stdout


def test_a_new_folder_for_results_is_private(tmp_path: Path) -> None:
    assert prepare_folder(tmp_path / "out")
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700


def test_a_report_for_a_program_may_go_into_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE)
    write_json_report(pipe, {"a": 1})
    said, _ = reader.communicate(timeout=60)
    assert b'"a": 1' in said
    assert stat.S_ISFIFO(pipe.stat().st_mode)


ORPHAN = """
import os, sys
from pathlib import Path
from neurosono.stream.processes.channel import Endpoints, make_socket_folder
from neurosono.stream.processes.child import run_child
folder = make_socket_folder()
print(folder, flush=True)
sys.stdin.read()
"""


def test_the_folder_of_a_killed_session_goes_with_its_orphans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Path("/tmp") / f"ns-{tmp_path.name[-10:]}"
    place.mkdir(mode=0o700, exist_ok=True)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(place))
    parent = subprocess.Popen(
        [sys.executable, "-c", ORPHAN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    folder = Path(parent.stdout.readline().strip())
    sweep_orphaned(folder)
    assert folder.is_dir()  # its maker lives
    parent.kill()
    parent.communicate(timeout=60)
    sweep_orphaned(folder)
    assert not folder.exists()
    mine = make_socket_folder()
    sweep_orphaned(mine)
    assert mine.is_dir()
    remove_socket_folder(mine)
    sweep_orphaned(tmp_path)
    assert tmp_path.is_dir()  # none of ours
    place.rmdir()


@pytest.fixture
def receiver() -> Iterator[tuple[Receiver, tuple[str, int]]]:
    listening = Receiver(listen_udp("127.0.0.1", 0), timeout_s=60)
    yield listening, listening._socket.getsockname()
    listening.close()


def test_of_two_senders_on_one_port_one_is_followed(
    receiver: tuple[Receiver, tuple[str, int]],
) -> None:
    listening, address = receiver
    with socket.socket(type=socket.SOCK_DGRAM) as first, socket.socket(type=2) as second:
        second.bind(("127.0.0.2", 0))  # another machine, as far as loopback has one
        first.sendto(b"first", address)
        assert listening.read(100) == b"first"
        for _ in range(5):
            second.sendto(b"second", address)
        first.sendto(b"again", address)
        assert listening.read(100) == b"again"
        assert listening.strangers == 5


def test_a_sender_that_was_started_again_takes_the_place_of_its_old_self(
    receiver: tuple[Receiver, tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    listening, address = receiver
    with socket.socket(type=socket.SOCK_DGRAM) as old, socket.socket(type=2) as new:
        new.bind(("127.0.0.2", 0))
        old.sendto(b"old", address)
        assert listening.read(100) == b"old"
        listening._heard_s -= SENDER_GONE_S
        new.sendto(b"new", address)
        assert listening.read(100) == b"new"
        old.sendto(b"old", address)
        new.sendto(b"newer", address)
        assert listening.read(100) == b"newer"
        assert listening.strangers == 1


def test_a_port_that_is_taken_is_said_in_words() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        with pytest.raises(OSError, match="in use") as refused:
            listen_udp("127.0.0.1", port)
        words = tell_reason(refused.value, parse_link(f"udp://127.0.0.1:{port}"))
    assert words == f"port {port} of this machine is taken by another program, so end that first"
