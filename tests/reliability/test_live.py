"""A live session on real processes, while they are killed, stopped and starved."""

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.frame import SkipReason
from neurosono.stream.journal.journal import Journal
from neurosono.stream.journal.rebuild import rebuild_exam
from neurosono.stream.keep.clips import Clips, clip_folder
from neurosono.stream.live.options import SessionOptions
from neurosono.stream.live.record import LiveRecord
from neurosono.stream.live.session import Live
from neurosono.stream.live.stage import Ended
from neurosono.stream.page.protocol import Command
from neurosono.stream.phantom.exam import PhantomSpec, exam_frames
from tests.support.commands import count_pictures, start, wait_until

SOURCE = "loop:phantom:normal?seed=7&seconds=20&width=320&height=240"


@dataclass
class Screen:
    """What a viewer would see: every status with its time, newest last."""

    said: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    asked: list[Command] = field(default_factory=list)
    heatmaps: int = 0
    key_frames: list[dict[str, Any]] = field(default_factory=list)

    def publish(self, pixels: NDArray[np.uint8], status: dict[str, Any]) -> None:
        self.publish_status(status)

    def publish_status(self, status: dict[str, Any]) -> None:
        self.said.append((time.monotonic(), status))

    def publish_heatmap(self, pixels: NDArray[np.uint8], about: dict[str, Any]) -> None:
        assert pixels.ndim == 3
        self.heatmaps += 1

    def publish_evidence(self, label: str, pixels: NDArray[np.uint8], about: Any) -> None:
        assert max(pixels.shape[:2]) <= 160

    def publish_key_frame(self, name: str, pixels: NDArray[np.uint8], about: Any) -> None:
        self.key_frames.append({"name": name, **about})

    def painted_ages_ms(self) -> list[float]:
        return []

    def viewers(self) -> int:
        return 1

    def commands(self) -> list[Command]:
        asked, self.asked = self.asked, []
        return asked

    @property
    def last(self) -> dict[str, Any]:
        return self.said[-1][1] if self.said else {"ai": None, "frames": {"used": 0}}

    def since(self, moment: float, ai: str) -> float | None:
        """Return how long after `moment` the screen first said `ai`, seconds."""
        return next((at - moment for at, s in self.said if at >= moment and s["ai"] == ai), None)


class Session:
    """A live session on a thread of the test's own, with its journal."""

    def __init__(self, bundle_root: Path, folder: Path, source: str = SOURCE) -> None:
        self.bundle = Bundle.load(bundle_root)
        self.screen = Screen()
        self.journal = Journal.open(folder / "exams.db")
        self.clips = Clips(self.journal.path)
        self.record = LiveRecord(self.journal, self.bundle, self.clips)
        self.stop = threading.Event()
        self.ended: Ended | None = None
        options = SessionOptions(source, bundle=str(bundle_root))
        self.thread = threading.Thread(target=self._run, args=(options,))
        self.thread.start()

    def _run(self, options: SessionOptions) -> None:
        live = Live(options, self.bundle, self.screen, self.record)
        self.ended = live.run(self.stop.is_set)

    def child(self, module: str) -> psutil.Process:
        def find() -> psutil.Process | None:
            for process in psutil.Process(os.getpid()).children():
                with contextlib.suppress(psutil.Error):  # it may just have ended
                    if module in process.cmdline():
                        return process
            return None

        found: psutil.Process = wait_until(find)
        return found

    def wait_for_evidence(self, frames: int = 5) -> None:
        start = self.screen.last["frames"]["used"]
        wait_until(
            lambda: (
                self.screen.last["ai"] == "AI ON"
                and self.screen.last["frames"]["used"] >= start + frames
            )
        )

    def finish(self) -> Ended:
        self.stop.set()
        self.thread.join(30)
        assert self.ended is not None
        self.record.end(self.ended.counts)
        return self.ended


@pytest.fixture
def source() -> str:
    return SOURCE


