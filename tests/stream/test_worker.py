"""The engine process's work, on the real engine."""

from pathlib import Path

import numpy as np
import pytest

from engine.bundle import Bundle
from engine.choice import open_engine
from engine.contracts.frame import Frame, SkipReason
from engine.exam import Exam
from stream.worker import CamThrottle, Worker


@pytest.fixture
def worker(bundle_root: Path) -> Worker:
    bundle = Bundle.load(bundle_root)
    return Worker(open_engine(bundle).backend, Exam(bundle.manifest.labels, bundle.calibration), 5)


def make_frame(seq: int, pts_s: float) -> Frame:
    pixels = np.random.default_rng(seq).integers(0, 256, (64, 64), dtype=np.uint8)
    return Frame("s", seq, 1000 + seq, pts_s, pixels, None, {"decode": 1.0})


def test_a_result_names_its_frame_and_carries_its_heatmap(worker: Worker) -> None:
    result = worker.judge(make_frame(3, 0.25), wait_ms=2.0)
    assert (result.seq, result.captured_ns, result.pts_s) == (3, 1003, 0.25)
    assert result.used
    assert result.probabilities is not None
    assert result.probabilities.sum() == pytest.approx(1)
    assert result.member_probabilities is not None
    assert result.member_probabilities.shape == (2, 5)
    assert result.cam is not None
    assert result.cam.shape == (5, 2, 2)
    assert result.exam.used == 1
    assert {"decode", "wait", "network", "exam"} <= set(result.stage_ms)


def test_a_skipped_frame_is_counted_and_judges_nothing(worker: Worker) -> None:
    worker.judge(make_frame(0, 0.0))
    result = worker.judge(Frame("s", 1, 0, 0.04, None, SkipReason.DOPPLER))
    assert not result.used
    assert result.probabilities is None
    assert result.cam is None
    assert result.exam.used == 1
    assert result.exam.skipped == {"doppler": 1}


def test_heatmaps_come_at_their_rate_of_source_time(worker: Worker) -> None:
    with_cam = [
        index for index in range(50) if worker.judge(make_frame(index, index / 25)).cam is not None
    ]
    assert with_cam == list(range(0, 50, 5))


def test_no_heatmaps_when_asked_for_none() -> None:
    throttle = CamThrottle(0)
    assert not any(throttle.passes(index / 10) for index in range(20))
