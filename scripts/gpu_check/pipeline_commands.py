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
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

COMMAND = (sys.executable, "-m", "neurosono")
ENGINE_MODULE = "neurosono.stream.judge.worker"
WIDE = {"COLUMNS": "400"}
"""So that a sentence stays one line."""

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
    wall_s: float

    @property
    def last(self) -> str:
        """The last line that it said."""
        lines = [line.strip() for line in self.words.splitlines() if line.strip()]
        return lines[-1] if lines else ""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON, with its last words alone."""
        return {"code": self.code, "said": self.last, "wall_s": round(self.wall_s, 2)}


def run_command(*words: str | Path, limit_s: float) -> Said:
    """Run `neurosono WORDS` and end it with all its children after `limit_s`."""
    begun_s = time.monotonic()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [*COMMAND, *map(str, words)],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env=os.environ | WIDE,
            start_new_session=True,
        )
        code: int | None = None
        try:
            code = process.wait(max(0.1, limit_s))
        except subprocess.TimeoutExpired:
            pass
        finally:
            end_tree(process)
        said.seek(0)
        return Said(code, said.read(), time.monotonic() - begun_s)


def end_tree(process: subprocess.Popen[Any]) -> None:
    """End a process and its children, whatever they do."""
    if process.poll() is not None:
        return
    with contextlib.suppress(psutil.Error):
        family = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        for each in family:
            with contextlib.suppress(psutil.Error):
                each.kill()
    process.wait()


@dataclass
class LiveRun:
    """A `neurosono live` that is watched by its log."""

    folder: Path
    words: tuple[str | Path, ...]
    _read: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)

    def __enter__(self) -> "LiveRun":
        self.folder.mkdir(parents=True)
        self._said = (self.folder / "said").open("w+")
        given = ("--no-page", "--journal", self.folder / "exams.db")
        told = ("--log-json", self.folder / "log", "--json", self.folder / "exam.json")
        self.process = subprocess.Popen(
            [*COMMAND, "live", *map(str, (*self.words, *given, *told))],
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=self._said,
            env=os.environ | WIDE,
            start_new_session=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        end_tree(self.process)
        self._said.close()

    def hear(self) -> list[dict[str, Any]]:
        """Return all events up to now."""
        path = self.folder / "log"
        if path.is_file():
            whole = path.read_text().split("\n")[:-1]
            self.events.extend(json.loads(line) for line in whole[self._read :])
            self._read = len(whole)
        return self.events

    def wait_for(
        self, found: Callable[[dict[str, Any]], bool], limit_s: float, after: datetime | None = None
    ) -> dict[str, Any] | None:
        """Return the first event that is `found`; None where it did not come in time."""
        until_s = time.monotonic() + limit_s
        while time.monotonic() < until_s:
            for event in self.hear():
                if found(event) and (after is None or read_moment(event) >= after):
                    return event
            if self.process.poll() is not None:
                return None
            time.sleep(0.02)  # polling another process
        return None

    def wait_for_ai(self, limit_s: float, after: datetime | None = None) -> dict[str, Any] | None:
        """Return when the screen said AI ON, first or after a moment."""
        return self.wait_for(
            lambda event: event.get("part") == "ai" and event["value"] == "on", limit_s, after
        )

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

    def finish(self, limit_s: float) -> dict[str, Any]:
        """End the exam by Ctrl-C; return what it says of itself."""
        self.process.send_signal(signal.SIGINT)
        try:
            code: int | None = self.process.wait(max(0.1, limit_s))
        except subprocess.TimeoutExpired:
            code = None
        self._said.seek(0)
        said = Said(code, self._said.read(), 0.0)
        path = self.folder / "exam.json"
        exam = json.loads(path.read_text()) if path.is_file() else {}
        found: dict[str, Any] = {"code": code, "said": said.last, "engine": exam.get("engine")}
        found |= {key: exam[key] for key in ("frames", "complete") if key in exam}
        if "session" in exam:
            found["accounts"] = exam["session"]["accounts"]
        return found


def read_moment(event: dict[str, Any]) -> datetime:
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
    holder = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        heard, _, _ = select.select([holder.stdout], [], [], limit_s)
        line = holder.stdout.readline() if heard else ""
        yield float(line or 0) / 1e9
    finally:
        holder.kill()
        holder.wait()
        for stream in (holder.stdin, holder.stdout):
            if stream is not None:
                stream.close()
