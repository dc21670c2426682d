"""What a live source is made of: the slot, the clock, the delays, the judgement of age."""

import itertools
import socket
import threading

import pytest

from neurosono.stream.sources.live.backlog import Backlog, Handling, MediaAge
from neurosono.stream.sources.live.clock import LiveClock
from neurosono.stream.sources.live.latest import Latest, SlotCounts
from neurosono.stream.sources.live.receiver import Receiver, listen_udp
from neurosono.stream.sources.live.reconnect import Backoff
from tests.support.commands import wait_until

SECOND_NS = 10**9


def test_the_newest_wins_and_the_others_are_counted() -> None:
    slot: Latest[int] = Latest()
    for number in range(5):
        slot.put(number)
    assert slot.take(0) == 4
    assert slot.take(0) is None
    slot.put(5)
    assert slot.counts == SlotCounts(put=6, taken=1, overrun=4, waiting=1)
    slot.close()


def test_a_taker_is_woken_by_news_of_another_kind() -> None:
    slot: Latest[int] = Latest()
    waker = threading.Timer(0.01, slot.wake)
    waker.start()
    assert slot.take(60) is None
    waker.join()
    slot.close()


def test_delays_double_up_to_a_cap() -> None:
    backoff = Backoff(first_s=0.25, longest_s=3)
    assert [backoff.fail(0) for _ in range(6)] == [0.25, 0.5, 1, 2, 3, 3]
    for _ in range(2000):
        assert backoff.fail(0) == 3


def test_delays_begin_anew_after_a_good_connection_only() -> None:
    backoff = Backoff(first_s=1, longest_s=100, settled_s=10)
    assert [backoff.fail(0), backoff.fail(0)] == [1, 2]
    backoff.succeed(5)
    backoff.succeed(9)
    assert backoff.fail(14.9) == 4  # it held 9.9 s
    backoff.succeed(20)
    assert backoff.fail(30) == 1


def test_delays_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="rise from over 0"):
        Backoff(first_s=2, longest_s=1)


def run_clock(samples: list[tuple[float | None, float]]) -> tuple[list[float], int, int]:
    """Stamp (raw_s, received_s) pairs; returns times, repairs and jumps."""
    clock, times, jumps = LiveClock(), [], 0
    for raw_s, received_s in samples:
        time_s, jump = clock.stamp(raw_s, int(received_s * SECOND_NS))
        times.append(round(time_s, 6))
        jumps += jump is not None
    return times, clock.repaired, jumps


def test_the_senders_clock_is_followed_while_it_rises() -> None:
    times, repaired, jumps = run_clock([(100, 5), (100.04, 5.09), (100.08, 5.09), (107, 12)])
    assert times == [0, 0.04, 0.08, 7]
    assert (repaired, jumps) == (0, 0)


@pytest.mark.parametrize("wrong_s", [50.0, 100.08, 111.0, -1e6, 1e9])
def test_a_jump_is_bridged_by_the_time_that_went_by(wrong_s: float) -> None:
    samples: list[tuple[float | None, float]] = [(100, 0), (100.04, 0.04), (100.08, 0.08)]
    samples += [(wrong_s, 0.13), (wrong_s + 0.04, 0.17)]
    times, repaired, jumps = run_clock(samples)
    assert times == [0, 0.04, 0.08, 0.13, 0.17]
    assert (repaired, jumps) == (1, 1)


def test_a_long_pause_of_sender_and_clock_alike_is_no_jump() -> None:
    times, repaired, _ = run_clock([(1, 1), (31, 31)])
    assert times == [0, 30]
    assert repaired == 0


def test_a_missing_time_is_the_time_that_went_by() -> None:
    times, repaired, jumps = run_clock([(None, 3), (None, 3.5), (float("nan"), 3.5), (7, 4)])
    assert times == [0, 0.5, 0.501, 1.001]
    assert (repaired, jumps) == (3, 0)


