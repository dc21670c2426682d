"""One scanner of many: a live session in a process of its own, and what its screen said when.

Run as `python -m neurosono.stream.bench.scanner`: a job as JSON on standard input. It says `on`
once the AI is on, runs until its standard input ends, and then says, as JSON, all that it saw.
"""

import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.result import Result
from neurosono.engine.contracts.server import Server
from neurosono.stream.journal.journal import Journal
from neurosono.stream.live.options import SessionOptions
from neurosono.stream.live.record import LiveRecord
from neurosono.stream.live.session import Live
from neurosono.stream.page.protocol import Command
from neurosono.stream.view.state import AiState


@dataclass(frozen=True)
class ScannerJob:
    """What one scanner is: its `source`, how often it asks, and whom (None: an engine of its own,
    on one thread)."""

    source: str
    bundle: str
    rate_hz: float
    server: str | None = None
    precision: str | None = None
    members: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what the process reads."""
        return asdict(self)


class Screen:
    """A stage that keeps, of each word, when it came and whether an opinion stood in it."""

    def __init__(self, on_ai: Callable[[], None]) -> None:
        self._on_ai = on_ai
        self.said: list[tuple[int, bool, bool]] = []
        """Monotonic ns, whether the AI is on, whether anything of it is shown."""

    def publish(self, pixels: Pixels, status: dict[str, Any]) -> None:
        """Hear a status that came with a picture."""
        del pixels
        self.publish_status(status)

    def publish_status(self, status: dict[str, Any]) -> None:
        """Hear a status."""
        on = status["ai"] == AiState.ON
        opinions = ("probabilities", "prediction_set", "leaning", "state", "alarm")
        shown = any(status[name] for name in opinions)
        self.said.append((time.monotonic_ns(), on, shown))
        if on:
            self._on_ai()

    def publish_heatmap(self, pixels: Pixels, about: dict[str, Any]) -> None:
        """Heatmaps are judged by their own tests."""

    def publish_reading(self, reader: str, pixels: Pixels, about: dict[str, Any]) -> None:
        """No reader reads here."""

    def publish_evidence(self, label: str, pixels: Pixels, about: dict[str, Any]) -> None:
        """Nobody looks at them here."""

    def publish_key_frame(self, key_frame_id: str, pixels: Pixels, about: dict[str, Any]) -> None:
        """Nobody looks at them here."""

    def commands(self) -> list[Command]:
        """Nobody asks for anything."""
        return []

    def viewers(self) -> int:
        """One screen."""
        return 1

    def painted_ages_ms(self) -> list[float]:
        """No browser paints."""
        return []


class _Record(LiveRecord):
    """The journal's own record, which also keeps when each frame's answer was known."""

    answers: list[tuple[int, int, float, float]]
    """Captured and known (monotonic ns), the network's ms, ms waited before; of answered frames."""

    def record(self, result: Result) -> None:
        super().record(result)
        network_ms = result.stage_ms.get("network")
        if network_ms is not None:
            waited_ms = result.stage_ms.get("wait", 0.0)
            known_ns = time.monotonic_ns()
            self.answers.append((result.captured_ns, known_ns, network_ms, waited_ms))


def run_scanner(
    job: ScannerJob, stopped: Callable[[], bool], on_ai: Callable[[], None]
) -> Mapping[str, Any]:
    """Run one session until `stopped`; returns what its screen said, its answers and accounts."""
    server = None if job.server is None else Server(job.server, waits=True)
    options = SessionOptions(
        source=job.source,
        bundle=job.bundle,
        every=None,
        rate_hz=job.rate_hz,
        cam_hz=0.0,
        engine="openvino" if server is None else "remote",
        precision=job.precision if server is None else None,
        members=job.members,
        threads=1,
        server=server,
    )
    bundle = Bundle.load(job.bundle)
    screen = Screen(on_ai)
    with (
        tempfile.TemporaryDirectory(prefix="neurosono-scanner-") as folder,
        Journal.open(Path(folder) / "exams.sqlite") as journal,
    ):
        record = _Record(journal, bundle)
        record.answers = []
        live = Live(options, bundle, screen, record)
        ended = live.run(stopped)
        record.end(ended.counts)
    return {
        "said": screen.said,
        "answers": record.answers,
        "frames": ended.counts,
        "accounts": ended.measured["accounts"],
        "restarts": ended.measured["restarts"]["count"],
    }


def main(given: TextIO, told: TextIO) -> None:
    """Be one scanner, as the parent asks."""
    job = ScannerJob(**json.loads(given.readline()))
    stop, said = threading.Event(), threading.Event()

    def await_end() -> None:
        given.read()
        stop.set()

    def tell() -> None:
        if not said.is_set():
            said.set()
            print("on", file=told, flush=True)

    threading.Thread(target=await_end, daemon=True).start()
    json.dump(run_scanner(job, stop.is_set, tell), told)


if __name__ == "__main__":
    main(sys.stdin, sys.stdout)
