"""A live session as it is started from a terminal: a page to open, or a table here."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.live import Live
from rich.table import Table

from neurosono.engine.contracts.errors import InputError, RunError
from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.contracts.result import ExamState
from neurosono.engine.contracts.server import is_loopback
from neurosono.scripts.console import check_json_place, console, write_json_report
from neurosono.scripts.notify import Notifier
from neurosono.scripts.replay_view import describe, tell_readings
from neurosono.stream.live.scene import Keeping, Scene, open_scene
from neurosono.stream.page.access import parse_allowed
from neurosono.stream.page.audience import Audience
from neurosono.stream.page.protocol import withhold_opinion
from neurosono.stream.processes.heap import collect_from_here
from neurosono.stream.view.state import LATE_MS
from neurosono.stream.view.words import LEANS, percentage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from neurosono.stream.live.options import SessionOptions
    from neurosono.stream.live.record import LiveRecord
    from neurosono.stream.page.hub import Hub
    from neurosono.stream.page.web import WebServer

SETTLE_S = 3.0
"""The page's address is printed once nothing refused to start, but no later than this."""


@dataclass(frozen=True)
class LiveView:
    """Where a session is shown, and how long it lasts (0: until Ctrl-C)."""

    host: str
    port: int
    page: bool
    seconds: float
    no_token: bool = False
    certfile: Path | None = None
    keyfile: Path | None = None
    allow_hosts: tuple[str, ...] = ()
    metrics_token: str | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.seconds) and self.seconds >= 0):
            raise InputError(f"--seconds must be 0 (until Ctrl-C) or more, found {self.seconds}")
        for name in self.allow_hosts:
            parse_allowed(name)


def run_live_view(
    options: SessionOptions, keeping: Keeping, view: LiveView, json_path: Path | None
) -> None:
    """Run a session until Ctrl-C, then print and write the exam."""
    collect_from_here()
    check_json_place(json_path)
    notifier = Notifier()
    stop = threading.Event()
    begun_s = time.monotonic()
    with (
        _stop_on_signals(stop),
        open_scene(options, keeping) as scene,
        contextlib.ExitStack() as stack,
    ):
        shown: list[Callable[[], None]] = []

        def serve() -> None:
            shown.append(stack.enter_context(_serve(scene, view)))
            notifier.ready()

        def stopped() -> bool:
            shown[0]()
            last = scene.hub.last_status()
            if last is not None:
                notifier.beat(str(last[0]["ai"]))
            return stop.is_set() or (0 < view.seconds <= time.monotonic() - begun_s)

        scene.run(stopped, serve)
        notifier.stopping()
        if scene.register is not None and (said := scene.register.settle()):
            console.print(said, markup=False, soft_wrap=True)
    exam = scene.describe()
    _tell_exam(scene, exam)
    write_json_report(json_path, exam)
    if missing := _say_missing(exam["session"]["record"], scene.journal.path):
        raise RunError(missing)
    if not exam["session"]["accounts"]["shown"]:
        said = exam["session"]["source_said"] or "nothing came"
        raise RunError(
            f"no picture ever came from the source: {said}; check that it sends, and its address"
        )


def _tell_exam(scene: Scene, exam: dict[str, Any]) -> None:
    console.print(describe(exam))
    for line in tell_readings(exam):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if scene.record.begun and not any(exam["session"]["record"]["missing"].values()):
        words = f"recorded as {scene.record.exam_id} in {scene.journal.path}"
        console.print(f"{words}: see `neurosono report last`", soft_wrap=True)
    if scene.clips is not None:
        console.print(f"{scene.clips.written} clips written, {scene.clips.lost} lost")
    if "recording" in exam:
        console.print(_say_recording(exam["recording"]))


def _say_missing(told: dict[str, Any], journal: Path) -> str:
    """Say what was shown and is not in the journal; nothing where all of it is."""
    counts = {kind.replace("_", " "): count for kind, count in told["missing"].items() if count}
    if not counts:
        return ""
    words = " and ".join(f"{count} {kind}" for kind, count in counts.items())
    why = told["trouble"] or "its exam was deleted"
    rest = (
        "what waits is read in when it is next opened" if told["waiting_bytes"] else "they are lost"
    )
    return f"{words} of this session are not in {journal} ({why}): {rest}"


def _say_recording(told: dict[str, Any]) -> str:
    words = f"{told['film']} film: {told['pictures']} pictures in {told['segments']} files"
    return f"{words}, {told['dropped']} left out {told['reason']}".rstrip()


@contextlib.contextmanager
def _serve(scene: Scene, view: LiveView) -> Iterator[Callable[[], None]]:
    """Show the session; yields what is to be called now and then."""
    hub, labels = scene.hub, scene.bundle.manifest.labels
    if scene.igtl is not None:
        console.print(f"OpenIGTLink: 127.0.0.1:{scene.igtl.port}")
    if not view.page:
        with Live(console=console, refresh_per_second=4, transient=True) as live:
            yield lambda: live.update(_tabulate(hub))
        return
    # the page loads while the other processes open source and engine
    from neurosono.stream.page.routes import Monitor
    from neurosono.stream.page.web import WebServer

    tls = (view.certfile, view.keyfile)
    allowed = [parse_allowed(name) for name in view.allow_hosts]
    monitor = Monitor(scene.metrics.render, view.metrics_token)
    server = WebServer(
        *(hub, view.host, view.port, None, *tls, labels),
        no_token=view.no_token,
        allowed=allowed,
        monitor=monitor,
    )
    server.start()
    try:
        yield _Doorkeeper(server, hub, view, scene.record)
    finally:
        server.stop()


