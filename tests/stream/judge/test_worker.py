"""The engine process's work, on the real engine."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from neurosono.engine.backends import Backend
from neurosono.engine.bundle import Bundle
from neurosono.engine.choice import open_engine
from neurosono.engine.contracts.architecture import count_features
from neurosono.engine.contracts.frame import Frame, SkipReason
from neurosono.engine.contracts.result import ExamState
from neurosono.engine.exam.exam import Exam
from neurosono.engine.familiarity import Familiarity, place
from neurosono.engine.gate import Gate
from neurosono.engine.gate_folder import add_gate
from neurosono.stream.judge.worker import CamThrottle, Worker
from tests.support.gates import make_gate


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


def test_a_warm_up_leaves_no_trace_in_the_exam(worker: Worker) -> None:
    worker.warm_up(64)
    assert worker.exam.snapshot().used == 0
    first = worker.judge(make_frame(0, 0.0))
    assert first.exam.used == 1
    assert first.cam is not None, "the first heatmap is for the first frame"


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


def open_gated(root: Path, tmp_path: Path, threshold: float) -> Worker:
    add_gate(
        shutil.copytree(root, tmp_path / "gated"), make_gate(tmp_path / "gate", threshold=threshold)
    )
    bundle = Bundle.load(tmp_path / "gated")
    exam = Exam(bundle.manifest.labels, bundle.calibration)
    return Worker(open_engine(bundle).backend, exam, 5, Gate.open(bundle))


def test_what_the_gate_lets_by_is_judged_as_without_it(
    worker: Worker, bundle_root: Path, tmp_path: Path
) -> None:
    gated = open_gated(bundle_root, tmp_path, threshold=0.001)
    with_gate, without = gated.judge(make_frame(0, 0.0)), worker.judge(make_frame(0, 0.0))
    assert with_gate.probabilities is not None
    assert np.array_equal(with_gate.probabilities, without.probabilities)
    assert with_gate.gate is not None
    assert with_gate.unfamiliarity is not None
    assert with_gate.plane is not None
    assert "gate" in with_gate.stage_ms
    assert (without.gate, without.unfamiliarity, without.plane) == (None, None, None)
    assert "gate" not in without.stage_ms


def test_what_the_gate_refuses_never_reaches_the_ensemble(
    bundle_root: Path, tmp_path: Path
) -> None:
    gated = open_gated(bundle_root, tmp_path, threshold=0.999)
    result = gated.judge(make_frame(0, 0.0))
    assert result.skip_reason is SkipReason.NOT_HEAD_OR_SPINE
    assert result.probabilities is None
    assert result.cam is None
    assert result.plane is None
    assert result.gate is not None
    assert "network" not in result.stage_ms
    assert result.exam.skipped == {"not-head-or-spine": 1}
    assert result.exam.used == 0


def test_what_is_skipped_before_it_is_not_asked_of_the_gate(
    bundle_root: Path, tmp_path: Path
) -> None:
    gated = open_gated(bundle_root, tmp_path, threshold=0.001)
    result = gated.judge(Frame("s", 1, 0, 0.04, None, SkipReason.DOPPLER))
    assert (result.gate, result.skip_reason) == (None, SkipReason.DOPPLER)


def test_what_is_unlike_the_members_training_adds_nothing_and_is_told(bundle_root: Path) -> None:
    bundle = Bundle.load(bundle_root)
    backend = open_engine(bundle).backend
    exam = Exam(bundle.manifest.labels, bundle.calibration)
    early, _ = count_features(bundle.manifest.architecture, bundle.manifest.members[0].width)
    worker = Worker(backend, exam, 5, familiarity=make_familiarity(backend, early))
    known = worker.judge(make_frame(0, 0.0))
    flat = np.full((64, 64), 255, dtype=np.uint8)
    results = [worker.judge(Frame("s", seq, 0, seq / 5, flat)) for seq in (1, 2)]
    assert known.used
    assert known.strangeness is not None
    assert known.strangeness < 1
    for result in results:
        assert result.skip_reason is SkipReason.UNFAMILIAR_TO_MODEL
        assert result.strangeness is not None
        assert result.strangeness > 1
        assert result.probabilities is result.member_probabilities is result.cam is None
        assert "network" in result.stage_ms
    assert results[0].exam.state is not ExamState.UNFAMILIAR
    assert results[1].exam.state is ExamState.UNFAMILIAR
    assert results[1].exam.skipped == {"unfamiliar-to-model": 2}


def make_familiarity(backend: Backend, early: int) -> Familiarity:
    """Return what is familiar to an ensemble that knows noise and nothing else."""
    noise = np.random.default_rng(1).integers(0, 256, (30, 64, 64), dtype=np.uint8)
    placed = place(backend.infer(noise).features, early)
    centre, scale = placed.mean(0), placed.std(0) + 0.05
    pair = np.tile([1.0, 0.0], (len(centre), 1))
    return Familiarity(centre, scale, np.zeros_like(centre), pair, pair + 9)
