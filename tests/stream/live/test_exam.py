"""A live exam beside a real record and measures, by a clock of its own: all say the same."""

from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.frame import DisplayFrame, SkipReason
from neurosono.engine.contracts.pair import EnsembleAnswer
from neurosono.engine.contracts.result import Result
from neurosono.stream.journal.journal import Journal
from neurosono.stream.live.exam import LiveExam
from neurosono.stream.live.record import LiveRecord
from neurosono.stream.page.hub import Hub
from neurosono.stream.processes.ledger import Ledger
from neurosono.stream.view.viewer import Viewer

MS = 1_000_000
FRAME_MS, STEP_MS = 40, 10


class Screen(Hub):
    """Keeps what the page is told."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[dict[str, Any]] = []

    def publish_status(self, status: dict[str, Any]) -> None:
        super().publish_status(status)
        self.said.append(status)


def begin(journal: Journal, bundle: Bundle, student: Bundle | None = None) -> LiveExam:
    viewer = Viewer(bundle.manifest.labels, realtime=True, engine="openvino f32 x2")
    record = LiveRecord(journal, bundle, student=student)
    told: dict[str, Any] = {"ask_new_exam": lambda: None, "second_read": False}
    return LiveExam(bundle, student, viewer, Ledger(), Screen(), record, None, **told)


def answer(exam: LiveExam, bundle: Bundle, seq: int, **more: Any) -> Result:
    """Return what an engine says of a frame whose members all agree."""
    members = np.tile(np.eye(len(bundle.manifest.labels), dtype=np.float32)[-1], (2, 1))
    stamps = ("0" * 32, seq, seq * FRAME_MS * MS, seq * FRAME_MS / 1e3)
    return Result(*stamps, exam.exam.snapshot(), None, members[0].astype(float), members, **more)


def step(exam: LiveExam, bundle: Bundle, now_ms: int, takes_ms: int, known: int) -> int:
    """Go on by a step, with an engine that takes so long for a frame; returns what it knows."""
    seq = now_ms // FRAME_MS
    if now_ms % FRAME_MS == 0:
        pixels = np.full((8, 8), seq % 256, np.uint8)
        exam.viewer.see(DisplayFrame("s", seq, now_ms * MS, now_ms / 1e3, pixels, seq))
    if now_ms % takes_ms == 0 and (newest := (now_ms - takes_ms) // FRAME_MS) > known:
        for passed in range(known + 1, newest):
            late = answer(exam, bundle, passed)
            bare = {"probabilities": None, "member_probabilities": None}
            exam.take(replace(late, skip_reason=SkipReason.SUPERSEDED, **bare))
        exam.take(answer(exam, bundle, newest))
        known = newest
    if exam.has_turned(now_ms * MS) or now_ms % 100 == 0:
        exam.say(now_ms * MS)
    return known


def test_screen_record_and_measures_say_the_same_of_an_ai_that_is_late(
    tmp_path: Path, bundle_root: Path
) -> None:
    bundle, known = Bundle.load(bundle_root), -1
    with Journal.open(tmp_path / "exams.db") as journal:
        exam = begin(journal, bundle)
        for now_ms in range(0, 14_000, STEP_MS):
            takes_ms = 320 if 2000 <= now_ms < 11_000 else 40
            known = step(exam, bundle, now_ms, takes_ms, known)
        exam.measures.weigh({}, now_ms * MS)
        measured = exam.measures.finish(now_ms * MS)
        with journal.read() as reader:
            (row,) = reader.exams()
            events = [(each.name, dict(each.fields)) for each in reader.events(row.exam_id)]
    said = exam._stage.said
    shown = [word for word, _ in groupby(status["ai"] for status in said)]
    assert shown == ["AI ON", "AI OFF", "AI ON"]
    assert [each["value"] for name, each in events if name == "state"] == ["on", "off", "on"]
    assert measured["ai_off"]["count"] == 1
    assert 9 < measured["ai_off"]["seconds"] < 11
    assert row.used > 100, "what was judged meanwhile is evidence as ever"
    assert all(each["state"] is None for each in said if each["ai"] != "AI ON")


def test_who_carries_the_result_is_said_when_that_changes(
    tmp_path: Path, bundle_root: Path, student_root: Path
) -> None:
    bundle, student = Bundle.load(bundle_root), Bundle.load(student_root)
    with Journal.open(tmp_path / "exams.db") as journal:
        exam = begin(journal, bundle, student)
        for seq in range(100):
            of = answer(exam, bundle, seq)
            failed = None if seq == 99 else of.member_probabilities
            exam.take(replace(of, ensemble=EnsembleAnswer(seq, failed)))
        with journal.read() as reader:
            (row,) = reader.exams()
            told = [each for each in reader.events(row.exam_id) if each.name == "carried-by"]
    assert [each.fields["by"] for each in told] == ["ensemble", "student"]
