"""The paper in full on a GPU: a member of full width for each patient with an anomaly, left out.

    python -m neurosono.scripts.gpu_check.paper --data DIR --out OUT --seconds 330

DIR holds `paper.zip` (see `paper_packing`) with three caches: `paper`, the cohort with the paper's
counts; `start`, other patients, who train what the members start from, as ImageNet's weights are
not always at hand; `unseen`, whom nobody was trained on. The number of epochs follows from the
speed that is measured on the way. `paper.json` is written again after each part, and what the
figures can be made of again is `paper-kept.zip`. `--rehearse` does the same with tiny networks and
a few pictures, without DIR with drawn ones; its figures mean nothing.
"""

import argparse
import multiprocessing
import os
import shutil
import subprocess
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import torch
from psutil import Process

from neurosono.engine.host import describe_host
from neurosono.scripts.gpu_check.paper_parts import PACKED_NAME, Paper
from neurosono.scripts.gpu_check.paper_watch import Clock, Findings, Json

SHARED = "/dev/shm"  # noqa: S108 (a folder with a random name is made in it)
ROOM_BYTES = 24e9
"""What the members' states and weights take on disk, three of each at worst."""


def run_step(options: argparse.Namespace, work: Path) -> Json:
    """Run every part within the seconds; return what was found."""
    # From the process's start: what was imported until here took seconds too.
    clock = Clock(options.seconds, time.monotonic() - (time.time() - Process().create_time()))
    options.out.mkdir(parents=True, exist_ok=True)
    findings = Findings(options.out, describe_run(options))
    step = Paper(options.out, work, clock, findings, options.workers, options.rehearse)
    guard = threading.Timer(clock.left_s, give_up, (step,))
    guard.daemon = True
    guard.start()
    step.attempt("data", lambda: step.prepare(options.data))
    step.attempt("start", step.train_start)
    step.attempt("members", step.train_members)
    step.attempt("kept", step.keep)
    step.attempt("sizes", step.measure_sizes)
    step.attempt("figures", step.read_figures)
    guard.cancel()
    findings.tell("end", {"took_s": round(clock.spent_s, 1)})
    return findings.data


def give_up(step: Paper) -> None:
    """End the step where a part hangs: what was found stands on disk already."""
    step.findings.tell("end", {"failed": "the time was up in the middle of a part"})
    if step.figures is not None:
        step.figures.kill()
    for process in multiprocessing.active_children():
        process.kill()
    shutil.rmtree(step.work, ignore_errors=True)
    os._exit(3)


def choose_place() -> str | None:
    """Return a folder in memory where there is one with room: states are written all the time."""
    try:
        return SHARED if shutil.disk_usage(SHARED).free >= ROOM_BYTES else None
    except OSError:
        return None


def describe_run(options: argparse.Namespace) -> Json:
    """Return what the figures were measured on, and how."""
    return {
        "command": "python -m neurosono.scripts.gpu_check.paper "
        f"--seconds {options.seconds:g} --workers {options.workers}"
        + (" --rehearse" if options.rehearse else ""),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "rehearsal": options.rehearse,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "driver": read_driver(),
        "card": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "host": describe_host(),
    }


def read_driver() -> str | None:
    """Return the version of the GPU's driver; None where there is none."""
    asks = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(asks, capture_output=True, check=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def main(words: list[str] | None = None) -> int:
    """Run the step by the command line; exit code 0 whatever it found, as the JSON says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seconds", type=float, default=330.0)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--rehearse", action="store_true")
    options = parser.parse_args(words)
    if options.data is None and not options.rehearse:
        parser.error(f"name the folder of {PACKED_NAME} as --data, or --rehearse")
    with tempfile.TemporaryDirectory(dir=choose_place(), ignore_cleanup_errors=True) as work:
        run_step(options, Path(work))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
