"""The scanner of a glass-to-glass run: sends a numbered clip by UDP, and says what it sent when.

Run as `python -m neurosono.stream.bench.sender`: a job as JSON on standard input. It sends the clip
over and over until its standard input ends, and then says, as JSON, a row a picture.
"""

import json
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from typing import Any, TextIO

from neurosono.engine.contracts.errors import RunError
from neurosono.stream.simulate.scanner import Scanner, SimulateOptions
from neurosono.stream.simulate.transmit import UdpTransmitter
from neurosono.stream.sources import open_source

END_S = 30.0


@dataclass(frozen=True)
class SenderJob:
    """Which clip goes to which port of this machine."""

    clip: str
    port: int


def send(job: SenderJob, stop: threading.Event) -> list[int]:
    """Send until `stop`; returns when each picture left the scanner's picture store, monotonic ns.

    From then on it was encoded (in the first round; later rounds are sent from memory), cut into
    datagrams and sent. Raises as `Scanner.play` does.
    """
    left_ns: list[int] = []
    transmitter = UdpTransmitter("127.0.0.1", job.port)
    try:
        Scanner(
            open_source([job.clip], frame_threads=False),
            transmitter,
            SimulateOptions(loop=True),
            stop=stop,
            on_sent=lambda _, captured_ns: left_ns.append(captured_ns),
        ).play()
    finally:
        transmitter.close()
    return left_ns


class Sender:
    """The process, from here: it sends from the start until `finish`."""

    def __init__(self, job: SenderJob) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "neurosono.stream.bench.sender"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(job)) + "\n")
        self._process.stdin.flush()

    @property
    def has_ended(self) -> bool:
        """Whether it died before it was told to."""
        return self._process.poll() is not None

    def finish(self) -> list[int]:
        """Stop it; returns what `send` does. Raises `RunError` where it died before."""
        try:
            told, failed = self._process.communicate(timeout=END_S)
        except subprocess.TimeoutExpired as error:
            raise RunError("the stand-in scanner did not end: run the bench again") from error
        finally:
            self.end()
        if self._process.returncode != 0:
            last = (failed.strip().splitlines() or ["it said nothing"])[-1]
            raise RunError(f"the stand-in scanner failed ({last}): run the bench again")
        found: list[int] = json.loads(told)
        return found

    def end(self) -> None:
        """Leave nothing of it behind."""
        self._process.kill()
        self._process.wait()


def main(given: TextIO, told: TextIO) -> None:
    """Be the scanner, as the parent asks."""
    job = SenderJob(**json.loads(given.readline()))
    stop = threading.Event()

    def await_end() -> None:
        given.read()
        stop.set()

    threading.Thread(target=await_end, daemon=True).start()
    answer: Any = send(job, stop)
    json.dump(answer, told)


if __name__ == "__main__":
    main(sys.stdin, sys.stdout)
