"""Keeps a live source connected: one thread reads, another watches it and tries again."""

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import av

from neurosono.engine.contracts.errors import SourceBrokenError, SourceError
from neurosono.stream.sources.files.frame_decoding import explain
from neurosono.stream.sources.live.feed import Feed, FeedInfo, Shot
from neurosono.stream.sources.live.reconnect import Backoff

WATCH_S = 0.05
"""How often the watching thread looks at the reading one."""

OVERDUE_S = 1.0
"""FFmpeg gets so much longer than its timeout to end a wait by itself, before it is left alone."""

TIMEOUT_SHARE = 0.9
"""An error after this share of the timeout is taken for one: FFmpeg counts from its last packet,
we from our last picture."""

MOST_STUCK = 3
"""So many threads may hang inside FFmpeg or a driver; then only a new process helps."""

JOIN_S = 2.0
"""How long closing waits for a reading thread beyond the timeouts that should have ended it."""

_MISSING_PARTS = (
    av.error.ProtocolNotFoundError,
    av.error.DemuxerNotFoundError,
    av.error.DecoderNotFoundError,
)


class Reading:
    """One connection in a thread of its own; once `abandoned`, nothing it does is heard."""

    def __init__(
        self, feed: Feed, on_open: Callable[[FeedInfo], None], on_shot: Callable[[Shot], None]
    ) -> None:
        self._feed, self._on_open, self._on_shot = feed, on_open, on_shot
        self._lock = threading.Lock()
        self._is_abandoned = False
        self.is_open = False
        self.shots = 0
        self.error: Exception | None = None
        self.ended_after_s = 0.0
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._run, name="live-reader")
        self.begun_ns = time.monotonic_ns()
        self.thread.start()

    def silent_s(self) -> float:
        """Return for how long nothing has come."""
        last_ns = max(self._feed.progress_ns, self.begun_ns)
        return (time.monotonic_ns() - last_ns) / 1e9

    def abandon(self) -> None:
        """Hear no more of it, and ask it to end."""
        with self._lock:
            self._is_abandoned = True
        self._feed.interrupt()

    def _run(self) -> None:
        try:
            info = self._feed.open()
            if not self._pass_on(lambda: self._on_open(info)):
                return
            self.begun_ns = time.monotonic_ns()
            self.is_open = True
            for shot in self._feed.shots():
                if not self._pass_on(partial(self._on_shot, shot)):
                    return
                self.shots += 1
        except (OSError, ValueError, av.FFmpegError, SourceError, SourceBrokenError) as error:
            self.error = error
        finally:
            self.ended_after_s = self.silent_s()
            self._feed.close()
            self.done.set()

    def _pass_on(self, tell: Callable[[], None]) -> bool:
        """Tell what came, unless nobody hears this connection any more; returns whether it did."""
        with self._lock:
            if not self._is_abandoned:
                tell()
            return not self._is_abandoned


