"""A live session as it is started from a terminal: a page to open, or a table here."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.live import Live
from rich.table import Table

from engine.bundle import Bundle
from engine.contracts.notice import NOTICE
from scripts.console import check_json_place, console, write_json_report
from scripts.replay_view import describe
from stream.clips import Clips
from stream.display.access import is_loopback
from stream.display.hub import Hub
from stream.display.web import WebServer
from stream.journal import Journal
from stream.journal_rebuild import rebuild_exam
from stream.live import run_live
from stream.live_record import LiveRecord
from stream.record import describe_exam

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from stream.live_options import SessionOptions


@dataclass(frozen=True)
class LiveView:
    """Where a session is shown and recorded, and how long it lasts (0: until Ctrl-C)."""

    host: str
    port: int
    page: bool
    seconds: float
    journal: Path | None
    keep_clips: bool = False
    resume: str | None = None
    token: str | None = None
    certfile: Path | None = None
    keyfile: Path | None = None


def run_live_view(options: SessionOptions, view: LiveView, json_path: Path | None) -> None:
    """Run a session until Ctrl-C, then print and write the exam."""
    check_json_place(json_path)
    bundle = Bundle.load(options.bundle)
    hub = Hub()
    stop = threading.Event()
    begun_s = time.monotonic()

    with (
        _stop_on_signals(stop),
        Journal.open(view.journal) as journal,
        _serve(hub, view, bundle.manifest.labels) as show,
    ):

        def stopped() -> bool:
            show()
            return stop.is_set() or (0 < view.seconds <= time.monotonic() - begun_s)

        with contextlib.ExitStack() as stack:
            clips = stack.enter_context(Clips(journal.path)) if view.keep_clips else None
            begun = None if view.resume is None else rebuild_exam(journal, view.resume, bundle)
            record = LiveRecord(journal, bundle, clips, view.resume)
            ended = run_live(options, hub, record, stopped, begun)
            record.end(ended.counts)
        if clips is not None:
            console.print(f"{clips.written} clips written, {clips.lost} lost")
    exam = {
        **describe_exam(bundle.manifest.labels, ended.exam.snapshot()),
        "exam": record.exam_id,
        "source": "live",
        "frames": ended.counts,
        "latency_ms": {},
        "bundle": {"name": bundle.manifest.name, "sha256": bundle.manifest.digest},
        "engine": ended.engine,
    }
    console.print(describe(exam))
    if record.begun:
        words = f"recorded as {record.exam_id} in {journal.path}: see `neurosono report last`"
        console.print(words, soft_wrap=True)
    write_json_report(json_path, exam)


@contextlib.contextmanager
def _serve(hub: Hub, view: LiveView, labels: tuple[str, ...]) -> Iterator[Callable[[], None]]:
    """Show the session; yields what is to be called now and then."""
    if not view.page:
        with Live(console=console, refresh_per_second=4, transient=True) as live:
            yield lambda: live.update(_tabulate(hub))
        return
    server = WebServer(hub, view.host, view.port, view.token, view.certfile, view.keyfile, labels)
    server.start()
    if not server.encrypted and not is_loopback(view.host):
        console.print("The page travels unencrypted: give --cert and --key, or stay on 127.0.0.1.")
    console.print(f"open {server.url}   (Ctrl-C ends the exam)", soft_wrap=True)
    try:
        yield lambda: None
    finally:
        server.stop()


def _tabulate(hub: Hub) -> Table:
    last = hub.last_status()
    status: dict[str, Any] = {} if last is None else dict(last[0])
    table = Table(title=f"{status.get('ai', 'AI STARTING')} {status.get('ai_reason', '')}")
    table.caption = NOTICE
    table.add_column("class")
    table.add_column("probability", justify="right")
    known = status.get("probabilities") or [None] * len(status.get("labels", []))
    for label, value in zip(status.get("labels", []), known, strict=True):
        table.add_row(label, "-" if value is None else f"{100 * value:.0f} %")
    frames = status.get("frames", {})
    table.add_row("state", str(status.get("state") or "-"))
    table.add_row("used / sampled", f"{frames.get('used', 0)} / {frames.get('sampled', 0)}")
    return table


@contextlib.contextmanager
def _stop_on_signals(stop: threading.Event) -> Iterator[None]:
    def ask(*_: Any) -> None:
        stop.set()

    before = {each: signal.signal(each, ask) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
