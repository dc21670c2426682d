"""A student and its ensemble in one engine process, on real engines."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from neurosono.engine.backends import Backend, Inference
from neurosono.engine.bundle import Bundle
from neurosono.engine.choice import Choice, open_engine
from neurosono.engine.contracts.errors import BundleError, ServerAwayError
from neurosono.engine.contracts.frame import Frame, SkipReason
from neurosono.engine.contracts.labels import DEFAULT_LABELS
from neurosono.engine.contracts.pair import Carried, Carrier
from neurosono.engine.contracts.result import Result
from neurosono.engine.exam.exam import Exam
from neurosono.engine.exam.pair import open_exam
from neurosono.stream.journal.journal import Journal
from neurosono.stream.journal.rebuild import rebuild_exam, verify_exam
from neurosono.stream.journal.words import describe_bundle
from neurosono.stream.judge.second import AtOnce, Beside
from neurosono.stream.judge.worker import Worker
from neurosono.stream.processes.wire import pack, unpack
from tests.support.commands import wait_until
from tests.support.records import alter

CLASSES = len(DEFAULT_LABELS)
STREAM = "0123456789abcdef" * 2
WAIT_S = 120.0


class Turnstile:
    """A real engine that answers only when the test lets it: so that the test says what is late."""

    name = "openvino"

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.precision, self.members = backend.precision, backend.members
        self.begun, self.let = threading.Semaphore(0), threading.Semaphore(0)
        self.seen: list[np.ndarray] = []
        self.broken = self.away = False

    def infer(self, grey: np.ndarray) -> Inference:
        """Judge once the test lets it; a broken one raises what OpenVINO raises."""
        self.seen.append(grey[0])
        self.begun.release()
        assert self.let.acquire(timeout=WAIT_S)
        if self.broken:
            raise RuntimeError("the network could not be run")
        if self.away:
            raise ServerAwayError("the inference server gave no answer")
        return self._backend.infer(grey)


@pytest.fixture(scope="module")
def pair(bundle_root: Path, student_root: Path) -> tuple[Bundle, Bundle]:
    return Bundle.load(bundle_root), Bundle.load(student_root)


@pytest.fixture
def turnstile(pair: tuple[Bundle, Bundle]) -> Turnstile:
    return Turnstile(open_engine(pair[0], threads=1).backend)


@pytest.fixture
def worker(pair: tuple[Bundle, Bundle], turnstile: Turnstile) -> Iterator[Worker]:
    """Yield what judges by the student, with the ensemble behind the turnstile beside it."""
    second = Beside(lambda: Choice(turnstile, "test"), CLASSES)
    yield Worker(open_engine(pair[1]).backend, open_exam(*pair), 5, None, second)
    second.close()
    turnstile.let.release(1000)
    for thread in threading.enumerate():
        if thread.name == "ensemble":
            thread.join(WAIT_S)
            assert not thread.is_alive()


def make_frame(seq: int) -> Frame:
    pixels = np.random.default_rng(seq).integers(0, 256, (64, 64), dtype=np.uint8)
    return Frame(STREAM, seq, 1000 + seq, seq / 25, pixels, None)


def hear(worker: Worker, seq: int) -> Result:
    """Send frames that are skipped until the ensemble's next answer comes with one."""
    skipped = Frame(STREAM, seq, 1000 + seq, seq / 25, None, SkipReason.FROZEN)

    def judge() -> Result | None:
        result = worker.judge(skipped)
        return None if result.ensemble is None else result

    found: Result = wait_until(judge, WAIT_S)
    return found


def enter(turnstile: Turnstile) -> None:
    assert turnstile.begun.acquire(timeout=WAIT_S)


def test_the_student_never_waits_and_the_newest_frame_wins(
    worker: Worker, turnstile: Turnstile, pair: tuple[Bundle, Bundle]
) -> None:
    worker.judge(make_frame(0))
    enter(turnstile)  # the ensemble is busy with frame 0, and stays so
    for seq in range(1, 8):
        result = worker.judge(make_frame(seq))
        assert result.used
        assert result.ensemble is None
        assert result.exam.used == seq + 1
    turnstile.let.release()
    first = hear(worker, 8).ensemble
    enter(turnstile)
    turnstile.let.release()
    second = hear(worker, 9).ensemble
    assert first is not None
    assert second is not None
    assert (first.seq, second.seq) == (0, 7)
    exact = open_engine(pair[0], threads=1).backend
    for answer in (first, second):
        pixels = make_frame(answer.seq).pixels
        assert pixels is not None
        expected = exact.infer(pixels[None]).probabilities[0]
        np.testing.assert_array_equal(answer.probabilities, expected)
    assert len(turnstile.seen) == 2  # nothing is judged twice, whatever time there is


def test_frames_that_are_skipped_never_reach_the_ensemble(
    worker: Worker, turnstile: Turnstile
) -> None:
    turnstile.let.release(100)
    worker.judge(Frame(STREAM, 0, 0, 0.0, None, SkipReason.DOPPLER))
    worker.judge(make_frame(1))
    answer = hear(worker, 2).ensemble
    assert answer is not None
    assert answer.seq == 1
    assert len(turnstile.seen) == 1


def test_a_server_that_is_away_for_a_while_costs_frames_and_not_the_ensemble(
    worker: Worker, turnstile: Turnstile
) -> None:
    turnstile.away = True
    worker.judge(make_frame(0))
    enter(turnstile)
    turnstile.let.release()
    worker.judge(make_frame(1))
    enter(turnstile)  # so the first is past
    turnstile.away = False
    turnstile.let.release()
    answer = hear(worker, 2).ensemble
    assert answer is not None
    assert (answer.seq, answer.probabilities is None) == (1, False)
    assert [event.name for event in worker.events()] == ["ensemble-ready"]


