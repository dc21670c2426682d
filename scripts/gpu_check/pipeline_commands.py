"""The product's commands as processes: with a time limit, and a live session that is watched."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import psutil

from neurosono.scripts.gpu_check.record import Found, end_family

ENGINE_MODULE = "neurosono.stream.judge.worker"

HOLD = """
import sys, torch
held, piece = [], 1 << 30
while piece > 1 << 22:
    try:
        held.append(torch.empty(piece, dtype=torch.uint8, device="cuda"))
    except RuntimeError:
        piece //= 2
print(sum(each.numel() for each in held), flush=True)
sys.stdin.read()
"""
"""Another process's plain allocations, ever smaller ones, until the GPU has no room."""


@dataclass(frozen=True)
class Said:
    """How a command ended: its exit code (None: ended here, too late), words and seconds."""

    code: int | None
    words: str
    wall_s: float = 0.0

    @property
    def last(self) -> str:
        """The last line that it said."""
        lines = [line.strip() for line in self.words.splitlines() if line.strip()]
        return lines[-1] if lines else ""

    def to_json(self) -> Found:
        """Return it as JSON, with its last words alone."""
        return {"code": self.code, "said": self.last, "wall_s": round(self.wall_s, 2)}


@contextlib.contextmanager
def command(*words: str | Path) -> Iterator[tuple["subprocess.Popen[str]", IO[str]]]:
    """Run `neurosono WORDS`, a sentence a line; it is ended with all its children on leaving."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "neurosono", *map(str, words)],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env=os.environ | {"COLUMNS": "400"},
            start_new_session=True,
            text=True,
        )
        try:
            yield process, said
        finally:
            if process.poll() is None:
                end_family(process.pid)
                process.wait()


def wait_for_end(process: "subprocess.Popen[str]", said: IO[str], limit_s: float) -> Said:
    """Return how a command ended, within a limit."""
    begun_s, code = time.monotonic(), None
    with contextlib.suppress(subprocess.TimeoutExpired):
        code = process.wait(max(0.1, limit_s))
    said.seek(0)
    return Said(code, said.read(), time.monotonic() - begun_s)


def run_command(*words: str | Path, limit_s: float) -> Said:
    """Run `neurosono WORDS` for no longer than `limit_s`."""
    with command(*words) as (process, said):
        return wait_for_end(process, said, limit_s)


@dataclass
class LiveRun:
    """A `neurosono live` that is watched by its log."""

    folder: Path
    process: "subprocess.Popen[str]"
    said: IO[str]
    events: list[Found] = field(default_factory=list)

    @classmethod
    @contextlib.contextmanager
    def start(cls, folder: Path, *words: str | Path) -> Iterator["LiveRun"]:
        """Run a session whose files go into a new folder."""
        folder.mkdir()
        told = ("--log-json", folder / "log", "--json", folder / "exam.json")
        given = ("--no-page", "--journal", folder / "exams.db")
        with command("live", *words, *given, *told) as (process, said):
            yield cls(folder, process, said)

    def hear(self) -> list[Found]:
        """Return all events up to now."""
        path = self.folder / "log"
        if path.is_file():
            whole = path.read_text().split("\n")[:-1]
            self.events += map(json.loads, whole[len(self.events) :])
        return self.events

    def wait_for_ai(self, limit_s: float, after: datetime | None = None) -> Found | None:
        """Return when the screen said AI ON, first or after a moment; None: not in time."""
        until_s = time.monotonic() + limit_s
        while time.monotonic() < until_s:
            for event in self.hear():
                on = event.get("part") == "ai" and event["value"] == "on"
                if on and (after is None or read_moment(event) >= after):
                    return event
            if self.process.poll() is not None:
                return None
            time.sleep(0.02)  # polling another process
        return None

    def last_of_ai(self) -> str | None:
        """Return what the screen said of the AI last."""
        said = [event["value"] for event in self.hear() if event.get("part") == "ai"]
        return said[-1] if said else None

    def find_engines(self) -> list[psutil.Process]:
        """Return the engine's process, and after it a spare one that waits."""
        found = []
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.Error):
                if ENGINE_MODULE in child.cmdline():
                    found.append((child.create_time(), child))
        return [child for _, child in sorted(found, key=lambda each: each[0])]

    def wait_for_spare(self, limit_s: float) -> None:
        """Wait until a spare engine has opened all that it opens ahead: it computes no more."""
        until_s, before_s = time.monotonic() + limit_s, 0.0
        while time.monotonic() < until_s:
            spares = self.find_engines()[1:]
            spent_s = sum(sum(spare.cpu_times()[:2]) for spare in spares)
            if spent_s and spent_s == before_s:
                return
            before_s = spent_s
            time.sleep(0.5)  # watching another process

    def finish(self, limit_s: float) -> Found:
        """End the exam by Ctrl-C; return what it says of itself."""
        self.process.send_signal(signal.SIGINT)
        said = wait_for_end(self.process, self.said, limit_s)
        path = self.folder / "exam.json"
        exam = json.loads(path.read_text()) if path.is_file() else {}
        found: Found = {"code": said.code, "said": said.last, "engine": exam.get("engine")}
        found |= {key: exam[key] for key in ("frames", "complete") if key in exam}
        if "session" in exam:
            found["accounts"] = exam["session"]["accounts"]
        return found


def read_moment(event: Found) -> datetime:
    """Return when an event was written down."""
    return datetime.fromisoformat(event["at"])


def name_now() -> datetime:
    """Return the moment in the log's own steps of a millisecond."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


@contextlib.contextmanager
def gpu_used_up(limit_s: float) -> Iterator[float]:
    """Hold all of the GPU's memory in another process; yields how many GB it took."""
    words = [sys.executable, "-c", HOLD]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            heard, _, _ = select.select([holder.stdout], [], [], limit_s)
            yield float(holder.stdout.readline() or 0) / 1e9 if heard else 0.0
        finally:
            holder.kill()
