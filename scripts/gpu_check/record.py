"""What a step found, in a file that is whole after each part; and the step's clock."""

import argparse
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

Found = dict[str, Any]

GRACE_S = 15.0
"""How long a part may go on after its step's time, before the step is ended."""

_ASKED = "name,driver_version,memory.total,clocks.sm,clocks.max.sm,power.limit"


def read_card() -> Found:
    """Return what the driver's own tool says of the first GPU; empty where there is none."""
    try:
        command = ["nvidia-smi", f"--query-gpu={_ASKED}", "--format=csv,noheader"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    words = [word.strip() for word in done.stdout.splitlines()[0].split(",")]
    return dict(zip(_ASKED.split(","), words, strict=False))


class Record:
    """A step's findings and how much of its time is left."""

    def __init__(self, out: Path, name: str, seconds: float) -> None:
        """Begin `out`/`name`.json; the step has `seconds`."""
        out.mkdir(parents=True, exist_ok=True)
        self.path, self._ends_s = out / f"{name}.json", time.monotonic() + seconds
        self._begun_s = time.monotonic()
        self.found: Found = {
            "command": " ".join(sys.argv),
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "card": read_card(),
            "torch": torch.__version__,
            "cuda": torch.version.cuda,
            "python": platform.python_version(),
            "cores": len(os.sched_getaffinity(0)),
            "not_reached": [],
        }
        self.write()
        cut = threading.Timer(seconds + GRACE_S, self._end)
        cut.daemon = True
        cut.start()

    def _end(self) -> None:
        """End a step that a part holds beyond its time; what was found before is written."""
        print("a part did not end in time: the step ends", flush=True)  # noqa: T201
        os._exit(124)

    @property
    def left_s(self) -> float:
        """The time that is left."""
        return self._ends_s - time.monotonic()

    def write(self) -> None:
        """Write what was found so far, whole."""
        self.found["took_s"] = round(time.monotonic() - self._begun_s, 1)
        aside = self.path.with_suffix(".new")
        aside.write_text(json.dumps(self.found, indent=1, default=str))
        aside.replace(self.path)

    def attempt(self, part: str, needs_s: float, run: Callable[[], Found]) -> Found:
        """Do a part that takes about `needs_s`, and keep what it found or why it did not."""
        if self.left_s < needs_s:
            self.found["not_reached"].append(part)
            found: Found = {}
        else:
            begun_s = time.monotonic()
            try:
                found = run()
            except Exception as error:  # noqa: BLE001  # the other parts are to be seen as well
                words = str(error).strip().splitlines() or [""]
                found = {"failed": f"{type(error).__name__}: {' / '.join(words[:3])}"}
            found["part_s"] = round(time.monotonic() - begun_s, 2)
            self.found[part] = found
        self.write()
        short = {key: value for key, value in found.items() if not isinstance(value, dict | list)}
        said = json.dumps(short, default=str) if found else "not reached"
        print(f"{part}: {said}", flush=True)  # noqa: T201
        return found


def read_options(about: str, only: tuple[str, ...] = ()) -> argparse.Namespace:
    """Return what a step was asked: `out`, `seconds`, `data`, `rehearse` and `only`."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--data", type=Path, help="a folder with what the step reads")
    parser.add_argument("--rehearse", action="store_true", help="on the CPU, with tiny sizes")
    if only:
        parser.add_argument("--only", choices=only)
    return parser.parse_args()
