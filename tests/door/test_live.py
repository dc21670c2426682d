"""A live session that a program follows, on real processes."""

import gc
import itertools
import os
import signal
from pathlib import Path

import psutil
import pytest

import neurosono
from tests.support.commands import wait_until
from tests.support.structures import make_structures_bundle

SOURCE = "loop:phantom:normal?seed=5&seconds=4"


def children() -> list[psutil.Process]:
    """Return the processes of sessions; a server from which an archive forks names modules, too."""
    return [
        each
        for each in psutil.Process().children()
        if any(word.startswith("neurosono.stream.") for word in each.cmdline())
    ]


def next_result(moments: neurosono.LiveResults) -> neurosono.Moment:
    """Return the next moment that has a result."""
    return next(moment for moment in moments if moment.result is not None)


def test_results_come_with_the_frames_that_they_are_of(bundle_root: Path) -> None:
    with neurosono.live(SOURCE, bundle_root, cam_hz=1000) as moments:
        seen = list(itertools.islice((each for each in moments if each.result), 20))
        assert len(children()) in (2, 3), "capture and engine, and a spare of the one"
    assert not children()
    painted = 0
    for moment in seen:
        assert moment.ai is neurosono.AiState.ON
        assert moment.result is not None
        if moment.picture is not None:
            assert moment.picture.seq == moment.result.seq
            painted += moment.result.paint(moment.picture) is not None
    assert painted
    numbers = [moment.result.seq for moment in seen if moment.result is not None]
    assert numbers == sorted(set(numbers))
    assert moments.frames is not None
    assert moments.frames["sampled"] == moments.frames["used"] + sum(
        moments.frames["skipped"].values()
    )
    assert list(moments) == [], "what is closed has no more moments"


def test_readings_come_with_each_moment(bundle_root: Path, tmp_path: Path) -> None:
    reader = make_structures_bundle(tmp_path / "reader")
    with neurosono.live(SOURCE, bundle_root, also=[reader]) as moments:
        read = next(
            moment.readings["structures"]
            for moment in moments
            if (moment.readings["structures"]["exam"] or {}).get("frames", {}).get("used")
        )
    assert read["ai"] == "AI ON"
    assert read["exam"]["frames"]["used"] > 0
    assert not children()


def test_a_dead_engine_is_ai_off_and_comes_again(bundle_root: Path) -> None:
    with neurosono.live(SOURCE, bundle_root) as moments:
        before = next_result(moments).result
        assert before is not None
        engine = next(
            each for each in children() if "neurosono.stream.judge.worker" in each.cmdline()
        )
        os.kill(engine.pid, signal.SIGKILL)
        off = next(moment for moment in moments if moment.result is None)
        assert off.ai is neurosono.AiState.OFF
        assert "engine" in off.reason
        after = next_result(moments).result
        assert after is not None
        assert after.exam.used + sum(after.exam.skipped.values()) >= before.exam.used


def test_whoever_lets_go_ends_the_processes(bundle_root: Path) -> None:
    def follow() -> None:
        for moment in neurosono.live(SOURCE, bundle_root):
            if moment.result is not None:
                raise ValueError("a fault of the caller's")

    with pytest.raises(ValueError, match="a fault"):
        follow()
    gc.collect()
    wait_until(lambda: not children())


def test_what_a_slow_reader_has_no_time_for_is_counted(bundle_root: Path) -> None:
    with neurosono.live(SOURCE, bundle_root) as moments:
        first = next_result(moments).result
        assert first is not None
        wait_until(lambda: moments.missed > 5)
        later = next_result(moments).result
    assert later is not None
    assert later.seq > first.seq


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("loop:no/such.mp4", "no/such.mp4"),
        ("/dev/no-such-card", "no-such-card"),
        ("", "live source"),
    ],
)
def test_what_can_never_work_is_refused_at_once(source: str, words: str, bundle_root: Path) -> None:
    with pytest.raises(neurosono.InputError, match=words):
        neurosono.live(source, bundle_root)
    assert not children()


def test_an_engine_that_is_not_there_is_told_to_the_reader(bundle_root: Path) -> None:
    moments = neurosono.live(SOURCE, bundle_root, engine="tensorrt")
    with pytest.raises(neurosono.InputError, match="no engine tensorrt"):
        list(moments)
    assert list(moments) == []
    wait_until(lambda: not children())
