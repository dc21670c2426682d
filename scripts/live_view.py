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

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import InputError, RunError
from neurosono.engine.contracts.notice import NOTICE
from neurosono.scripts.console import check_json_place, console, write_json_report
from neurosono.scripts.replay_view import describe
from neurosono.stream.journal.journal import Journal
from neurosono.stream.journal.rebuild import rebuild_exam
from neurosono.stream.keep.clips import Clips
from neurosono.stream.keep.recording import Film, Recorder, recording_folder
from neurosono.stream.live.record import LiveRecord
from neurosono.stream.live.session import run_live
from neurosono.stream.page.access import is_loopback, parse_allowed
from neurosono.stream.page.audience import Audience
from neurosono.stream.page.hub import Hub
from neurosono.stream.page.web import WebServer
from neurosono.stream.view.summary import describe_exam, describe_models
from neurosono.stream.view.words import percentage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from neurosono.stream.live.options import SessionOptions
    from neurosono.stream.live.stage import Ended

SETTLE_S = 3.0
"""The page's address is printed once nothing refused to start, but no later than this."""


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
    record: Film | None = None
    record_to: Path | None = None
    allow_hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (math.isfinite(self.seconds) and self.seconds >= 0):
            raise InputError(f"--seconds must be 0 (until Ctrl-C) or more, found {self.seconds}")
        if self.record_to is not None and self.record is None:
            raise InputError("--record-to says where: say what too, --record overlay or clean")
        for name in self.allow_hosts:
            parse_allowed(name)


def run_live_view(options: SessionOptions, view: LiveView, json_path: Path | None) -> None:
    """Run a session until Ctrl-C, then print and write the exam."""
    check_json_place(json_path)
    bundle = Bundle.load(options.bundle)
    student = options.load_student(bundle)
    options.check(bundle)
    hub = Hub()
    stop = threading.Event()
    begun_s = time.monotonic()
    with (
        _stop_on_signals(stop),
        Journal.open(view.journal) as journal,
        contextlib.ExitStack() as stack,
    ):
        clips = stack.enter_context(Clips(journal.path)) if view.keep_clips else None
        recorder = _open_recorder(view, journal, bundle)
        if recorder is not None:
            stack.enter_context(recorder)
        begun = None if view.resume is None else rebuild_exam(journal, view.resume, bundle, student)
        record = LiveRecord(journal, bundle, clips, view.resume, recorder, student)
        show = stack.enter_context(_serve(hub, view, bundle.manifest.labels, record))

        def stopped() -> bool:
            show()
            return stop.is_set() or (0 < view.seconds <= time.monotonic() - begun_s)

        ended = run_live(options, hub, record, stopped, begun)
        record.end(ended.counts)
    exam = _describe_ended(bundle, record, ended, hub) | describe_models(bundle, student)
    console.print(describe(exam))
    if record.begun:
        words = f"recorded as {record.exam_id} in {journal.path}: see `neurosono report last`"
        console.print(words, soft_wrap=True)
    if clips is not None:
        console.print(f"{clips.written} clips written, {clips.lost} lost")
    if recorder is not None:
        exam["recording"] = recorder.describe()
        console.print(_say_recording(exam["recording"]))
    write_json_report(json_path, exam)
    if not ended.measured["accounts"]["shown"]:
        said = ended.measured["source_said"] or "nothing came"
        raise RunError(
            f"no picture ever came from the source: {said}; check that it sends, and its address"
        )


def _open_recorder(view: LiveView, journal: Journal, bundle: Bundle) -> Recorder | None:
    if view.record is None:
        return None
    folder = view.record_to or recording_folder(journal.path)
    return Recorder(folder, view.record, bundle.manifest)


def _describe_ended(bundle: Bundle, record: LiveRecord, ended: Ended, hub: Hub) -> dict[str, Any]:
    return {
        **describe_exam(bundle.manifest.labels, ended.exam.snapshot()),
        "exam": record.exam_id,
        "source": "live",
        "frames": ended.counts,
        "latency_ms": {},
        "session": {**ended.measured, "screens": _count_screens(hub)},
        "engine": ended.engine,
    }


def _count_screens(hub: Hub) -> dict[str, int]:
    counts = hub.counts
    names = ("viewers_seen", "published", "encoded", "superseded", "painted")
    return {name: getattr(counts, name) for name in names}


def _say_recording(told: dict[str, Any]) -> str:
    words = f"{told['film']} film: {told['pictures']} pictures in {told['segments']} files"
    return f"{words}, {told['dropped']} left out {told['reason']}".rstrip()


@contextlib.contextmanager
def _serve(
    hub: Hub, view: LiveView, labels: tuple[str, ...], record: LiveRecord
) -> Iterator[Callable[[], None]]:
    """Show the session; yields what is to be called now and then."""
    if not view.page:
        with Live(console=console, refresh_per_second=4, transient=True) as live:
            yield lambda: live.update(_tabulate(hub))
        return
    tls = (view.certfile, view.keyfile)
    allowed = [parse_allowed(name) for name in view.allow_hosts]
    server = WebServer(hub, view.host, view.port, view.token, *tls, labels, allowed=allowed)
    server.start()
    try:
        yield _Doorkeeper(server, hub, view, record)
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
        console.print(f"open {url}   (Ctrl-C ends the exam)", soft_wrap=True)

        def tell(words: str) -> None:
            console.print(f"{words}: {url}", soft_wrap=True)

        self._audience = Audience(self._record, tell, time.monotonic_ns())


def _tabulate(hub: Hub) -> Table:
    last = hub.last_status()
    status: dict[str, Any] = {} if last is None else dict(last[0])
    table = Table(title=f"{status.get('ai', 'AI STARTING')} {status.get('ai_reason', '')}")
    table.caption = NOTICE
    table.add_column("class")
    table.add_column("probability", justify="right")
    known = status.get("probabilities") or [None] * len(status.get("labels", []))
    for label, value in zip(status.get("labels", []), known, strict=True):
        table.add_row(label, "-" if value is None else percentage(value))
    frames = status.get("frames", {})
    table.add_row("state", str(status.get("state") or "-"))
    if told := status.get("carried_by"):
        table.add_row("carried by", told["words"])
    if status.get("alarm"):
        table.add_row("▲ any anomaly", "operating point reached")
    for plane, count in (status.get("planes") or {}).items():
        table.add_row(f"plane: {plane}", str(count))
    table.add_row("used / sampled", f"{frames.get('used', 0)} / {frames.get('sampled', 0)}")
    if told := status.get("recording"):
        words = "recording" if told["on"] else told["reason"]
        table.add_row(words, f"{told['pictures']}, {told['dropped']} left out")
    return table


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