def test_a_new_connection_goes_on_where_time_is_now() -> None:
    clock = LiveClock()
    clock.stamp(1000, 0)
    clock.begin()
    assert clock.stamp(7, 20 * SECOND_NS) == (20, None)
    assert clock.stamp(7.5, 20 * SECOND_NS) == (20.5, None)


def test_times_rise_whatever_comes() -> None:
    raws = itertools.cycle([5.0, None, -3.0, 5.0, 1e12, 4.9, float("inf"), 5.0])
    times, _, _ = run_clock([(next(raws), n // 3 / 100) for n in range(500)])
    assert all(late > early for early, late in itertools.pairwise(times))


def test_late_packets_are_decoded_and_far_late_ones_dropped_up_to_a_key_picture() -> None:
    backlog = Backlog(late_ms=100, far_behind_ms=500)
    steps = [
        (5, True, False, Handling.SHOW),
        (150, True, False, Handling.DECODE),
        (90, True, False, Handling.SHOW),
        (600, True, False, Handling.DROP),
        (600, True, True, Handling.DROP),  # old itself
        (300, True, False, Handling.DROP),  # builds on what was dropped
        (90, False, False, Handling.DROP),
        (250, True, True, Handling.DECODE),
        (80, True, False, Handling.SHOW),
        (900, False, False, Handling.SHOW),  # old, but nothing newer is here
    ]
    for age_ms, is_followed, alone, expected in steps:
        verdict = backlog.judge(
            age_ms, is_followed=is_followed, stands_alone=lambda alone=alone: alone
        )
        assert verdict is expected


def ages(samples: list[tuple[float, float, float]]) -> list[float]:
    """Measure (media_s, asked_s, now_s) triples of a 10 Hz stream; ages in ms."""
    measure = MediaAge(0.1)
    return [
        round(measure.measure_ms(m, int(a * SECOND_NS), int(n * SECOND_NS))) for m, a, n in samples
    ]


def test_packets_that_pile_up_grow_old() -> None:
    # Each takes 0.15 s to deal with and comes every 0.1 s, so nobody waits for the next.
    piling = [(n * 0.1, 100 + n * 0.15, 100 + n * 0.15) for n in range(5)]
    assert ages(piling) == [0, 50, 100, 150, 200]


def test_a_sender_with_a_slow_clock_is_no_backlog() -> None:
    # Its stamps say 0.1 s, its pictures come every 0.2 s, and we wait for each.
    waiting = [(n * 0.1, 100 + n * 0.2, 100.19 + n * 0.2) for n in range(50)]
    assert set(ages(waiting)) == {0}


def test_bytes_know_when_they_came() -> None:
    receiver = Receiver(listen_udp("127.0.0.1", 0), timeout_s=2)
    port = receiver._socket.getsockname()[1]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"a" * 100, ("127.0.0.1", port))
        first = receiver.read(60) + receiver.read(60)
        sender.sendto(b"b" * 10, ("127.0.0.1", port))
        second = receiver.read(60)
    assert (first, second) == (b"a" * 100, b"b" * 10)
    times = [receiver.arrived_ns(position) for position in (0, 59, 60, 99, 100, 109)]
    assert times[0] == times[1] == times[2] == times[3] < times[4] == times[5]
    receiver.timeout_s = 0.01
    assert receiver.read(1) == b""
    assert isinstance(receiver.error, TimeoutError)
    receiver.close()
    assert receiver.read(1) == b""


def test_what_nobody_reads_is_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neurosono.stream.sources.live.receiver.MOST_WAITING_BYTES", 100)
    receiver = Receiver(listen_udp("127.0.0.1", 0), timeout_s=2)
    port = receiver._socket.getsockname()[1]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"a" * 60, ("127.0.0.1", port))
        wait_until(lambda: receiver.waiting_bytes == 60)
        sender.sendto(b"a" * 60, ("127.0.0.1", port))
        wait_until(lambda: receiver.lost_bytes == 60)
        sender.sendto(b"a" * 60, ("127.0.0.1", port))
        wait_until(lambda: receiver.lost_bytes == 120)
    receiver.close()
