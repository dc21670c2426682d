"""A stand-in scanner and a live session beside it, as a user starts them."""

import contextlib
import json
import os
import re
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from neurosono.stream.bench.clip import render_clip
from neurosono.stream.journal.journal import Journal
from tests.chaos.tabs import Browser
from tests.chaos.wallclock import WallClock
from tests.chaos.watching import Viewer
from tests.support.commands import start, wait_until
from tests.support.senders import HOST, free_udp_port

CLIP_S, CLIP_HZ, CLIP_PX = 10.0, 30.0, (640, 480)
CAPTURE, ENGINE = "neurosono.stream.capture.process", "neurosono.stream.judge.worker"
PATIENCE_S = 120.0


@dataclass
class Scene:
    """One session in `folder`, and its sender."""

    folder: Path
    bundle: str
    sender: subprocess.Popen[str] | None = None
    live: subprocess.Popen[str] | None = None
    said: list[str] = field(default_factory=list)
    tab_off_ms: float | None = None
    """When a tab of the browser said that no AI is on, after the fault."""
    seen: list[psutil.Process] = field(default_factory=list)
    _clock: WallClock | None = None
    _browser: Browser | None = None
    _url: str = ""
    _port: int = field(default_factory=free_udp_port)
    _sessions: list[tuple[subprocess.Popen[str], threading.Thread]] = field(default_factory=list)

    @property
    def journal(self) -> Path:
        """Return where the session records."""
        return self.folder / "data" / "exams.sqlite"

    @property
    def sockets(self) -> Path:
        """Return where its sockets are."""
        return self.folder / "run"

    @property
    def clock(self) -> WallClock:
        """Return the clock on the wall of the session and its sender."""
        if self._clock is None:
            self._clock = WallClock(self.folder)
        return self._clock

    def browse(self) -> Browser:
        """Return a browser with a tab on the session's page."""
        if self._browser is None:
            self._browser = Browser(self._url)
        return self._browser

    def look_at_tabs(self) -> float | None:
        """Return the age of the oldest opinion that a tab showed since this was last asked, ms."""
        return None if self._browser is None else self._browser.tab.look()

    def send(self, *more: str) -> None:
        """Start the scanner, anew where one ran."""
        self.end_sender()
        told = ("--udp", f"{HOST}:{self._port}", "--loop", *more)
        clip = self.folder.parent / "scan.mp4"
        if not clip.exists():  # rendered once: a scanner does not take the machine's cores
            render_clip(clip.parent, CLIP_S, CLIP_HZ, CLIP_PX)
            (clip.parent / "once.mp4").rename(clip)
        self.sender = start("simulate", clip, *told, env=self.clock.env)

    def end_sender(self) -> None:
        """End the scanner at once."""
        if self.sender is not None:
            self.sender.kill()
            self.sender.communicate()

    def begin(self, *more: str) -> Viewer:
        """Start the session; returns a viewer of its page, which is not watching yet."""
        self.sockets.mkdir(mode=0o700, exist_ok=True)
        told = (
            "--bundle",
            self.bundle,
            "--journal",
            self.journal,
            "--json",
            self.folder / "exam.json",
        )
        env = {"XDG_RUNTIME_DIR": str(self.sockets), "COLUMNS": "400"} | self.clock.env
        self.live = start("live", f"udp://{HOST}:{self._port}", *told, *more, env=env)
        self.said = []
        ear = threading.Thread(target=self._hear, args=(self.live,), daemon=True)
        ear.start()
        self._sessions.append((self.live, ear))

        def find_page() -> re.Match[str] | None:
            return re.search(r"open (http://\S+)", " ".join(self.said))

        self._url = wait_until(find_page, PATIENCE_S)[1]
        return Viewer(self._url)

    def _hear(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            self.said.append(line.strip())

    def child(self, module: str) -> psutil.Process:
        """Return the session's newest child that runs `module` and has been told what to do."""
        assert self.live is not None

        def find() -> psutil.Process | None:
            with contextlib.suppress(psutil.Error):
                for child in psutil.Process(self.live.pid).children():  # type: ignore[union-attr]
                    if module in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE:
                        self.seen.append(child)
                        return child
            return None

        found: psutil.Process = wait_until(find, PATIENCE_S)
        return found

    def end(self, number: int = signal.SIGINT) -> int:
        """End the session; returns its exit code."""
        assert self.live is not None
        self._end_browser()
        with contextlib.suppress(psutil.Error):
            self.seen += psutil.Process(self.live.pid).children(recursive=True)
        self.live.send_signal(number)
        return self.live.wait(PATIENCE_S)

    def _end_browser(self) -> None:
        if self._browser is not None:
            self._browser.close()
            self._browser = None

    def read_exam(self) -> dict[str, Any]:
        """Return what the session wrote of its exam."""
        exam: dict[str, Any] = json.loads((self.folder / "exam.json").read_text())
        return exam

    def count_recorded(self, exam_id: str) -> int:
        """Return how many results of an exam stand in the journal."""
        with Journal.open(self.journal) as journal:
            return journal.tally(exam_id).results

    def list_left(self) -> list[str]:
        """Return what is left behind once all has ended: processes, sockets, notebooks."""
        psutil.wait_procs(self.seen, timeout=20)
        left = [str(each) for each in self.seen if each.is_running() and each.status() != "zombie"]
        left += [str(path) for path in self.sockets.glob("*")]
        data = self.journal.parent
        return left + [
            path.name for path in data.glob("*") if ".ring" in path.name or path.suffix == ".new"
        ]

    def close(self) -> None:
        """End whatever runs, and hear it out."""
        self._end_browser()
        self.end_sender()
        for process, ear in self._sessions:
            process.kill()
            process.wait()
            ear.join(PATIENCE_S)
            for pipe in (process.stdout, process.stderr):
                if pipe is not None and not ear.is_alive():
                    pipe.close()


def pause(seconds: float) -> None:
    """Let a fault last."""
    time.sleep(seconds)


def overwrite(path: Path, offset: int, size: int) -> None:
    """Write noise over a part of a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(os.urandom(size))
