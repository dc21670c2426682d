"""When the AI is on, off and on again: at once after a start or pause, steadily after lateness."""

from collections.abc import Callable, Sequence

import pytest

from neurosono.engine.contracts.frame import SkipReason
from neurosono.stream.view.reading import AiState
from neurosono.stream.view.standing import HELD_MS, Standing

MS = 1_000_000
STEP_MS = 10
FRAME_MS = 40


class Engine:
    """An engine that judges the newest frame, on a clock of its own; all others are passed over."""

    def __init__(self) -> None:
        self.standing = Standing(realtime=True)
        self.now_ms = self.seq = 0
        self.said: list[tuple[int, AiState]] = []
        self._busy: tuple[int, int, int] | None = None
        self._waiting: dict[int, int] = {}

    def run(self, until_ms: int, takes_ms: Callable[[int], int], pictures: bool = True) -> None:
        """Go on; `takes_ms` is how long an answer takes that begins at a time."""
        while self.now_ms < until_ms:
            if pictures and self.now_ms % FRAME_MS == 0:
                self.standing.expect(self.seq, self.now_ms * MS)
                self._waiting[self.seq] = self.now_ms
                self.seq += 1
            self._answer(takes_ms)
            ai, _ = self.standing.judge(self.now_ms * MS)
            if not self.said or self.said[-1][1] is not ai:
                self.said.append((self.now_ms, ai))
            self.now_ms += STEP_MS

    def _answer(self, takes_ms: Callable[[int], int]) -> None:
        if self._busy is not None and self.now_ms >= self._busy[2]:
            self.standing.answer(self._busy[0], self._busy[1] * MS, None)
            self._busy = None
        if self._busy is None and self._waiting:
            *passed, newest = self._waiting.items()
            for seq, at_ms in passed:
                self.standing.answer(seq, at_ms * MS, SkipReason.SUPERSEDED)
            self._busy = (*newest, self.now_ms + takes_ms(self.now_ms))
            self._waiting = {}

    def changes(self, since_ms: int = 0) -> list[tuple[int, AiState]]:
        return [each for each in self.said if each[0] >= since_ms]


@pytest.fixture
def engine() -> Engine:
    """Return one that has answered in time for a second."""
    begun = Engine()
    begun.standing.turn_on("openvino")
    begun.run(1000, lambda _: 30)
    assert begun.said == [(0, AiState.ON)]
    return begun


def alternate(times_ms: Sequence[int]) -> Callable[[int], int]:
    count = iter(range(10_000))
    return lambda _: times_ms[next(count) % len(times_ms)]


@pytest.mark.parametrize("takes", [(520, 300), (300,), (450, 30, 30, 30, 30)])
def test_an_engine_that_is_late_again_and_again_is_off_once(
    takes: tuple[int, ...], engine: Engine
) -> None:
    engine.run(11_000, alternate(takes))
    off, *rest = engine.changes(1000)
    assert off[1] is AiState.OFF
    assert off[0] <= 1000 + max(takes) + 500
    assert rest == []
    engine.run(14_000, lambda _: 30)
    (on,) = engine.changes(11_000)
    assert on[1] is AiState.ON
    assert HELD_MS <= on[0] - 11_000 <= HELD_MS + 700


def test_an_answer_that_is_late_turns_the_ai_off_at_once_and_on_after_a_second(
    engine: Engine,
) -> None:
    engine.run(1010, lambda _: 600)  # 600 ms, once
    engine.run(4000, lambda _: 30)
    off, on = engine.changes(1010)
    assert off == (1410, AiState.OFF)
    assert on[1] is AiState.ON
    assert HELD_MS <= on[0] - 1620 < HELD_MS + 100


def test_lateness_while_it_is_held_begins_the_second_anew(engine: Engine) -> None:
    engine.run(1010, lambda _: 600)
    engine.run(2000, lambda _: 30)
    engine.run(2010, lambda _: 600)
    engine.run(5000, lambda _: 30)
    assert [ai for _, ai in engine.changes(1010)] == [AiState.OFF, AiState.ON]
    assert engine.said[-1][0] > 2600 + HELD_MS - 200


@pytest.mark.parametrize("off_ms", [10, 480, 2000])
def test_an_engine_that_was_started_again_is_on_at_once(off_ms: int, engine: Engine) -> None:
    engine.run(1010, lambda _: 600)
    engine.run(1500, lambda _: 30)
    assert engine.said[-1][1] is AiState.OFF, "late, and then killed"
    engine.standing.turn_off("it died")
    engine.run(1500 + off_ms, lambda _: 10**6, pictures=False)
    engine.standing.turn_on("openvino")
    again_ms = engine.now_ms
    engine._busy, engine._waiting = None, {}
    engine.run(again_ms + 500, lambda _: 30)
    assert engine.said[-1][1] is AiState.ON
    assert engine.said[-1][0] <= again_ms + 80


def test_frames_from_before_an_engine_was_ready_do_not_hold_its_start() -> None:
    engine = Engine()
    engine.run(2000, lambda _: 2050)  # its first frame waits until it is ready
    assert engine.said == [(0, AiState.STARTING)]
    engine.standing.turn_on("openvino")
    engine.run(3000, lambda _: 30)
    assert engine.said[-1][1] is AiState.ON
    assert engine.said[-1][0] <= 2150


def test_a_pause_of_the_source_holds_nothing(engine: Engine) -> None:
    engine.run(2600, lambda _: 30, pictures=False)
    assert [ai for _, ai in engine.changes(1000)] == [AiState.OFF]
    engine.run(3000, lambda _: 60)
    assert engine.said[-1][1] is AiState.ON
    assert engine.said[-1][0] <= 2600 + 140


def test_what_a_killed_capture_process_took_along_holds_nothing(engine: Engine) -> None:
    engine.standing.expect(engine.seq, engine.now_ms * MS)  # shown, and never sent
    engine.seq += 1000
    engine.standing.excuse()
    engine.run(1520, lambda _: 30, pictures=False)
    assert engine.said[-1][1] is AiState.OFF
    engine.run(2000, lambda _: 30)
    assert engine.said[-1][1] is AiState.ON
    assert engine.said[-1][0] <= 1600


def test_a_replay_that_waits_for_each_answer_is_never_late() -> None:
    standing = Standing(realtime=False)
    standing.turn_on("openvino")
    standing.expect(0, 0)
    assert standing.judge(10_000 * MS)[0] is AiState.ON
