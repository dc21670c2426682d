"""Frames that are kept, by a key or by themselves, in the real record."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.frame import DisplayFrame, Frame, SkipReason
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.contracts.result import Result
from neurosono.engine.patterns.names import MEGA_CISTERNA
from neurosono.stream.journal.journal import Journal
from neurosono.stream.live.desk import Desk
from neurosono.stream.live.record import LiveRecord
from neurosono.stream.page.hub import Hub
from neurosono.stream.page.protocol import Command
from neurosono.stream.view.recent import Recent
from tests.stream.keep.test_glance import draw_view
from tests.support.records import STREAM, make_exam, make_results

PICTURE = draw_view(0)


class Listener(Hub):
    """A hub that also remembers which kept frames it was told of."""

    def publish_key_frame(
        self, key_frame_id: str, pixels: NDArray[np.uint8], about: Mapping[str, Any]
    ) -> None:
        self.told = [*getattr(self, "told", []), {"name": key_frame_id, **about}]
        super().publish_key_frame(key_frame_id, pixels, about)


@pytest.fixture
def record(bundle_root: Path, tmp_path: Path) -> Iterator[LiveRecord]:
    with Journal.open(tmp_path / "exams.sqlite") as journal:
        yield LiveRecord(journal, Bundle.load(bundle_root))


def show(desk: Desk, record: LiveRecord, seconds: int) -> list[Result]:
    """Show an exam at 30 Hz, each frame with its result; every one of them has a heatmap."""
    results = list(make_results(make_exam(), 30 * seconds))
    desk.open_exam(make_exam().labels)
    for result in results:
        at_ns = result.captured_ns
        desk.recent.see(DisplayFrame(STREAM, result.seq, at_ns, result.pts_s, PICTURE, result.seq))
        desk.recent.hear(result)
        record.record(result)
        desk.judge(result)
    return results


def kept(record: LiveRecord) -> list[Any]:
    with record._journal.read() as reader:
        return reader.key_frames(record.exam_id)


def test_what_is_offered_is_kept_and_shown(record: LiveRecord) -> None:
    hub = Listener()
    desk = Desk(hub, record, Recent(), lambda: None)
    results = show(desk, record, 12)
    found = kept(record)
    assert {"evidence", "plane"} <= {each.reason for each in found}
    assert [each.key_frame_id for each in found] == [each["name"] for each in hub.told]
    assert {each["kept_by"] for each in hub.told} == {"auto"}
    assert {each["verdict"] for each in hub.told} == {"proposed"}
    labels = make_exam().labels
    for each in found:
        own = results[each.seq]
        assert own.probabilities is not None
        assert own.cam is not None
        leading = int(np.argmax(own.probabilities))
        assert each.label == labels[leading]
        assert np.abs(each.heat - own.cam[leading]).max() < 0.003, "that very frame's heatmap"


def test_a_second_read_is_not_told_what_the_ai_picked(record: LiveRecord) -> None:
    hub = Listener()
    show(Desk(hub, record, Recent(), lambda: None, blind=True), record, 12)
    assert {each.reason for each in kept(record)} >= {"evidence", "plane"}, "the record has it"
    assert not hasattr(hub, "told")


def test_a_frame_kept_by_a_key_has_its_own_heatmap_and_no_label(record: LiveRecord) -> None:
    hub = Listener()
    desk = Desk(hub, record, Recent(), lambda: None)
    results = show(desk, record, 1)
    judged = next(each for each in reversed(results) if each.used)
    desk.obey(Command("keep", {"index": judged.seq}))
    (found,) = [each for each in kept(record) if each.reason == "key"]
    assert (found.seq, found.label) == (judged.seq, None)
    assert judged.cam is not None
    assert judged.probabilities is not None
    own = judged.cam[int(np.argmax(judged.probabilities))]
    assert np.abs(found.heat - own).max() < 0.003


def test_a_review_of_a_proposal_is_filed(record: LiveRecord) -> None:
    hub = Listener()
    desk = Desk(hub, record, Recent(), lambda: None)
    show(desk, record, 3)
    name = hub.told[0]["name"]
    desk.obey(Command("review", {"key_frame_id": name, "verdict": "reject"}))
    assert hub.told[-1]["verdict"] == "rejected"
    assert {each.key_frame_id: each.status for each in kept(record)}[name] == "rejected"


def test_what_was_kept_in_the_exam_before_is_not_reviewed_in_the_next(record: LiveRecord) -> None:
    hub = Listener()
    desk = Desk(hub, record, Recent(), lambda: None)
    show(desk, record, 3)
    name = hub.told[0]["name"]
    desk.open_exam(make_exam().labels)
    desk.obey(Command("review", {"key_frame_id": name, "verdict": "reject"}))
    assert hub.told[-1]["verdict"] == "proposed"


def test_the_best_frame_of_a_finding_is_kept_as_one(record: LiveRecord) -> None:
    hub = Listener()
    desk = Desk(hub, record, Recent(), lambda: None)
    results = show(desk, record, 1)
    said = {"boxes": []}
    for place, best in ((0, {MEGA_CISTERNA: 0.8}), (6, {"trans-cerebellum": 0.9})):
        frame = Frame(STREAM, place, 0, 0.0, None, skip_reason=SkipReason.FROZEN)
        desk.judge_reading(ReaderResult.of(frame, "patterns", said=said), best, PICTURE)
    late_ns = results[-1].captured_ns + 60 * 10**9
    frame = Frame(STREAM, 29, late_ns, 60.0, None, skip_reason=SkipReason.FROZEN)
    desk.judge_reading(ReaderResult.of(frame, "patterns", said=said), {}, PICTURE)
    found = {each.reason: each.seq for each in kept(record) if each.label is None}
    assert found == {"finding": 0, "plane": 6}
