"""A live session as a service: what systemd, a probe, a monitor and a log are told of it."""

import contextlib
import json
import os
import signal
import socket
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from neurosono.stream.live.metrics import FAMILIES
from tests.support.commands import start, wait_until
from tests.support.senders import free_tcp_port

SOURCE = "loop:phantom:normal?seed=7&seconds=20&width=320&height=240"


def test_a_session_tells_those_who_keep_it_running(bundle_root: Path, tmp_path: Path) -> None:
    systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    systemd.bind(str(tmp_path / "notify"))
    systemd.setblocking(False)
    heard: set[bytes] = set()
    token = tmp_path / "token"
    token.write_text("a-monitors-own\n")
    port = free_tcp_port()
    session = start(
        *("live", SOURCE, "--bundle", bundle_root, "--port", str(port)),
        *("--journal", tmp_path / "exams.sqlite", "--metrics-token", token, "--log-json", "-"),
        env={
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
            "WATCHDOG_USEC": "600000",
            "XDG_DATA_HOME": str(tmp_path),
        },
    )
    address = f"http://127.0.0.1:{port}"

    def ask(path: str, **headers: str) -> httpx.Response | None:
        try:
            return httpx.get(address + path, trust_env=False, headers=headers, timeout=10)
        except httpx.TransportError:
            return None

    def has_heard(word: bytes) -> bool:
        with contextlib.suppress(BlockingIOError):
            while True:
                heard.add(systemd.recv(4096))
        return word in heard

    def is_ready() -> bool:
        has_heard(b"")  # a socket holds ten words: somebody listens
        answer = ask("/readyz")
        return answer is not None and answer.status_code == 200

    try:
        wait_until(is_ready)
        assert (ask("/healthz") or httpx.Response(0)).json()["ok"] is True
        bearer = {"authorization": "Bearer a-monitors-own"}

        def count_used() -> float:
            answer = ask("/metrics", **bearer)
            assert answer is not None
            assert answer.status_code == 200
            return next(
                sample.value
                for family in text_string_to_metric_families(answer.text)
                for sample in family.samples
                if sample.name == "neurosono_age_seconds_count"
                if sample.labels["what"] == "answer"
            )

        wait_until(lambda: count_used() > 3)
        told = text_string_to_metric_families((ask("/metrics", **bearer) or httpx.Response(0)).text)
        kinds = {"counter": "_total"}
        served = {(family.name + kinds.get(family.type, ""), family.type) for family in told}
        assert served == {(f"neurosono_{name}", family.kind) for name, family in FAMILIES.items()}
        for word in (b"READY=1", b"STATUS=AI ON", b"WATCHDOG=1"):
            wait_until(lambda word=word: has_heard(word))
    finally:
        os.kill(session.pid, signal.SIGTERM)
        told, said = session.communicate(timeout=120)
        systemd.close()
    assert session.returncode == 0, said
    lines = [json.loads(line) for line in told.splitlines()]
    assert {"opened", "ready", "state"} <= {line["event"] for line in lines}
    assert "token=" not in told
