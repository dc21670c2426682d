"""A reader may be ahead of the first engine: what it says of the next exam waits for that one."""

from pathlib import Path

import pytest

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.frame import SkipReason
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.stream.session.beside import MOST_AHEAD, Beside
from neurosono.stream.view.standing import Standing
from tests.support.structures import make_structures_bundle


@pytest.fixture
def reader(tmp_path: Path) -> Beside:
    root = make_structures_bundle(tmp_path / "bundle")
    return Beside("structures", Bundle.load(root, kind=None), Standing(True))


def say(seq: int) -> ReaderResult:
    return ReaderResult(
        stream_id="s",
        seq=seq,
        captured_ns=seq,
        pts_s=seq / 25,
        reader="structures",
        said={"seq": seq},
    )


def test_nothing_is_ahead_before_another_exam_was_begun(reader: Beside) -> None:
    assert not reader.is_ahead(say(10_000))


def test_each_reading_waits_for_its_own_exam(reader: Beside) -> None:
    for first_seq in (10, 20):
        reader.run_ahead(first_seq)
    assert not reader.is_ahead(say(9))
    for seq in (10, 15, 20, 21):
        assert reader.is_ahead(say(seq))
        assert reader.hold(say(seq)) is None
    assert [each.seq for each in reader.release(10)] == [10, 15]
    assert not reader.is_ahead(say(19))
    assert reader.is_ahead(say(20))
    assert [each.seq for each in reader.release(20)] == [20, 21]
    assert not reader.is_ahead(say(22))
    assert not reader.ahead


def test_of_many_that_wait_the_oldest_are_passed_over_and_counted(reader: Beside) -> None:
    reader.run_ahead(1)
    passed = [reader.hold(say(seq)) for seq in range(1, MOST_AHEAD + 3)]
    left = [each for each in passed if each is not None]
    assert [each.seq for each in left] == [1, 2]
    assert all(each.said is None for each in left)
    assert {each.skip_reason for each in left} == {SkipReason.SUPERSEDED}


def test_of_an_exam_that_never_begins_nothing_enters_another(reader: Beside) -> None:
    reader.run_ahead(5)
    reader.hold(say(6))
    assert [each.skip_reason for each in reader.give_up()] == [SkipReason.SUPERSEDED]
    assert not reader.is_ahead(say(7))


def test_a_word_of_an_exam_that_runs_already_holds_nothing_back(reader: Beside) -> None:
    reader.release(30)
    reader.run_ahead(30)
    assert not reader.is_ahead(say(31))
