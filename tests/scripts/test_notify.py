"""What systemd is told, by a socket as its own."""

import os
import socket
from pathlib import Path

import pytest

from neurosono.scripts.notify import Notifier


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(str(tmp_path / "notify"))
    listening.setblocking(False)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    return listening


def hear(listening: socket.socket) -> list[str]:
    heard = []
    while True:
        try:
            heard.append(listening.recv(4096).decode())
        except BlockingIOError:
            return heard


def test_ready_alive_and_stopping(systemd: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    clock = Clock()
    notifier = Notifier(clock)
    assert "NOTIFY_SOCKET" not in os.environ, "no child speaks for us"
    notifier.ready()
    for _ in range(3):
        notifier.beat("AI ON")
        clock.now_s += 0.4
    notifier.beat("AI OFF")
    notifier.stopping()
    assert hear(systemd) == [
        *("READY=1", "WATCHDOG=1", "STATUS=AI ON", "WATCHDOG=1", "STATUS=AI OFF", "STOPPING=1")
    ]
    systemd.close()


def test_a_watchdog_for_another_process_is_not_fed(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    Notifier(Clock()).beat("AI ON")
    assert hear(systemd) == ["STATUS=AI ON"]
    systemd.close()


def test_without_systemd_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notifier = Notifier(Clock())
    notifier.ready()
    notifier.beat("AI ON")


def test_systemd_gone_ends_nothing(systemd: socket.socket) -> None:
    notifier = Notifier(Clock())
    systemd.close()
    notifier.beat("AI ON")


def test_a_systemd_that_does_not_listen_holds_nothing_up(systemd: socket.socket) -> None:
    notifier = Notifier(Clock())
    for number in range(2000):  # many more than a socket holds
        notifier.beat(f"AI {number}")
    assert hear(systemd)[0] == "STATUS=AI 0"
    systemd.close()
