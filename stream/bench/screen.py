"""Glass to glass: a scanner that sends by UDP, the live session, a real browser that paints.

Every picture carries its number in its pixels. A picture's time begins when it leaves the scanner's
picture store and ends when the browser's word that it painted it is back: the network stack,
capture, judging beside it, the page's encoder, the browser's decoder and its painting are in it.
"""

import json
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.errors import RunError
from neurosono.engine.contracts.frame import DisplayFrame
from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.contracts.result import Result
from neurosono.engine.host import describe_host
from neurosono.stream.bench.browser import Browser, find_browser
from neurosono.stream.bench.clip import BenchClip, render_clip
from neurosono.stream.bench.glass import find_row, read_number
from neurosono.stream.bench.measures import summarise
from neurosono.stream.bench.sender import Sender, SenderJob
from neurosono.stream.bench.settings import BenchSettings
from neurosono.stream.bench.yardstick import Yardstick
from neurosono.stream.journal.journal import Journal
from neurosono.stream.live.options import SessionOptions
from neurosono.stream.live.record import LiveRecord
from neurosono.stream.live.session import Live
from neurosono.stream.page.hub import Hub
from neurosono.stream.page.mailbox import Answer
from neurosono.stream.page.web import WebServer
from neurosono.stream.view.state import AiState, OverlayState

SCHEMA = "neurosono-screen/1"
CLIP_S = 5.0
"""The scanner encodes its first round, which takes time of the same cores: that is not measured."""

WARMUP_S, START_S = CLIP_S + 2.0, 60.0


@dataclass
class Seen:
    """One picture: monotonic ns; None where that never came."""

    number: int | None
    captured_ns: int
    handed_ns: int
    stage_ms: dict[str, float]
    painted_ns: int | None = None


@dataclass
class ScreenTrace:
    """One run. `left_ns` is when each picture left the scanner, in order; `answers` the ages at
    which results were known here, ms, since the frame was captured."""

    period: int
    pictures: dict[int, Seen] = field(default_factory=dict)
    answers: list[tuple[int, float]] = field(default_factory=list)
    left_ns: list[int] = field(default_factory=list)
    begun_ns: int = 0
    frames: dict[str, Any] = field(default_factory=dict)

    @property
    def measured(self) -> list[Seen]:
        """The pictures that were handed to the page once all was warm."""
        return [each for each in self.pictures.values() if each.handed_ns >= self.begun_ns]

    def left_of(self, seen: Seen) -> int | None:
        """Return when a picture left the scanner: the last of its number before it came."""
        if seen.number is None:
            return None
        rounds = self.left_ns[seen.number :: self.period]
        before = [left for left in rounds if left <= seen.captured_ns]
        return before[-1] if before else None


class _Watching(LiveRecord):
    """The journal's own record, that notes what was handed to the page and what was answered."""

    def watch(self, trace: ScreenTrace) -> None:
        self._trace = trace

    _at: tuple[int, int] | None = None
    _search: threading.Thread | None = None

    def record(self, result: Result) -> None:
        super().record(result)
        if result.used:
            now_ns = time.monotonic_ns()
            self._trace.answers.append((now_ns, (now_ns - result.captured_ns) / 1e6))

    def see(self, picture: DisplayFrame, state: OverlayState) -> None:
        super().see(picture, state)
        self._trace.pictures[picture.index] = Seen(
            number=self._read(picture.pixels),
            captured_ns=picture.captured_ns,
            handed_ns=time.monotonic_ns(),
            stage_ms=dict(picture.stage_ms),
        )
        if not self._trace.begun_ns and state.ai is AiState.ON:
            self._trace.begun_ns = time.monotonic_ns() + round(WARMUP_S * 1e9)

    def _read(self, pixels: Pixels) -> int | None:
        """Return the number that stands in a picture; its place is searched for aside."""
        if self._at is not None:
            return read_number(pixels, self._at)
        if self._search is None or not self._search.is_alive():
            self._search = threading.Thread(target=self._find, args=(pixels.copy(),), daemon=True)
            self._search.start()
        return None

    def _find(self, pixels: Pixels) -> None:
        for guess in range(self._trace.period):
            if (at := find_row(pixels, guess)) is not None and read_number(pixels, at) == guess:
                self._at = at
                return


class _PaintedHub(Hub):
    """The page's own hub, that notes when a browser painted which picture."""

    def watch(self, trace: ScreenTrace) -> None:
        self._trace = trace

    def note_painted(self, told: Answer) -> None:
        super().note_painted(told)
        seen = self._trace.pictures.get(json.loads(told.about).get("index", -1))
        if seen is not None and seen.painted_ns is None:
            seen.painted_ns = time.monotonic_ns()


