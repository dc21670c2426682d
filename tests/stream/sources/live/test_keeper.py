"""A driver that never answers: it is left alone, said so, and after a while given up."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from neurosono.stream.journal.words import check_event
from neurosono.stream.sources.live import keeper
from neurosono.stream.sources.live.feed import FeedInfo, Shot
from neurosono.stream.sources.live.keeper import MOST_STUCK, Keeper
from neurosono.stream.sources.live.reconnect import Backoff
from tests.support.commands import wait_until


class HangingFeed:
    """Waits in its driver, whoever interrupts it, until the test is over."""

    def __init__(self, over: threading.Event) -> None:
        self._over, self.progress_ns = over, time.monotonic_ns()

    def open(self) -> FeedInfo:
        self._over.wait()
        raise OSError("over")

    def shots(self) -> Iterator[Shot]:
        yield from ()

    def interrupt(self) -> None: ...
    def close(self) -> None: ...


def test_threads_that_hang_in_a_driver_are_told_and_left(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OVERDUE_S", "JOIN_S"):
        monkeypatch.setattr(keeper, name, 0.0)
    over, said = threading.Event(), list[tuple[str, dict[str, Any]]]()
    held = Keeper(
        lambda: HangingFeed(over),
        on_open=lambda _: None,
        on_shot=lambda _: None,
        on_event=lambda name, fields: said.append((name, fields)),
        backoff=Backoff(0.001, 0.001),
        open_timeout_s=0.01,
        read_timeout_s=0.01,
    )
    try:
        held.start()
        wait_until(lambda: held.failure is not None)
        held.stop()
        held.join()
        assert "hang in its driver" in (held.failure or "")
        assert [name for name, _ in said].count("timeout") == MOST_STUCK
        assert said[-1] == ("stuck", check_event("stuck", {"threads": MOST_STUCK}))
    finally:
        over.set()
        wait_until(lambda: not any(each.name == "live-reader" for each in threading.enumerate()))
