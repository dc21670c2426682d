"""The open loop: the live session of a clip in real time, with its record, its page and a viewer.

What runs is what runs beside a scanner: capture, engine, the journal, the page's hub. The viewer
stands in for one browser; it takes what the hub sends it and acknowledges it at once.
"""

import struct
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import cv2
import numpy as np

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import RunError, StoppedError
from neurosono.engine.contracts.frame import DisplayFrame
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.contracts.result import Result
from neurosono.stream.bench.clip import BenchClip
from neurosono.stream.bench.glass import GlassLog
from neurosono.stream.bench.loops import check_trace
from neurosono.stream.bench.resources import UsageReader
from neurosono.stream.bench.settings import BenchSettings
from neurosono.stream.bench.trace import Judged, Shown, Trace
from neurosono.stream.journal.journal import Journal
from neurosono.stream.keep.film import Film
from neurosono.stream.keep.recording import Recorder
from neurosono.stream.live.record import LiveRecord
from neurosono.stream.live.session import Live
from neurosono.stream.page.hub import Hub
from neurosono.stream.page.protocol import MessageKind, unpack_message
from neurosono.stream.view.state import AiState, OverlayState

MOST_READ = 20_000
"""Pictures whose numbers are read back, eleven minutes at 30 Hz; they wait on the disk."""

_ENTRY = struct.Struct("<II")


class MeasuringRecord(LiveRecord):
    """The journal's own record, that also notes when each picture was handed to the page."""

    def watch(self, trace: Trace) -> None:
        """Note everything in `trace` from now on."""
        self._trace, self.handed = trace, dict[int, Shown]()

    def record(self, result: Result) -> None:
        """Write down a result, and note what became of its frame."""
        super().record(result)
        judged = Judged(result.seq, result.skip_reason, result.stage_ms)
        self._trace.judged[result.seq] = judged

    def record_reading(self, reading: ReaderResult) -> None:
        """Write down what a reader said, and note how long it took."""
        super().record_reading(reading)
        self._trace.hear(reading)

    def see(self, picture: DisplayFrame, state: OverlayState) -> None:
        """Take a picture; it is handed to the page next."""
        super().see(picture, state)
        now_ns = time.monotonic_ns()
        self.handed[picture.index] = Shown(
            index=picture.index,
            seq=picture.seq,
            due_ns=picture.captured_ns,
            captured_ns=picture.captured_ns,
            begun_ns=now_ns,
            drawn_ns=now_ns,
            done_ns=now_ns,
            ai_on=state.ai is AiState.ON,
            result_seq=None,
            seen=None,
            stage_ms=picture.stage_ms,
        )


@dataclass(frozen=True)
class Had:
    """What a viewer had at a moment: a picture by its `index`, or a word without one."""

    index: int | None
    result_seq: int
    ai_on: bool
    at_ns: int


class PageViewer:
    """A browser's place at the hub: what it had when, and its first pictures, kept on the disk."""

    def __init__(self, hub: Hub, spool: Path) -> None:
        self._hub, self._spool = hub, spool.open("w+b")
        self._news, self._closing = threading.Event(), False
        self._mailbox = hub.attach(self._news.set)
        self.had: list[Had] = []
        self._kept = 0
        self._thread = threading.Thread(target=self._watch, name="page-viewer")
        self._thread.start()

    def _watch(self) -> None:
        while not self._closing:
            self._news.wait()
            self._news.clear()
            while (message := self._mailbox.take(time.monotonic_ns())) is not None:
                self._take(message, time.monotonic_ns())

    def _take(self, message: bytes, now_ns: int) -> None:
        kind, head, jpeg = unpack_message(message)
        told = self._mailbox.answer(head["n"], now_ns / 1e6, now_ns)
        if kind not in (MessageKind.PICTURE, MessageKind.STATUS):
            return
        about = head["about"]
        index = about["index"] if kind is MessageKind.PICTURE else None
        self.had.append(Had(index, about["seq"] - 1, about["ai"] == AiState.ON, now_ns))
        if index is None:
            return
        if told is not None:
            self._hub.note_painted(told)
        if self._kept < MOST_READ:
            self._kept += 1
            self._spool.write(_ENTRY.pack(index, len(jpeg)) + jpeg)

    def read_numbers(self, glass: GlassLog) -> dict[int, int | None]:
        """Return, of each picture that was kept, the index that its pixels say."""
        found: dict[int, int | None] = {}
        self._spool.seek(0)
        while entry := self._spool.read(_ENTRY.size):
            index, length = _ENTRY.unpack(entry)
            jpeg = np.frombuffer(self._spool.read(length), np.uint8)
            picture = cv2.imdecode(jpeg, cv2.IMREAD_UNCHANGED)
            found[index] = glass.look(np.asarray(picture, np.uint8), index)
        return found

    def leave(self) -> None:
        """Watch no more."""
        self._closing = True
        self._news.set()
        self._thread.join()
        self._hub.detach(self._mailbox)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._closing:
            self.leave()
        self._spool.close()


def run_open_loop(settings: BenchSettings, clip: BenchClip) -> Trace:
    """Run the live session over `clip` once; raises as it does, and `RunError` where it failed."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="neurosono-bench-")))
        options = settings.for_replay(clip, folder, realtime=True)
        bundle = Bundle.load(options.bundle)
        journal = stack.enter_context(Journal.open(folder / "exams.db"))
        recorder = None
        if settings.record:
            recorder = stack.enter_context(Recorder(folder, Film.OVERLAY, bundle.manifest))
        record = MeasuringRecord(journal, bundle, recorder=recorder)
        trace = Trace(
            asked_ns=time.monotonic_ns(), glass=GlassLog(clip.period) if clip.period else None
        )
        record.watch(trace)
        hub, usage = Hub(), UsageReader()
        hub.start()
        stack.callback(hub.stop)
        viewer = stack.enter_context(PageViewer(hub, folder / "pictures"))
        live = Live(options, bundle, hub, record, readers=options.load_readers())

        def look() -> bool:
            if live.engine:
                pids, shown = live.children.pids(), len(record.handed)
                usage.look(pids, shown, time.monotonic_ns(), trace.readings)
            return False

        ended = live.run(look)
        hub.flush(1.0)
        viewer.leave()
        record.end(ended.counts)
        if live.interrupted:
            raise StoppedError("stopped in the middle: nothing was measured")
        failure = live.failure or live.captured[-1].get("error")
        if failure is not None:
            raise RunError(str(failure))
        trace.rate_hz = float(live.opened["rate_hz"])
        trace.frames, trace.engine = ended.counts, ended.engine
        numbers = {} if trace.glass is None else viewer.read_numbers(trace.glass)
        trace.shown = list(list_shown(viewer.had, record.handed, numbers))
        trace.refreshed = [
            (each.result_seq, each.at_ns)
            for each in viewer.had
            if each.index is None and each.ai_on
        ]
    return check_trace(trace)


def list_shown(
    had: list[Had], handed: dict[int, Shown], numbers: dict[int, int | None]
) -> Iterator[Shown]:
    """Yield the pictures that the viewer had, in that order, with all that is known of each."""
    for each in had:
        if each.index is not None:
            yield replace(
                handed[each.index],
                done_ns=each.at_ns,
                ai_on=each.ai_on,
                result_seq=each.result_seq,
                seen=numbers.get(each.index),
            )