@pytest.fixture
def session(bundle_root: Path, tmp_path: Path, source: str) -> Iterator[Session]:
    live = Session(bundle_root, tmp_path, source)
    try:
        live.wait_for_evidence()
        yield live
    finally:
        live.stop.set()
        live.thread.join(30)
        live.clips.close()
        live.journal.close()
    ours = [each.cmdline() for each in psutil.Process(os.getpid()).children()]
    assert not [said for said in ours if any(part.startswith("neurosono.stream") for part in said)]


def assert_nothing_stale(screen: Screen, begin: float) -> None:
    """While the AI is not on, nothing of it is shown."""
    for at, status in screen.said:
        if at >= begin and status["ai"] != "AI ON":
            assert status["probabilities"] is None
            assert status["prediction_set"] == []


def test_a_killed_engine_is_off_at_once_and_comes_back_with_the_exam(session: Session) -> None:
    used = session.screen.last["frames"]["used"]
    moment = time.monotonic()
    session.child("neurosono.stream.judge.worker").kill()
    wait_until(lambda: session.screen.since(moment, "AI OFF") is not None)
    assert (session.screen.since(moment, "AI OFF") or 9) < 0.5
    session.wait_for_evidence()
    assert session.screen.last["frames"]["used"] > used
    assert_nothing_stale(session.screen, moment)
    ended = session.finish()
    with session.journal.read() as reader:
        names = [event.name for event in reader.events(session.record.exam_id)]
    assert "restarted" in names
    rebuilt = rebuild_exam(session.journal, session.record.exam_id, session.bundle)
    assert rebuilt.to_json() == ended.exam.to_json()


def test_a_stuck_engine_is_late_then_restarted(session: Session) -> None:
    engine = session.child("neurosono.stream.judge.worker")
    moment = time.monotonic()
    engine.send_signal(signal.SIGSTOP)
    wait_until(lambda: session.screen.since(moment, "AI OFF") is not None)
    # a picture may have been sent just before the stop: its 500 ms begin when it was captured
    assert (session.screen.since(moment, "AI OFF") or 9) < 0.8
    wait_until(lambda: not engine.is_running())
    session.wait_for_evidence()
    assert_nothing_stale(session.screen, moment)
    session.finish()


def test_a_killed_capture_is_no_signal_and_comes_back(session: Session) -> None:
    decoded = session.screen.last["frames"]["decoded"]
    moment = time.monotonic()
    capture = session.child("neurosono.stream.capture.process")
    capture.send_signal(signal.SIGSTOP)
    wait_until(lambda: session.screen.since(moment, "NO SIGNAL") is not None)
    assert (session.screen.since(moment, "NO SIGNAL") or 9) < 1.0
    capture.kill()
    session.wait_for_evidence()
    assert session.screen.last["frames"]["decoded"] > decoded
    assert_nothing_stale(session.screen, moment)
    ended = session.finish()
    counts = ended.counts
    assert counts["decoded"] == counts["displayed"] + counts["dropped"]
    assert counts["sampled"] == counts["used"] + sum(counts["skipped"].values())
    rebuilt = rebuild_exam(session.journal, session.record.exam_id, session.bundle)
    assert rebuilt.to_json() == ended.exam.to_json()


def test_an_answer_is_said_without_waiting_for_the_next_picture(session: Session) -> None:
    session.wait_for_evidence(25)
    session.finish()
    said = [status for _, status in session.screen.said if not status["over"]]
    news = [
        after
        for before, after in pairwise(said)
        if after["frames"]["used"] > before["frames"]["used"]
    ]
    # on a busy host many an answer and a picture are there together
    assert any("index" not in each for each in news)


def test_capture_forgets_the_frames_that_are_on_record(session: Session) -> None:
    session.wait_for_evidence(50)
    wait_until(lambda: session.screen.last["source"]["unanswered"] < 25)
    assert session.screen.last["source"]["sampled"] > 50
    session.finish()


def test_another_exam_begins_at_nothing(session: Session) -> None:
    first = session.record.exam_id
    session.screen.asked.append(Command("new-exam"))
    wait_until(lambda: session.record.exam_id != first)
    wait_until(lambda: session.screen.last["exam"] == session.record.exam_id)
    session.wait_for_evidence(3)
    ended = session.finish()
    with session.journal.read() as reader:
        assert reader.exam(first).ended
        assert reader.exam(session.record.exam_id).used == ended.exam.snapshot().used


