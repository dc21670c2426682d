"""Readers beside a live exam, really killed: each blanks its own rows, and is started again."""

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import BundleError
from neurosono.engine.kinds import find_kind
from neurosono.stream.journal.describe import describe_record
from neurosono.stream.journal.export import export_exam
from neurosono.stream.journal.journal import Journal
from neurosono.stream.journal.rebuild import rebuild_readings
from neurosono.stream.live.options import SessionOptions
from neurosono.stream.live.record import LiveRecord
from neurosono.stream.live.session import Live
from neurosono.stream.live.stage import Ended
from neurosono.stream.page.protocol import Command
from neurosono.stream.report.gather import Report, describe_report
from neurosono.stream.report.page import render_report
from tests.support.clips import write_clip
from tests.support.commands import wait_until
from tests.support.patterns import make_patterns_bundle
from tests.support.structures import make_structures_bundle

SOURCE = "loop:phantom:normal?seed=7&seconds=20&width=320&height=240"
NAME = "structures"


@dataclass
class Screen:
    """What a viewer would see: every status with its time, newest last."""

    said: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    asked: list[Command] = field(default_factory=list)
    found: list[dict[str, Any]] = field(default_factory=list)
    kept: list[dict[str, Any]] = field(default_factory=list)

    def publish(self, pixels: Any, status: dict[str, Any]) -> None:
        self.publish_status(status)

    def publish_status(self, status: dict[str, Any]) -> None:
        self.said.append((time.monotonic(), status))

    def publish_reading(self, reader: str, pixels: Any, about: dict[str, Any]) -> None:
        self.found.append({"reader": reader, "shape": pixels.shape[:2], **about})

    def publish_heatmap(self, pixels: Any, about: Any) -> None: ...
    def publish_evidence(self, label: str, pixels: Any, about: Any) -> None: ...

    def publish_key_frame(self, name: str, pixels: Any, about: dict[str, Any]) -> None:
        self.kept.append(about)

    def painted_ages_ms(self) -> list[float]:
        return []

    def viewers(self) -> int:
        return 1

    def commands(self) -> list[Command]:
        asked, self.asked = self.asked, []
        return asked

    @property
    def reading(self) -> dict[str, Any]:
        found: dict[str, Any] = self.said[-1][1]["readings"][NAME] if self.said else {"ai": None}
        return found


class Session:
    """A live session with a reader, on a thread of the test's own, with its journal."""

    def __init__(
        self,
        bundle_root: Path,
        reader_root: Path,
        folder: Path,
        source: str = SOURCE,
        beside: tuple[Path, ...] = (),
        **told: float,
    ) -> None:
        also = tuple(map(str, (reader_root, *beside)))
        self.options = SessionOptions(source, bundle=str(bundle_root), also=also, **told)
        self.bundle, self.readers = Bundle.load(bundle_root), self.options.load_readers()
        self.screen = Screen()
        self.journal = Journal.open(folder / "exams.db")
        self.record = LiveRecord(self.journal, self.bundle, readers=self.readers)
        self.stop = threading.Event()
        self.ended: Ended | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        live = Live(self.options, self.bundle, self.screen, self.record, readers=self.readers)
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

    def wait_for_readings(self, more: int = 5) -> None:
        def used() -> int:
            reading = self.screen.reading
            return reading["exam"]["frames"]["used"] if reading["ai"] == "AI ON" else -1

        wait_until(lambda: used() >= 0)
        begun = used()
        wait_until(lambda: used() >= begun + more)

    def finish(self) -> Ended:
        self.stop.set()
        self.thread.join(60)
        assert self.ended is not None
        self.record.end(self.ended.counts)
        return self.ended


@pytest.fixture
def session(bundle_root: Path, tmp_path: Path) -> Iterator[Session]:
    root = make_structures_bundle(tmp_path / "reader")
    session = Session(bundle_root, root, tmp_path, mm_per_px=0.5)
    yield session
    session.stop.set()
    session.thread.join(60)
    session.journal.close()


def test_a_killed_reader_blanks_its_own_rows_and_comes_back(session: Session) -> None:
    session.wait_for_readings()
    reader = session.child("neurosono.stream.judge.reader")
    reader.kill()
    killed_s = time.monotonic()
    wait_until(lambda: session.screen.reading["ai"] != "AI ON")
    off = next(
        (at, s)
        for at, s in session.screen.said
        if at > killed_s and s["readings"][NAME]["ai"] != "AI ON"
    )
    rows = off[1]["readings"][NAME]
    assert rows["exam"] is None
    assert rows["frame"] is None
    assert rows["told"] is None
    late = [s for at, s in session.screen.said if at > killed_s + 0.5 and at < off[0]]
    assert not late, "more than half a second of a dead reader's rows"
    session.wait_for_readings()
    ended = session.finish()
    frames = ended.readings[NAME]["frames"]
    assert frames["skipped"]["engine-off"] > 0
    assert frames["sampled"] == frames["used"] + sum(frames["skipped"].values())
    assert frames["sampled"] == ended.counts["sampled"]
    restarted = list(ended.measured["restarts"]["listed"])
    assert len(restarted) == 1
    with session.journal.read() as reading:
        events = list(reading.events(session.record.exam_id))
    named = [each.fields for each in events if each.name == "restarted"]
    assert named == [{"role": "reader", "reader": NAME, "count": 1}]


