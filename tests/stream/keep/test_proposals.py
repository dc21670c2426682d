"""Frames that are offered for keeping by themselves."""

from collections.abc import Sequence

import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.frame import SkipReason
from neurosono.engine.contracts.result import ExamSnapshot, ExamState, Result
from neurosono.stream.keep.highlights import measure_evidence
from neurosono.stream.keep.proposals import CAPS, PER_CLASS, Proposal, Proposals
from tests.stream.keep.test_glance import draw_view

LABELS = ("a", "b")
RATE_HZ = 10
VIEWS = [draw_view(seed) for seed in range(14)]
HEAT = np.ones((2, 7, 7), np.float32)


def make_result(seq: int, probability: float | None, *, cam: bool = True) -> Result:
    """Return a result at `seq` / 10 s; `probability` None is a frozen frame."""
    exam = ExamSnapshot(
        np.array([0.5, 0.5]), np.zeros(2), np.ones(2), (), ExamState.COLLECTING, 1, 1.0
    )
    clock = ("s", seq, int(seq * 1e9 / RATE_HZ), seq / RATE_HZ)
    if probability is None:
        return Result(*clock, exam, SkipReason.FROZEN)
    frame = np.array([probability, 1 - probability])
    return Result(*clock, exam, None, frame, cam=HEAT if cam else None)


class Feed:
    """Feeds an exam at ten frames a second and gathers what is offered."""

    def __init__(self) -> None:
        self.proposals = Proposals(LABELS)
        self.seq = 0
        self.offered: list[Proposal] = []

    def give(
        self,
        seconds: float,
        probability: float | None,
        pixels: NDArray[np.uint8] | None,
        *,
        cam: bool = True,
    ) -> list[Proposal]:
        before = len(self.offered)
        for _ in range(round(seconds * RATE_HZ)):
            result = make_result(self.seq, probability, cam=cam)
            self.offered += self.proposals.offer(result, pixels)
            self.seq += 1
        return self.offered[before:]

    def of(self, reason: str) -> list[Proposal]:
        return [each for each in self.offered if each.reason == reason]


def test_the_strongest_frame_is_offered_once_nothing_stronger_came() -> None:
    feed = Feed()
    feed.give(1, 0.55, VIEWS[0])
    feed.give(0.1, 0.9, VIEWS[0])
    feed.give(2.8, 0.55, VIEWS[0])
    assert feed.of("evidence") == [], "a stronger one may still come"
    (offered,) = [each for each in feed.give(1, 0.55, VIEWS[0]) if each.reason == "evidence"]
    assert (offered.seq, offered.label) == (RATE_HZ, "a")
    assert offered.heatmap is not None
    feed.give(0.1, 0.95, VIEWS[0])
    feed.give(5, 0.55, VIEWS[0])
    assert len(feed.of("evidence")) == 1, "a little stronger is not worth another"
    feed.give(0.1, 0.05, VIEWS[0])
    feed.give(5, 0.55, VIEWS[0])
    assert [each.label for each in feed.of("evidence")] == ["a", "b"]


def test_a_class_has_so_many_offers() -> None:
    feed = Feed()
    for probability in (0.62, 0.75, 0.87, 0.99):
        feed.give(0.1, probability, VIEWS[0])
        feed.give(5, 0.55, VIEWS[0])
    assert len(feed.of("evidence")) == PER_CLASS


def test_weak_evidence_is_none() -> None:
    feed = Feed()
    feed.give(20, 0.55, VIEWS[0])
    assert feed.of("evidence") == []