def test_a_frame_is_kept_and_reviewed(session: Session) -> None:
    index = session.screen.last.get("index", session.screen.last["frames"]["decoded"] - 1)
    session.screen.asked.append(Command("keep", {"index": index}))
    (name,) = wait_until(
        lambda: [k["name"] for k in session.screen.key_frames if k["kept_by"] == "key"]
    )
    session.screen.asked.append(
        Command("review", {"key_frame_id": name, "verdict": "reassign", "label": "normal"})
    )
    wait_until(lambda: "reassigned" in [each["verdict"] for each in session.screen.key_frames])
    session.finish()
    with session.journal.read() as reader:
        kept = [k for k in reader.key_frames(session.record.exam_id) if k.reason == "key"]
    assert [(each.key_frame_id, each.status, each.label) for each in kept] == [
        (name, "reassigned", "normal")
    ]


FREEZE_S = 2


@pytest.fixture
def frozen_source(tmp_path: Path) -> str:
    """Return a scan of a phantom that is frozen for a while, over and over."""
    path = tmp_path / "scan.mp4"
    spec = PhantomSpec("normal", seed=7, seconds=3, width_px=320, height_px=240)
    screens = [frame.pixels for frame in exam_frames(spec)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.options = {"crf": "12", "preset": "ultrafast"}
        for screen in screens + screens[-1:] * (25 * FREEZE_S):
            pixels = screen if screen.ndim == 3 else cv2.cvtColor(screen, cv2.COLOR_GRAY2BGR)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="bgr24")))
        container.mux(stream.encode(None))
    return f"loop:{path}"


class TestFreeze:
    """The scanner's own freeze, seen in the video."""

    @pytest.fixture
    def source(self, frozen_source: str) -> str:
        return frozen_source

    def test_a_freeze_is_kept_and_proposed(self, session: Session) -> None:
        def find() -> list[dict[str, Any]]:
            return [each for each in session.screen.key_frames if each["reason"] == "freeze"]

        proposed = wait_until(find)[0]
        assert (proposed["kept_by"], proposed["verdict"]) == ("auto", "proposed")
        assert proposed["label"] is None, "no engine judged a frozen picture"
        session.finish()
        session.clips.close()
        with session.journal.read() as reader:
            exam_id = session.record.exam_id
            frames = {each.key_frame_id: each for each in reader.key_frames(exam_id)}
            kept = frames[proposed["name"]]
            of_seq = {each.result.seq: each.result for each in reader.results(exam_id)}
        assert (kept.reason, kept.status) == ("freeze", "proposed")
        assert of_seq[kept.seq].skip_reason == SkipReason.FROZEN
        assert kept.pixels.shape[0] > 100
        for each in frames.values():
            clip = clip_folder(session.journal.path) / exam_id / f"{each.key_frame_id}.mp4"
            assert count_pictures(clip) > 5


def test_a_killed_session_is_taken_up_again(bundle_root: Path, tmp_path: Path) -> None:
    place = tmp_path / "exams.db"
    options: list[str | Path] = [
        "live",
        SOURCE,
        "--bundle",
        bundle_root,
        "--journal",
        place,
        "--no-page",
    ]
    process = start(*options)

    def count_used() -> int:
        if not place.is_file():
            return 0
        with Journal.open(place).read() as reader:
            return sum(exam.used for exam in reader.exams())

    wait_until(lambda: count_used() >= 5)
    children = psutil.Process(process.pid).children()
    process.kill()
    process.communicate(timeout=120)
    assert not psutil.wait_procs(children, timeout=60)[1]
    with Journal.open(place).read() as reader:
        (before,) = reader.exams()
    assert not before.ended
    process = start(*options, "--resume", before.exam_id, "--json", "-")
    wait_until(lambda: count_used() > before.used)
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    after = json.loads(out)
    assert after["exam"] == before.exam_id
    assert after["frames"]["used"] > before.used
    with Journal.open(place).read() as reader:
        (whole,) = reader.exams()
    assert whole.ended
    assert whole.used == after["frames"]["used"]