def test_of_two_readers_one_killed_leaves_the_other(bundle_root: Path, tmp_path: Path) -> None:
    other = make_patterns_bundle(tmp_path / "other")
    root = make_structures_bundle(tmp_path / "reader")
    session = Session(bundle_root, root, tmp_path, beside=(other,), mm_per_px=0.5)

    def used() -> int:
        said = session.screen.said[-1][1]["readings"]["patterns"] if session.screen.said else {}
        return said["exam"]["frames"]["used"] if said.get("ai") == "AI ON" else 0

    try:
        session.wait_for_readings()
        wait_until(lambda: used() > 3)
        session.child("neurosono.stream.judge.reader").kill()  # the first that was started
        wait_until(lambda: session.screen.reading["ai"] != "AI ON")
        before = used()
        wait_until(lambda: used() > before + 3)
        session.wait_for_readings()
        ended = session.finish()
        for name in (NAME, "patterns"):
            frames = ended.readings[name]["frames"]
            assert frames["sampled"] == frames["used"] + sum(frames["skipped"].values())
            assert frames["sampled"] == ended.counts["sampled"]
        with session.journal.read() as reading:
            events = list(reading.events(session.record.exam_id))
        assert [each.fields["reader"] for each in events if each.name == "restarted"] == [NAME]
    finally:
        session.finish()
        session.journal.close()


def test_a_killed_engine_leaves_the_readers_rows(session: Session) -> None:
    session.wait_for_readings()
    engine = session.child("neurosono.stream.judge.worker")
    engine.suspend()
    wait_until(lambda: session.screen.said[-1][1]["ai"] == "AI OFF")
    session.wait_for_readings(3)
    status = next(s for _, s in reversed(session.screen.said) if s["ai"] == "AI OFF")
    assert status["probabilities"] is None
    engine.kill()
    session.finish()


def test_the_record_holds_every_reading_and_an_exam_goes_on_from_it(
    session: Session, tmp_path: Path, bundle_root: Path
) -> None:
    session.wait_for_readings(20)
    ended = session.finish()
    exam_id, said = session.record.exam_id, ended.readings[NAME]
    with session.journal.read() as reader:
        record = describe_record(reader, exam_id)["readings"][NAME]
    assert {name: said[name] for name in record if name != "bundle"} == {
        name: each for name, each in record.items() if name != "bundle"
    }
    page = render_report(describe_report_of(session, exam_id))
    assert "Read beside it: structures" in page
    assert "trans-ventricular" in page
    found = session.screen.found
    assert found
    assert all(
        each["region_px"][2:] == list(each["shape"][::-1]) or each["shape"] for each in found
    )
    states = rebuild_readings(session.journal, exam_id, session.readers)
    again = find_kind(session.readers[NAME]).begin(session.readers[NAME])
    again.take_up(states[NAME])
    assert again.snapshot() == {name: said[name] for name in again.snapshot()}
    with pytest.raises(BundleError, match="was read by structures"):
        rebuild_readings(session.journal, exam_id, {})
    out = tmp_path / "exam.csv"
    export_exam(session.journal, exam_id, out, "csv")
    assert "trans-ventricular" in out.read_text()


def describe_report_of(session: Session, exam_id: str) -> Report:
    with session.journal.read() as reader:
        return describe_report(reader, exam_id)


def test_the_best_frame_of_a_plane_is_kept_by_itself(session: Session) -> None:
    session.wait_for_readings()
    wait_until(lambda: any(each["reason"] == "plane" for each in session.screen.kept))
    session.finish()
    with session.journal.read() as reader:
        keys = reader.key_frames(session.record.exam_id)
    best = [key for key in keys if key.reason == "plane"]
    assert best
    assert best[0].status == "proposed"


def test_another_exam_begins_with_nothing_read(session: Session) -> None:
    session.wait_for_readings()
    first = session.record.exam_id
    session.screen.asked.append(Command("new-exam"))
    wait_until(lambda: session.record.exam_id != first)
    session.wait_for_readings(3)
    ended = session.finish()
    frames = ended.readings[NAME]["frames"]
    assert frames["sampled"] == ended.counts["sampled"]
    with session.journal.read() as reader:
        before = describe_record(reader, first)
    counted = before["readings"][NAME]["frames"]
    assert counted["sampled"] == before["frames"]["sampled"]
    assert counted["sampled"] == counted["used"] + sum(counted["skipped"].values())


def test_told_weeks_end_with_their_exam(bundle_root: Path, tmp_path: Path) -> None:
    """They were the last patient's: of the next nobody knows, nor does a reader started anew."""
    root = make_patterns_bundle(tmp_path / "reader", NAME, weeks=(18.0, 26.0))
    clip = write_clip(tmp_path / "clip.mp4", 250)  # which tells no scale, so no HC either
    session = Session(bundle_root, root, tmp_path, f"loop:{clip}", weeks=21.0)

    def abstains() -> bool:
        reading = session.screen.reading
        lines = reading["told"]["lines"] if reading["ai"] == "AI ON" else []
        return any(line.startswith("no findings: ") for line in lines)

    try:
        session.wait_for_readings()
        wait_until(lambda: session.screen.reading["exam"]["weeks"]["holds"] == "within")
        assert not abstains()
        first = session.record.exam_id
        session.screen.asked.append(Command("new-exam"))
        wait_until(lambda: session.record.exam_id != first)
        wait_until(abstains)
        session.child("neurosono.stream.judge.reader").kill()
        wait_until(lambda: session.screen.reading["ai"] != "AI ON")
        session.wait_for_readings(3)
        wait_until(abstains)
        assert session.finish().readings[NAME]["weeks"]["told"] is None
    finally:
        session.finish()
        session.journal.close()