def test_each_view_is_offered_once_and_only_if_it_is_held() -> None:
    feed = Feed()
    for view in VIEWS[:6]:
        feed.give(0.5, 0.5, view)
    assert feed.of("plane") == [], "a sweep passes through many views"
    for view in (VIEWS[0], VIEWS[1], VIEWS[0], VIEWS[2]):
        feed.give(2, 0.5, view)
    assert [each.seq // (2 * RATE_HZ) for each in feed.of("plane")] == [1, 2, 4]


def test_views_are_capped() -> None:
    feed = Feed()
    for view in VIEWS:
        feed.give(2, 0.5, view)
    assert len(feed.of("plane")) == CAPS["plane"]


def test_a_freeze_is_offered_once_and_at_its_beginning() -> None:
    feed = Feed()
    feed.give(2, 0.5, VIEWS[0])
    before = feed.seq
    (offered,) = feed.give(3, None, VIEWS[0])
    assert offered.reason == "freeze"
    assert 0.4 <= (offered.seq - before) / RATE_HZ <= 0.5
    assert (offered.label, offered.heatmap) == (None, None)
    feed.give(0.3, 0.5, VIEWS[0])
    feed.give(3, None, VIEWS[1])
    assert len(feed.of("freeze")) == 1, "a caliper that moves is no end of the freeze"
    feed.give(2, 0.5, VIEWS[1])
    feed.give(3, None, VIEWS[0])
    assert len(feed.of("freeze")) == 1, "the picture that was frozen before"
    feed.give(2, 0.5, VIEWS[1])
    feed.give(3, None, VIEWS[1])
    assert len(feed.of("freeze")) == 2


def test_a_hiccup_of_the_video_is_no_freeze() -> None:
    feed = Feed()
    for _ in range(6):
        feed.give(2, 0.5, VIEWS[0])
        feed.give(0.3, None, VIEWS[0])
    assert feed.of("freeze") == []


def test_a_feed_that_sends_each_picture_twice_is_not_frozen() -> None:
    feed = Feed()
    for _ in range(100):
        feed.give(0.1, 0.5, VIEWS[0])
        feed.give(0.1, None, VIEWS[0])
    assert feed.of("freeze") == []
    assert len(feed.give(1, None, VIEWS[0])) == 1
    for _ in range(10):
        feed.give(0.1, 0.5, VIEWS[1])
        feed.give(0.1, None, VIEWS[1])
    feed.give(1, None, VIEWS[1])
    assert len(feed.of("freeze")) == 2


def test_a_freeze_without_its_picture_waits_for_it() -> None:
    feed = Feed()
    feed.give(2, None, None)
    assert len(feed.give(0.2, None, VIEWS[0])) == 1


def test_the_best_picture_is_offered() -> None:
    feed = Feed()
    dim = (VIEWS[0] * 0.2).astype(np.uint8)
    feed.give(2, 0.5, dim)
    best = feed.seq
    feed.give(0.1, 0.5, VIEWS[0])
    feed.give(5, 0.5, dim)
    assert [each.seq for each in feed.of("quality")] == [best]


def test_where_heatmaps_are_made_only_frames_with_one_are_offered() -> None:
    feed = Feed()
    feed.give(0.1, 0.55, VIEWS[0])
    for _ in range(10):
        feed.give(0.4, 0.9, VIEWS[0], cam=False)
        feed.give(0.1, 0.8, VIEWS[0])
    assert {each.reason for each in feed.offered} >= {"evidence", "plane"}
    assert all(each.heatmap is not None for each in feed.offered)


def test_without_heatmaps_frames_are_offered_too() -> None:
    feed = Feed()
    feed.give(10, 0.9, VIEWS[0], cam=False)
    assert {each.reason for each in feed.offered} >= {"evidence", "plane"}
    assert all(each.heatmap is None for each in feed.offered)


def test_no_frame_is_offered_twice() -> None:
    feed = Feed()
    for view in VIEWS[:5]:
        feed.give(4, 0.9, view)
    seqs = [each.seq for each in feed.offered]
    assert len(seqs) == len(set(seqs)) > 3


def test_a_skipped_frame_has_no_evidence() -> None:
    skipped = replace(make_result(0, None), skip_reason=SkipReason.DOPPLER)
    with pytest.raises(InputError, match="no evidence"):
        measure_evidence(skipped)


def offer_planes(planes: Sequence[str | None], seconds: float = 12.0) -> list[Proposal]:
    """Return what is offered as `plane` of views that change every second, named in turn."""
    proposals = Proposals(LABELS)
    found: list[Proposal] = []
    for seq in range(round(seconds * RATE_HZ)):
        result = replace(make_result(seq, 0.5), plane=planes[seq // RATE_HZ % len(planes)])
        view = VIEWS[seq // RATE_HZ % len(VIEWS)]
        found += [each for each in proposals.offer(result, view) if each.reason == "plane"]
    return found


def test_each_plane_that_the_gate_names_is_offered_once() -> None:
    named = ["transthalamic", "other", "spine-sagittal", "other"]
    offered = offer_planes(named, 24.0)
    assert [named[each.seq // RATE_HZ % 4] for each in offered] == [
        "transthalamic",
        "spine-sagittal",
    ]


def test_other_views_are_no_planes_where_a_gate_names_them() -> None:
    assert offer_planes(["other"]) == []
    assert offer_planes([None]) != []
