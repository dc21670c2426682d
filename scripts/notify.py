"""What systemd is told of a service: that it is ready, how it stands, and that it lives."""

import contextlib
import os
import socket
import time
from collections.abc import Callable


class Notifier:
    """Speaks sd_notify(3) where systemd listens, and nothing anywhere else."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        """Take systemd's address out of the environment: no child of ours is to speak for us."""
        self._clock_s = clock_s
        self._address = os.environ.pop("NOTIFY_SOCKET", "")
        ours = os.environ.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        wanted = os.environ.pop("WATCHDOG_USEC", "0")
        period_s = int(wanted) / 1e6 if ours and wanted.isdecimal() else 0.0
        self._every_s = period_s / 3
        self._beaten_s = -self._every_s
        self._status = ""

    def ready(self) -> None:
        """Say that the service does what it was started for."""
        self._say("READY=1")

    def stopping(self) -> None:
        """Say that the end was asked for."""
        self._say("STOPPING=1")

    def beat(self, status: str) -> None:
        """Say that the session's own loop runs, three times a watchdog's period, and a new status.

        `status` is a word of the screen, as AI ON.
        """
        now_s = self._clock_s()
        if self._every_s and now_s - self._beaten_s >= self._every_s:
            self._beaten_s = now_s
            self._say("WATCHDOG=1")
        if status != self._status:
            self._status = status
            self._say(f"STATUS={status}")

    def _say(self, words: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        with (
            contextlib.suppress(
                OSError
            ),  # systemd is away, or does not listen: nothing waits for it
            socket.socket(socket.AF_UNIX, kind) as told,
        ):
            told.sendto(words.encode(), address)
