"""How a live session begins and ends, as a command on real processes."""

import json
import os
import pty
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
import pytest

from neurosono.stream.journal.journal import Journal
from tests.end_to_end.test_privacy import HEIGHT, NAMES_AT, WIDTH, draw_name, find_name
from tests.support.clips import make_screen
from tests.support.commands import COMMAND, child, run, start, wait_until

SOURCE = "loop:phantom:normal?seed=7&seconds=20&width=320&height=240"
GRACE_S = 180


def count_used(journal: Path) -> int:
    if not journal.is_file():
        return 0
    with Journal.open(journal).read() as reader:
        return sum(exam.used for exam in reader.exams())


def list_events(journal: Path) -> list[tuple[str, dict[str, Any]]]:
    with Journal.open(journal).read() as reader:
        (exam,) = reader.exams()
        return [(event.name, dict(event.fields)) for event in reader.events(exam.exam_id)]


@pytest.fixture(scope="module")
def named_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a moving scan with a patient's name on the screen, outside the region."""
    path = tmp_path_factory.mktemp("named") / "scan.mp4"
    name, (x, y) = draw_name(), NAMES_AT["beside"]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"crf": "8", "preset": "ultrafast"}
        for index in range(50):
            screen = make_screen(index, width=WIDTH, height=HEIGHT)
            screen[y : y + name.shape[0], x : x + name.shape[1]] = name[:, :, None]
            frame = av.VideoFrame.from_ndarray(screen, format="bgr24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def decode_film(path: Path) -> tuple[float, float, int]:
    """Return when the last picture was shown, how well the name is found, and how many there are.

    What is cut off in the middle of a picture is where the film ends.
    """
    last_s, best, count = 0.0, 0.0, 0
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            last_s, count = float(frame.time or 0.0), count + 1
            if count % 10 == 0:
                best = max(best, find_name(np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)))
    return last_s, best, count


def count_filmed(path: Path) -> int:
    """Return how many pictures of a growing film are on the disk."""
    try:
        return decode_film(path)[2]
    except av.FFmpegError:  # it has no beginning yet
        return 0


@pytest.mark.parametrize("film", ["clean", pytest.param("overlay", marks=pytest.mark.slow)])
def test_a_film_survives_kill_9_and_never_shows_the_name(
    film: str, named_clip: Path, bundle_root: Path, tmp_path: Path
) -> None:
    films, journal = tmp_path / "films", tmp_path / "exams.db"
    process = start(
        *("live", f"loop:{named_clip}", "--bundle", bundle_root, "--journal", journal),
        *("--no-page", "--record", film, "--record-to", films),
    )
    (path,) = wait_until(lambda: list(films.rglob("*.mp4")))
    begun_s = time.monotonic()
    # a busy machine films slowly: until there is something of which a kill may cost the end
    wait_until(lambda: time.monotonic() - begun_s > 4.0 and count_filmed(path) > 25)
    process.kill()
    lasted_s = time.monotonic() - begun_s
    process.communicate(timeout=GRACE_S)
    last_s, best, count = decode_film(path)
    assert last_s > lasted_s - 2.0
    assert count > 25
    assert best < 0.6
    for left in tmp_path.rglob("*"):
        assert not left.is_file() or b"INVENTED" not in left.read_bytes(), left


def test_without_record_there_is_no_film(bundle_root: Path, tmp_path: Path) -> None:
    journal = tmp_path / "exams.db"
    told = ("live", SOURCE, "--bundle", bundle_root, "--journal", journal, "--no-page")
    process = start(*told, "--json", "-")
    wait_until(lambda: count_used(journal) >= 10)
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=GRACE_S)
    assert process.returncode == 0, said
    assert not list(tmp_path.rglob("*.mp4"))
    exam = json.loads(out)
    accounts, frames = exam["session"]["accounts"], exam["frames"]
    assert accounts["unaccounted"] == 0
    assert accounts["capture_sampled"] == frames["used"] + sum(frames["skipped"].values())
    assert accounts["capture_displayed"] == accounts["shown"] == frames["displayed"]
    ages = exam["session"]["age_ms"]["picture"]
    assert ages["count"] == frames["displayed"]
    assert 0 < ages["p50"] <= ages["p99"] <= ages["max"]
    assert set(exam["session"]["memory_mib"]["end"]) >= {"display", "engine", "capture"}


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--bundle", "/nope"], "/nope"),
        (["--engine", "openvino", "--precision", "f16"], "f16"),
        (["--seconds", "nan"], "--seconds"),
        (["--record-to", "films"], "--record"),
    ],
)
def test_what_cannot_start_is_refused_before_a_page_is_offered(
    options: list[str], words: str, tmp_path: Path
) -> None:
    done = run("live", SOURCE, "--journal", tmp_path / "exams.db", *options)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert "open http" not in done.stderr


