"""A real inference server of the bench's own, which may be made to hang, die and come back."""

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from neurosono.engine.backends.remote import RemoteBackend
from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import EngineUnavailableError, InputError, RunError
from neurosono.engine.contracts.server import Server
from neurosono.engine.triton.repository import Serving, write_repository

START_S = 120.0
POLL_S = 0.05


def find_triton(place: Path | None) -> Path:
    """Return what starts Triton: `place/start`, of `$NEUROSONO_TRITON` or `.triton` by default.

    Raises `EngineUnavailableError` where there is none.
    """
    folder = place or Path(os.environ.get("NEUROSONO_TRITON", ".triton"))
    if not (folder / "start").is_file():
        raise EngineUnavailableError(
            f"no Triton in {folder}: run scripts/install-triton, or name its folder as --triton"
        )
    return folder / "start"


class Served:
    """Triton with one bundle; every process of it stops, goes on and dies together."""

    def __init__(self, start: Path, bundle: Bundle, serving: Serving) -> None:
        """Write the model repository; `start_server` starts it."""
        self._start, self._bundle = start, bundle
        self._folder = tempfile.TemporaryDirectory(prefix="neurosono-served-")
        self._models = Path(self._folder.name) / "models"
        write_repository([bundle], self._models, serving)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self._port = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens, also while it is away."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> float:
        """Start it and wait for its first answer; returns the seconds that took."""
        begun_s = time.monotonic()
        self._process = subprocess.Popen(
            [self._start, self._models, str(self._port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() - begun_s > START_S:
                raise RunError(f"Triton did not start (exit code {self._process.poll()})")
            time.sleep(POLL_S)
        return time.monotonic() - begun_s

    def _answers(self) -> bool:
        try:
            RemoteBackend(self._bundle, Server(self.url, answer_s=5.0)).close()
        except InputError:
            return False
        return True

    def hang(self) -> None:
        """Stop all its processes where they are; they keep their connections."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End all its processes at once."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):  # it ended by itself
                self._signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "it was not started"
        os.killpg(self._process.pid, number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._folder.cleanup()
