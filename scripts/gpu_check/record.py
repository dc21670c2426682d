"""One run of a step: its clock, what it found on disk after each part, and where it works."""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import psutil
import torch

from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.files import write_whole
from neurosono.engine.host import describe_host

Found = dict[str, Any]

GRACE_S = 15.0
"""How long a part may go on after its step's time, before the step is ended."""

SHARED, ROOM_BYTES = Path("/dev/shm"), 24e9  # noqa: S108 (a folder with a random name is made in it)
"""Where what is written all the time stands, if there is so much room in it."""

_ASKED = "name,driver_version,memory.total,clocks.sm,clocks.max.sm,power.limit"


def read_card() -> Found:
    """Return what the driver's own tool says of the first GPU; empty where there is none."""
    try:
        command = ["nvidia-smi", f"--query-gpu={_ASKED}", "--format=csv,noheader"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
        words = [word.strip() for word in done.stdout.splitlines()[0].split(",")]
    except (OSError, subprocess.SubprocessError, IndexError):
        return {}
    return dict(zip(_ASKED.split(","), words, strict=False))


def _find_begin_s() -> float:
    """Return when this process began: what it imported until here took seconds too."""
    return time.monotonic() - (time.time() - psutil.Process().create_time())


@dataclass(frozen=True)
class Clock:
    """The seconds that a step may take, counted alike by all its processes."""

    seconds: float
    begun_s: float = field(default_factory=time.monotonic)

    @property
    def spent_s(self) -> float:
        """How long the step has run."""
        return time.monotonic() - self.begun_s

    @property
    def left_s(self) -> float:
        """What is left."""
        return self.seconds - self.spent_s

    def check(self, keep_s: float = 0.0) -> None:
        """Raise `TimeoutError` where less than `keep_s` is left."""
        if self.left_s < keep_s:
            raise TimeoutError(
                f"{self.left_s:.0f} s were left, and {keep_s:.0f} are kept for what follows"
            )


def end_family(pid: int, *, but_itself: bool = False) -> None:
    """End a process and its children, whatever they do."""
    with contextlib.suppress(psutil.Error):
        parent = psutil.Process(pid)
        for each in (*([] if but_itself else [parent]), *parent.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                each.kill()


class Record:
    """A step's findings, OUT/NAME.json, whole after each part; `work` is a folder for its run."""

    def __init__(self, out: Path, name: str, clock: Clock, *, in_memory: bool = False) -> None:
        """Begin; `in_memory`: work in the host's memory where it has room."""
        out.mkdir(parents=True, exist_ok=True)
        self.out, self.name, self.clock = out, name, clock
        self.found: Found = {
            "notice": NOTICE,
            "command": " ".join(sys.orig_argv[1:]),
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "card": read_card(),
            "cuda": torch.version.cuda,
            "host": describe_host(),
            "not_reached": [],
        }
        self._lock = threading.RLock()
        place = SHARED if in_memory and SHARED.is_dir() else None
        if place is not None and shutil.disk_usage(place).free < ROOM_BYTES:
            place = None
        self.work = Path(tempfile.mkdtemp(prefix="gpu-check-", dir=place))
        self._guard = threading.Timer(clock.left_s + GRACE_S, self._end)
        self._guard.daemon = True
        self._guard.start()
        self.write()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._guard.cancel()
        self.write()
        shutil.rmtree(self.work, ignore_errors=True)

    def _end(self) -> None:
        """End a step that a part holds beyond its time; what was found before is written."""
        self.tell("end", {"failed": "a part did not end in time"})
        end_family(os.getpid(), but_itself=True)
        shutil.rmtree(self.work, ignore_errors=True)
        os._exit(124)

    @property
    def code(self) -> int:
        """The step's exit code: 1 where a part failed or was not reached."""
        failed = any(isinstance(each, dict) and "failed" in each for each in self.found.values())
        return int(failed or bool(self.found["not_reached"]))

    def write(self) -> None:
        """Write what was found so far, whole."""
        with self._lock:
            self.found["took_s"] = round(self.clock.spent_s, 1)
            text = json.dumps(self.found, indent=1, default=str)
            write_whole(self.out / f"{self.name}.json", text + "\n")

    def say(self, words: str) -> None:
        """Print a line at once."""
        print(f"{self.name}: {words}", flush=True)  # noqa: T201

    def tell(self, part: str, found: Found) -> None:
        """Keep what a part found until now, write all, and print a line."""
        with self._lock:
            self.found[part] = found
            self.write()
        short = ", ".join(
            f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
            for key, value in found.items()
            if not isinstance(value, dict | list)
        )
        self.say(f"{part}: {found.get('failed') or found.get('in_short') or short}")

    def skip(self, *parts: str) -> None:
        """Say what was not reached."""
        self.found["not_reached"] += parts
        self.write()
        self.say(f"not reached, with {self.clock.left_s:.0f} s left: {', '.join(parts)}")

    def attempt(self, part: str, needs_s: float, run: Callable[[], Found]) -> Found:
        """Do a part that takes about `needs_s`, and keep what it found or why it did not."""
        if self.clock.left_s < needs_s:
            self.skip(part)
            return {}
        begun_s = self.clock.spent_s
        try:
            found = run()
        except Exception as error:  # noqa: BLE001  # the other parts are to be seen as well
            found = self.found.get(part, {}) | {"failed": in_words(error)}
        found |= {"part_s": round(self.clock.spent_s - begun_s, 2)}
        self.tell(part, found)
        return found


def in_words(error: BaseException) -> str:
    """Return an error in one line."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {' / '.join(lines[:3])}"


def make_parser(about: str, seconds: float) -> argparse.ArgumentParser:
    """Return the options that all steps share; `seconds` is the default."""
    kept = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=about, formatter_class=kept)
    parser.add_argument("--out", type=Path, default=Path("gpu"))
    parser.add_argument("--seconds", type=float, default=seconds)
    parser.add_argument("--data", type=Path, help="a folder with what the step reads")
    parser.add_argument("--workers", type=int, default=4, help="of trainings, side by side")
    parser.add_argument("--only", choices=("torch-cuda", "tensorrt-rtx"), help="of the engines")
    parser.add_argument("--rehearse", action="store_true", help="on the CPU, with tiny sizes")
    return parser


def run_step(
    name: str,
    parser: argparse.ArgumentParser,
    run: Callable[[Record, argparse.Namespace], None],
    words: Sequence[str] | None = None,
    *,
    needs: str = "",
    in_memory: bool = False,
) -> int:
    """Run a step by the command line; returns its exit code. `needs`: "gpu" or "data", or not."""
    options = parser.parse_args(words)
    if needs == "gpu" and not options.rehearse and not torch.cuda.is_available():
        sys.exit("this step needs an NVIDIA GPU, its driver and a torch built for CUDA")
    if needs == "data" and not options.rehearse and options.data is None:
        parser.error("name a folder as --data, or --rehearse, which needs none")
    name += f"-{options.only}" if options.only and name == "engines" else ""
    # a process of its own counts what it imported, too
    clock = Clock(options.seconds, _find_begin_s() if words is None else time.monotonic())
    with Record(options.out, name, clock, in_memory=in_memory) as record:
        record.found["rehearsal"] = options.rehearse
        run(record, options)
    return record.code