def test_an_ensemble_that_fails_leaves_the_student_going_and_says_so(
    worker: Worker, turnstile: Turnstile
) -> None:
    turnstile.let.release(100)
    for seq in range(0, 40, 2):
        worker.judge(make_frame(seq))
        carried = hear(worker, seq + 1).exam.carried
    assert carried is not None
    assert carried.by is Carrier.ENSEMBLE
    turnstile.broken = True
    worker.judge(make_frame(40))
    told = hear(worker, 41)
    assert told.ensemble is not None
    assert told.ensemble.probabilities is None
    result = worker.judge(make_frame(42))
    assert result.used
    assert result.exam.carried is not None
    assert result.exam.carried.by is Carrier.STUDENT
    assert result.exam.carried.failed
    events = {event.name: event.fields for event in worker.events()}
    assert events["ensemble-failed"]["error"] == "EngineFailedError"
    assert "could not be run" in events["ensemble-failed"]["message"]


def test_an_engine_that_does_not_open_is_told_and_costs_the_student_nothing(
    pair: tuple[Bundle, Bundle],
) -> None:
    def refuse() -> Choice:
        raise BundleError("the bundle has no engine")

    second = Beside(refuse, CLASSES)
    worker = Worker(open_engine(pair[1]).backend, open_exam(*pair), 5, None, second)
    assert hear(worker, 0).exam.carried == Carried(Carrier.STUDENT, failed=True)
    assert worker.judge(make_frame(1)).used
    assert [event.fields["error"] for event in worker.events()] == ["BundleError"]


def test_an_answer_of_the_exam_before_is_dropped(
    worker: Worker, turnstile: Turnstile, pair: tuple[Bundle, Bundle]
) -> None:
    worker.judge(make_frame(0))
    enter(turnstile)
    worker.begin_exam(open_exam(*pair))
    worker.judge(make_frame(1))
    turnstile.let.release(2)
    result = hear(worker, 2)
    assert result.ensemble is not None
    assert result.ensemble.seq == 1
    assert result.exam.carried is not None
    assert result.exam.carried.judged == 1


def test_without_a_clock_both_judge_every_frame(pair: tuple[Bundle, Bundle]) -> None:
    def judge_all() -> list[Result]:
        second = AtOnce(open_engine(pair[0]), CLASSES)
        worker = Worker(open_engine(pair[1]).backend, open_exam(*pair), 5, None, second)
        return [worker.judge(make_frame(seq)) for seq in range(12)]

    results = judge_all()
    assert [result.ensemble and result.ensemble.seq for result in results] == list(range(12))
    carried = results[-1].exam.carried
    assert carried is not None
    assert (carried.by, carried.judged) == (Carrier.ENSEMBLE, 12)
    alone = Exam(pair[0].manifest.labels, pair[0].calibration)
    for result in results:
        assert result.ensemble is not None
        assert result.ensemble.probabilities is not None
        alone.update(result.ensemble.probabilities)
    last = results[-1].exam.probabilities
    np.testing.assert_array_equal(last, alone.snapshot().probabilities)
    np.testing.assert_array_equal(last, judge_all()[-1].exam.probabilities)


def judge_with_late_answers(worker: Worker, turnstile: Turnstile) -> Iterator[Result]:
    """Yield every result, as it comes off the wire; at the end the ensemble fails."""
    turnstile.let.release(1000)
    heard = 0
    for seq in range(100_000):
        frozen = seq % 5 == 4
        turnstile.broken = heard >= 8
        frame = make_frame(seq)
        result = worker.judge(
            replace(frame, pixels=None, skip_reason=SkipReason.FROZEN) if frozen else frame
        )
        said = unpack(pack(result)).message
        assert isinstance(said, Result)
        yield said
        if result.ensemble is not None:
            heard += 1
            if result.ensemble.probabilities is None:
                return


def test_the_journal_gives_both_exams_back_bit_for_bit(
    pair: tuple[Bundle, Bundle], worker: Worker, turnstile: Turnstile, tmp_path: Path
) -> None:
    ensemble, student = pair
    path = tmp_path / "journal.sqlite"
    with Journal.open(path) as journal:
        exam = journal.begin(describe_bundle(ensemble, student))
        carriers = set()
        for result in judge_with_late_answers(worker, turnstile):
            exam.record(result)
            assert result.exam.carried is not None
            carriers.add((result.exam.carried.by, result.exam.carried.failed))
        assert carriers == {  # what the test rests on: it changed hands, and back
            *((Carrier.STUDENT, False), (Carrier.ENSEMBLE, False), (Carrier.STUDENT, True)),
        }
        rebuilt = rebuild_exam(journal, exam.exam_id, ensemble, student)
        assert rebuilt.to_json() == worker.exam.to_json()
        assert verify_exam(journal, exam.exam_id).equal
        assert verify_exam(journal, exam.exam_id, ensemble, student).equal
        with pytest.raises(BundleError, match="found no student"):
            rebuild_exam(journal, exam.exam_id, ensemble)
        with pytest.raises(BundleError, match="found student"):
            rebuild_exam(journal, exam.exam_id, ensemble, ensemble)
        with journal.read() as reader:
            kept = [each.result for each in reader.results(exam.exam_id)]
    said = [each for each in kept if each.ensemble and each.ensemble.probabilities is not None]
    alter(path, said[0].seq, lambda result: replace(result, ensemble=said[-1].ensemble))
    with Journal.open(path) as journal:
        assert not verify_exam(journal, exam.exam_id).equal