class Keeper:
    """Connects, watches, and connects again with growing delays until it is stopped.

    `failure` says why it gave up for good, and is None while it has not. With `once` the first
    connection is the only one: `played` says that it ended well.
    """

    def __init__(
        self,
        connect: Callable[[], Feed],
        *,
        on_open: Callable[[FeedInfo], None],
        on_shot: Callable[[Shot], None],
        on_event: Callable[[str, dict[str, Any]], None],
        backoff: Backoff,
        open_timeout_s: float,
        read_timeout_s: float,
        explain_error: Callable[[Exception], str] = explain,
        once: bool = False,
    ) -> None:
        self._once, self.played = once, False
        self._connect, self._on_open, self._on_shot = connect, on_open, on_shot
        self._on_event, self._backoff = on_event, backoff
        self._open_timeout_s, self._read_timeout_s = open_timeout_s, read_timeout_s
        self._explain_error = explain_error
        self._stopping = threading.Event()
        self._stuck: list[Reading] = []
        self._thread = threading.Thread(target=self._keep, name="live-keeper")
        self.failure: str | None = None

    def start(self) -> None:
        """Begin, if it has not begun; does nothing once stopped."""
        if not self._stopping.is_set() and self._thread.ident is None:
            self._thread.start()

    def stop(self) -> None:
        """Ask all threads to end."""
        self._stopping.set()

    def join(self) -> None:
        """Wait until the threads have ended; one that hangs in a driver is told and left."""
        if self._thread.ident is None:
            return
        self._thread.join()
        deadline_s = time.monotonic() + max(self._open_timeout_s, self._read_timeout_s) + JOIN_S
        for reading in self._stuck:
            reading.thread.join(max(0.0, deadline_s - time.monotonic()))
        stuck = sum(reading.thread.is_alive() for reading in self._stuck)
        if stuck:
            self._on_event("stuck", {"threads": stuck})

    def _keep(self) -> None:
        while not self._stopping.is_set():
            reading = Reading(self._connect(), self._on_open, self._on_shot)
            reason = self._watch(reading)
            if self._stopping.is_set():
                return
            if self._once and reading.error is None and reading.done.is_set():
                self.played = True
                self._on_event("played", {})
                return
            self.failure = (
                str(reading.error or reason) if self._once else self._find_failure(reading)
            )
            if self.failure is not None:
                self._on_event("lost", {"reason": self.failure, "was_open": reading.is_open})
                return
            self._on_event("lost", {"reason": reason, "was_open": reading.is_open})
            delay_s = self._backoff.fail(time.monotonic())
            fields = {"attempt": self._backoff.attempt, "delay_s": delay_s}
            self._on_event("reconnecting", fields)
            self._stopping.wait(delay_s)

    def _find_failure(self, reading: Reading) -> str | None:
        """Return why trying again is of no use, or None."""
        if isinstance(reading.error, _MISSING_PARTS):
            return (
                f"this FFmpeg was built without what the live source needs "
                f"({explain(reading.error)}); let another program turn it into UDP, or install "
                "PyAV from source against a full FFmpeg"
            )
        self._stuck = [each for each in self._stuck if each.thread.is_alive()]
        if len(self._stuck) >= MOST_STUCK:
            return (
                f"{len(self._stuck)} attempts to read the live source hang in its driver; "
                "expected an answer or an error, so plug it in again and start anew"
            )
        return None

    def _watch(self, reading: Reading) -> str:
        """Wait until a connection ends or goes silent; returns why."""
        while not reading.done.wait(WATCH_S):
            if reading.shots:
                self._backoff.succeed(time.monotonic())
            silent_s = reading.silent_s()
            if self._stopping.is_set() or silent_s > self._limit_s(reading) + OVERDUE_S:
                reading.abandon()
                self._stuck.append(reading)
                if not self._stopping.is_set():
                    self._tell_timeout(reading, silent_s, hangs=True)
                return f"it hangs: no answer for {silent_s:.1f} s"
        reading.thread.join()
        return self._explain_end(reading)

    def _explain_end(self, reading: Reading) -> str:
        error, after_s = reading.error, reading.ended_after_s
        if error is None:
            return "the sender ended the stream"
        # FFmpeg reports some of its timeouts as invalid data: what counts is how long it was still.
        is_late = after_s >= TIMEOUT_SHARE * self._limit_s(reading)
        if is_late or isinstance(error, (TimeoutError, av.error.ExitError)):
            # At its end FFmpeg gives out a last picture that it had held: no sign of life.
            after_s = max(after_s, self._limit_s(reading))
            self._tell_timeout(reading, after_s, hangs=False)
            return f"nothing came for {after_s:.1f} s"
        return self._explain_error(error)

    def _limit_s(self, reading: Reading) -> float:
        return self._read_timeout_s if reading.is_open else self._open_timeout_s

    def _tell_timeout(self, reading: Reading, after_s: float, *, hangs: bool) -> None:
        stage = "read" if reading.is_open else "open"
        self._on_event("timeout", {"stage": stage, "after_s": round(after_s, 2), "hangs": hangs})
