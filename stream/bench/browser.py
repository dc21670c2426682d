"""A real browser as the screen of a bench: Chromium without a window, of its own profile."""

import os
import shutil
import subprocess
import tempfile
from types import TracebackType
from typing import Self

from neurosono.engine.contracts.errors import InputError

SIZE_PX = (1920, 1080)
OPTIONS = (
    "--headless=new",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    # It may ask this machine and no other.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    f"--window-size={SIZE_PX[0]},{SIZE_PX[1]}",
)


def find_browser(path: str) -> str:
    """Return the browser's program; raises `InputError` where there is none."""
    found = shutil.which(path)
    if found is None:
        raise InputError(f"no browser at {path}: install chromium, or name another --browser")
    return found


class Browser:
    """Shows one page until it is closed; its profile goes with it."""

    def __init__(self, program: str, url: str) -> None:
        self._profile = tempfile.TemporaryDirectory(
            prefix="neurosono-browser-", ignore_cleanup_errors=True
        )
        # Chromium refuses its own sandbox to root.
        alone = ("--no-sandbox",) if os.geteuid() == 0 else ()
        self._process = subprocess.Popen(
            [program, *OPTIONS, *alone, f"--user-data-dir={self._profile.name}", url],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def profile(self) -> str:
        """The folder of its profile."""
        return self._profile.name

    def close(self) -> None:
        """End it and all that it started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, 9)
        self._process.wait()
        self._profile.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
