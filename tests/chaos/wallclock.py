"""A clock on the wall that can be set for one session and its sender; the machine's stays.

To set the machine's own would move every process on it, and a time namespace moves only the clocks
that nobody sets (time_namespaces(7)). So who asks the C library is told another time.
"""

import os
import shutil
import struct
import subprocess
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "support" / "wallclock.c"


def can_be_set() -> bool:
    """Whether there is a C compiler, which a movable clock needs."""
    return shutil.which("cc") is not None


class WallClock:
    """The time of day of every process that is started with its `env`."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "wallclock"
        self.env: dict[str, str] = {}
        if not can_be_set():
            return
        self._file.write_bytes(struct.pack("d", 0.0))
        library = folder / "wallclock.so"
        build = ("cc", "-O2", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl")
        subprocess.run(build, check=True, timeout=60)
        preloaded = [str(library), *filter(None, [os.environ.get("LD_PRELOAD")])]
        self.env = {"LD_PRELOAD": ":".join(preloaded), "WALLCLOCK": str(self._file)}

    def move_by(self, seconds: float) -> None:
        """Set it so many seconds after the machine's; raises `OSError` where it cannot be."""
        if not self.env:
            raise OSError("no C compiler `cc`: the clock cannot be set")
        with self._file.open("r+b") as file:
            file.write(struct.pack("d", seconds))