def run_screen(settings: BenchSettings, clip: BenchClip, browser: str) -> ScreenTrace:
    """Run one session of `settings.seconds` with a sender and a browser.

    Raises as a live session does, `InputError` without the browser, and `RunError` where no page
    ever painted.
    """
    program = find_browser(browser)
    trace = ScreenTrace(clip.period)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="neurosono-bench-")))
        bundle = Bundle.load(settings.bundle)
        journal = stack.enter_context(Journal.open(folder / "exams.db"))
        record = _Watching(journal, bundle)
        record.watch(trace)
        hub = _PaintedHub()
        hub.watch(trace)
        server = WebServer(hub, labels=bundle.manifest.labels)
        server.start()
        stack.callback(server.stop)
        port = _find_port()
        options = _as_live(settings, port)
        live = Live(options, bundle, hub, record, readers=options.load_readers())
        sender = Sender(SenderJob(clip.sources[0], port))
        stack.callback(sender.end)
        stack.enter_context(Browser(program, server.url))
        over = _until(trace, settings.seconds)
        ended = live.run(lambda: sender.has_ended or over())
        hub.flush(1.0)
        record.end(ended.counts)
        trace.frames = ended.counts
        trace.left_ns = sender.finish()
        failure = live.failure or live.captured[-1].get("error")
        if failure is not None:
            raise RunError(str(failure))
    if not any(each.painted_ns for each in trace.measured):
        raise RunError(f"{program} painted no picture: look at the page of `neurosono live` in it")
    return trace


def _until(trace: ScreenTrace, seconds: float) -> Callable[[], bool]:
    started_s = time.monotonic()

    def over() -> bool:
        if not trace.begun_ns:
            return time.monotonic() - started_s > START_S
        return time.monotonic_ns() > trace.begun_ns + round(seconds * 1e9)

    return over


def _as_live(settings: BenchSettings, port: int) -> SessionOptions:
    return SessionOptions(
        source=f"udp://127.0.0.1:{port}",
        bundle=settings.bundle,
        every=settings.every,
        engine=settings.engine,
        precision=settings.precision,
        members=settings.members,
        threads=settings.threads,
        cam_hz=settings.cam_hz,
        also=settings.also,
    )


def _find_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def measure_screen(
    settings: BenchSettings, browser: str, on_step: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Measure glass to glass `settings.rounds` times, in turns with the floor; returns the report.

    Raises as `run_screen` does.
    """
    find_browser(browser)
    bundle = Bundle.load(settings.bundle)
    with tempfile.TemporaryDirectory(prefix="neurosono-clip-") as folder:
        on_step("rendering the phantom clip")
        clip = render_clip(Path(folder), CLIP_S, settings.rate_hz, settings.size_px)
        yardstick = Yardstick(settings, bundle, clip) if settings.floor else None
        traces, floors = [], []
        for number in range(settings.rounds):
            on_step(f"round {number + 1} of {settings.rounds}")
            if yardstick is not None:
                floors.append(yardstick.run("open"))
            traces.append(run_screen(settings, clip, browser))
    return {
        "schema": SCHEMA,
        "notice": NOTICE,
        "host": describe_host(),
        "settings": settings.to_json(),
        "source": f"{clip.description}, sent by UDP over and over",
        "bundle": {"name": bundle.manifest.name, "sha256": bundle.manifest.digest},
        **describe_screen(traces),
        "floor_ms": summarise([age for each in floors for age in each["ages_ms"]]),
    }


def describe_screen(traces: Sequence[ScreenTrace]) -> dict[str, Any]:
    """Return what the runs say, all together; stages in the order in which a picture passes them.

    `glass_ms` is the whole. `way` is encoding, sockets and reassembly, until a picture was whole
    here; `capture` until it was handed to the page, of which `decode` and `screen` are parts;
    `page` until its painting was known.
    """
    whole: list[float] = []
    stages: dict[str, list[float]] = {"way": [], "capture": [], "decode": [], "screen": []}
    stages["page"] = []
    for trace in traces:
        for each in trace.measured:
            stages["capture"].append((each.handed_ns - each.captured_ns) / 1e6)
            for name in ("decode", "screen"):
                if name in each.stage_ms:
                    stages[name].append(each.stage_ms[name])
            if each.painted_ns is None:
                continue
            stages["page"].append((each.painted_ns - each.handed_ns) / 1e6)
            if (left_ns := trace.left_of(each)) is not None:
                stages["way"].append((each.captured_ns - left_ns) / 1e6)
                whole.append((each.painted_ns - left_ns) / 1e6)
    answers = [ms for trace in traces for at, ms in trace.answers if at >= trace.begun_ns]
    return {
        "glass_ms": summarise(whole),
        "answer_ms": summarise(answers),
        "stages": {name: summarise(found) for name, found in stages.items()},
        "pictures": _count(traces),
        "frames": [trace.frames for trace in traces],
    }


def _count(traces: Sequence[ScreenTrace]) -> dict[str, int]:
    """Return what became of the pictures that left the scanner in the measured time."""
    counts = {"sent": 0, "handed": 0, "painted": 0, "unreadable": 0}
    for trace in traces:
        measured = trace.measured
        if not measured:
            continue
        last_ns = measured[-1].captured_ns
        counts["sent"] += sum(trace.begun_ns <= left <= last_ns for left in trace.left_ns)
        counts["handed"] += len(measured)
        counts["painted"] += sum(each.painted_ns is not None for each in measured)
        counts["unreadable"] += sum(each.number is None for each in measured)
    return counts