class _Doorkeeper:
    """Says where the page is once the session stands, and when nobody looks at it."""

    def __init__(self, server: WebServer, hub: Hub, view: LiveView, record: LiveRecord) -> None:
        self._server, self._hub, self._view, self._record = server, hub, view, record
        self._until_s = time.monotonic() + SETTLE_S
        self._audience: Audience | None = None
        self._told = ""

    def __call__(self) -> None:
        self._tell_signal()
        if self._audience is not None:
            self._audience.look(self._hub.viewers(), time.monotonic_ns())
            return
        last = self._hub.last_status()
        settled = last is not None and last[0]["ai"] != "AI STARTING"
        if settled or time.monotonic() > self._until_s:
            self._open()

    def _tell_signal(self) -> None:
        """Say why no picture comes, each time that there is another reason."""
        last = self._hub.last_status()
        no_signal = last is not None and last[0]["ai"] == "NO SIGNAL"
        reason = str(last[0]["ai_reason"]) if last is not None and no_signal else ""
        if reason and reason != self._told:
            console.print(f"NO SIGNAL: {reason}", markup=False, soft_wrap=True)
        self._told = reason or self._told

    def _open(self) -> None:
        url = self._server.url
        if not self._server.encrypted and not is_loopback(self._view.host):
            console.print(
                "The page travels unencrypted: give --cert and --key, or stay on 127.0.0.1."
            )
        if self._view.no_token:
            console.print("Whoever reaches the page may watch and steer it (--no-token).")
        console.print(f"open {url}   (Ctrl-C ends the exam)", soft_wrap=True)

        def tell(words: str) -> None:
            console.print(f"{words}: {url}", soft_wrap=True)

        self._audience = Audience(self._record, tell, time.monotonic_ns())


def _tabulate(hub: Hub) -> Table:
    last = hub.last_status()
    status = {} if last is None else _judge_age(withhold_opinion(last[0]), last[1])
    table = Table(title=f"{status.get('ai', 'AI STARTING')} {status.get('ai_reason', '')}")
    table.caption = NOTICE
    table.add_column("class")
    table.add_column("probability", justify="right")
    if (record := status.get("record")) and not record["on"]:
        table.add_row("RECORD OFF", record["reason"])
    known = status.get("probabilities") or [None] * len(status.get("labels", []))
    for label, value in zip(status.get("labels", []), known, strict=True):
        nothing = LEANS if label == status.get("leaning") else "-"
        table.add_row(label, nothing if value is None else percentage(value))
    frames = status.get("frames", {})
    table.add_row("state", str(status.get("state") or "-"))
    if status.get("state") == ExamState.UNFAMILIAR:
        table.add_row("", str(status.get("state_sentence")))
    if unused := status.get("nothing_used"):
        table.add_row("", str(unused))
    if told := status.get("carried_by"):
        table.add_row("carried by", told["words"])
    if status.get("alarm"):
        table.add_row("▲ any anomaly", "operating point reached")
    for plane, count in (status.get("planes") or {}).items():
        table.add_row(f"plane: {plane}", str(count))
    table.add_row("used / sampled", f"{frames.get('used', 0)} / {frames.get('sampled', 0)}")
    for name, reading in (status.get("readings") or {}).items():
        told = reading["told"] or {"lines": [f"{reading['ai']} {reading['reason']}"]}
        table.add_row(name, "\n".join(told["lines"]))
    if told := status.get("recording"):
        words = "recording" if told["on"] else told["reason"]
        table.add_row(words, f"{told['pictures']}, {told['dropped']} left out")
    return table


def _judge_age(status: dict[str, Any], said_ms: float) -> dict[str, Any]:
    """Return what was said `said_ms` ago as it may be shown now: no opinion that is too old."""
    age_ms = status.get("opinion_age_ms", 0.0) + said_ms
    if status["ai"] != "AI ON" or age_ms <= LATE_MS or status.get("over"):
        return status
    reason = f"the last answer is {age_ms / 1000:.1f} s old"
    return withhold_opinion({**status, "ai": "AI OFF", "ai_reason": reason})


@contextlib.contextmanager
def _stop_on_signals(stop: threading.Event) -> Iterator[None]:
    terminals = [each for each in (1, 2) if os.isatty(each)]

    def ask(number: int, _: object) -> None:
        if number == signal.SIGHUP:
            _leave(terminals)
        stop.set()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {each: signal.signal(each, ask) for each in numbers}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _leave(terminals: list[int]) -> None:
    """Write to nowhere what would go to a terminal that was closed: the exam ends well anyway."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in terminals:
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