def test_a_source_that_can_never_work_is_refused(tmp_path: Path) -> None:
    done = run("live", "loop:/nope.mp4", "--journal", tmp_path / "exams.db")
    assert done.returncode == 2, done.stderr
    assert "nope.mp4" in done.stderr
    assert "open http" not in done.stderr


def test_an_engine_that_can_never_work_ends_the_session_with_its_reason(tmp_path: Path) -> None:
    """Torch is slow to load: pictures come long before it says that there are no weights."""
    done = run("live", SOURCE, "--journal", tmp_path / "exams.db", "--engine", "torch")
    assert done.returncode == 2, done.stderr
    assert "inside its engines only" in done.stderr


def test_a_port_in_use_is_refused(taken_port: int, tmp_path: Path) -> None:
    done = run("live", SOURCE, "--journal", tmp_path / "exams.db", "--port", str(taken_port))
    assert done.returncode == 2, done.stderr
    assert "cannot listen" in done.stderr
    assert "open http" not in done.stderr


def test_a_closed_terminal_ends_the_exam_well(bundle_root: Path, tmp_path: Path) -> None:
    journal = tmp_path / "exams.db"
    ours, theirs = pty.openpty()
    options = ["live", SOURCE, "--bundle", str(bundle_root), "--journal", str(journal)]
    process = subprocess.Popen(
        [*COMMAND, *options],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=_take_terminal,
    )
    os.close(theirs)
    wait_until(lambda: count_used(journal) >= 3)
    children = psutil.Process(process.pid).children()
    os.close(ours)  # the kernel sends SIGHUP, and every write to it fails from now on
    assert process.wait(GRACE_S) == 0
    assert not psutil.wait_procs(children, timeout=60)[1]
    with Journal.open(journal).read() as reader:
        (exam,) = reader.exams()
    assert exam.ended


def _take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.mark.slow
def test_a_page_that_nobody_looks_at_is_said_aloud(bundle_root: Path, tmp_path: Path) -> None:
    journal = tmp_path / "exams.db"
    process = start("live", SOURCE, "--bundle", bundle_root, "--journal", journal)
    off = ("state", {"part": "display", "value": "off"})
    wait_until(lambda: count_used(journal) and off in list_events(journal))
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=GRACE_S)
    assert process.returncode == 0, said
    assert "open http://127.0.0.1" in said
    assert "no screen is watching" in said


@pytest.mark.slow
def test_a_display_that_stood_still_blames_nobody(bundle_root: Path, tmp_path: Path) -> None:
    journal = tmp_path / "exams.db"
    told = ("live", SOURCE, "--bundle", bundle_root, "--journal", journal, "--no-page")
    process = start(*told, "--json", "-")
    wait_until(lambda: count_used(journal) >= 3)
    engine = child(process, "neurosono.stream.judge.worker")
    capture = child(process, "neurosono.stream.capture.process")
    process.send_signal(signal.SIGSTOP)
    begun_s = time.monotonic()
    wait_until(lambda: time.monotonic() - begun_s > 6.0)  # longer than any child may be silent
    process.send_signal(signal.SIGCONT)
    before = count_used(journal)
    wait_until(lambda: count_used(journal) >= before + 3)
    assert engine.is_running()
    assert capture.is_running()
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=GRACE_S)
    assert process.returncode == 0, said
    assert json.loads(out)["session"]["accounts"]["unaccounted"] == 0
