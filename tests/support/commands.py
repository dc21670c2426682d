"""Running the real command, as a user would."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import psutil

COMMAND = [sys.executable, "-m", "neurosono.scripts.main"]
TIMEOUT_S = 240
PHANTOM = "phantom:encephalocele?seed=3&seconds=4"


def run(
    *arguments: str | Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `neurosono ARGUMENTS` to its end."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env={**os.environ, **(env or {})},
        check=False,
    )


def start(*arguments: str | Path, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """Start `neurosono ARGUMENTS`; whoever starts it waits for it."""
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(env or {})},
    )


def wait_until(condition: Callable[[], Any], timeout_s: float = 180.0) -> Any:
    """Return what `condition` gives once it is true; fails after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)  # polling another process: there is no clock of ours to inject
    raise AssertionError(f"not so within {timeout_s} s")


def child(parent: subprocess.Popen[str], module: str) -> psutil.Process:
    """Return the child process of `parent` that runs `module`, once it is there."""

    def find() -> psutil.Process | None:
        for process in psutil.Process(parent.pid).children():
            with contextlib.suppress(psutil.Error):  # one that was only looked up has ended already
                if module in process.cmdline():
                    return process
        return None

    found: psutil.Process = wait_until(find)
    return found


def read_record(out: Path) -> dict[str, Any]:
    """Return `exam.json`."""
    record: dict[str, Any] = json.loads((out / "exam.json").read_text())
    return record


def read_lines(out: Path) -> list[dict[str, Any]]:
    """Return `frames.jsonl`."""
    return [json.loads(line) for line in (out / "frames.jsonl").read_text().splitlines()]


def count_pictures(video: Path) -> int:
    """Decode a video and count its pictures."""
    with av.open(str(video)) as container:
        return sum(1 for _ in container.decode(video=0))


def assert_adds_up(out: Path) -> dict[str, Any]:
    """Check the accounts of a replay, in all three files; returns `exam.json`."""
    record, lines = read_record(out), read_lines(out)
    frames = record["frames"]
    assert frames["decoded"] == frames["displayed"] + frames["dropped"]
    assert frames["sampled"] == frames["used"] + sum(frames["skipped"].values())
    assert len(lines) == frames["sampled"]
    assert [line["seq"] for line in lines] == list(range(frames["sampled"]))
    assert sum(line["used"] for line in lines) == frames["used"]
    reasons: dict[str, int] = {}
    for line in lines:
        assert line["used"] == (line["skip_reason"] is None) == (line["probabilities"] is not None)
        if line["skip_reason"] is not None:
            reasons[line["skip_reason"]] = reasons.get(line["skip_reason"], 0) + 1
    assert reasons == frames["skipped"]
    assert count_pictures(out / "overlay.mp4") == frames["displayed"]
    return record
