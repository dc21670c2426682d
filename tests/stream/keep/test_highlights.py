"""The frames that moved the exam most."""

import numpy as np

from neurosono.engine.contracts.result import ExamSnapshot, ExamState, Result
from neurosono.stream.keep.highlights import PER_CLASS, THUMBNAIL_PX, Highlights

LABELS = ("a", "b")
PICTURE = np.full((300, 400), 7, dtype=np.uint8)


def make_result(seq: int, pts_s: float, probability: float) -> Result:
    exam = ExamSnapshot(
        np.array([0.5, 0.5]), np.zeros(2), np.ones(2), (), ExamState.COLLECTING, 1, 1.0
    )
    frame = np.array([probability, 1 - probability])
    return Result("s", seq, 0, pts_s, exam, None, frame)


def test_the_strongest_are_kept_strongest_first() -> None:
    highlights = Highlights(LABELS)
    for index, probability in enumerate((0.6, 0.9, 0.7, 0.95, 0.8)):
        highlights.offer(make_result(index, index * 10.0, probability), PICTURE)
    assert [each.seq for each in highlights.of("a")] == [3, 1, 4]
    assert highlights.of("b") == []
    assert len(highlights.of("a")) == PER_CLASS


def test_one_view_is_kept_once() -> None:
    highlights = Highlights(LABELS)
    assert highlights.offer(make_result(0, 0.0, 0.8), PICTURE) is not None
    assert highlights.offer(make_result(1, 0.04, 0.7), PICTURE) is None
    assert highlights.offer(make_result(2, 0.08, 0.9), PICTURE) is not None
    assert [each.seq for each in highlights.of("a")] == [2]


def test_thumbnails_are_small_and_keep_their_shape() -> None:
    kept = Highlights(LABELS).offer(make_result(0, 0.0, 0.1), PICTURE)
    assert kept is not None
    assert kept.label == "b"
    assert kept.pixels.shape == (120, THUMBNAIL_PX)
