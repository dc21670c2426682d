"""How an archive scales past the cores that there are: Ray's workers, with a share of a core each.

Run as root, `python -m tests.archive.cores --share 0.1 --jobs 1 2 4 8`: a local cluster's workers,
each held to that share by a control group of its own once all have opened the bundle, do as many
exams each. What is told is exams a second while they are held, and what they cost the process that
hands them out.
"""

import argparse
import contextlib
import shutil
import sys
import tempfile
import time
from pathlib import Path

import psutil

from neurosono.archive.options import ArchiveOptions, Asked
from neurosono.archive.run import Progress, run_archive
from neurosono.stream.bench.clip import render_clip

GROUPS = Path("/sys/fs/cgroup")
PERIOD_US = 100_000
BEFORE = 4
"""Exams of each worker before it is measured; it is held after half of them."""


class Held:
    """Workers that are held to a share of a core each, and when how many exams were done."""

    def __init__(self, jobs: int, share: float) -> None:
        """Hold nobody yet."""
        self._at, self._share = jobs * BEFORE // 2, share
        self._groups: list[Path] = []
        self.done_s: dict[int, tuple[float, float]] = {}
        """When so many exams were done, and the processor time that this process had taken."""

    def note(self, progress: Progress) -> None:
        """Hear how far the archive is."""
        self.done_s[progress.done] = time.monotonic(), time.process_time()
        if progress.done >= self._at and not self._groups:
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    if (process.cmdline() or [""])[0].startswith("ray::"):
                        self._groups.append(hold(process.pid, self._share))

    def let_go(self) -> None:
        """Remove the groups, once their processes are gone."""
        for group in self._groups:
            group.rmdir()


def hold(pid: int, share: float) -> Path:
    """Put a process into a control group of its own, by version 2 or 1; returns the group."""
    quota_us = int(share * PERIOD_US)
    if (GROUPS / "cgroup.controllers").is_file():
        (GROUPS / "cgroup.subtree_control").write_text("+cpu")
        group, limits = GROUPS / f"cores-{pid}", {"cpu.max": f"{quota_us} {PERIOD_US}"}
    else:
        group = GROUPS / "cpu" / f"cores-{pid}"
        limits = {"cpu.cfs_period_us": f"{PERIOD_US}", "cpu.cfs_quota_us": f"{quota_us}"}
    group.mkdir()
    for name, limit in limits.items():
        (group / name).write_text(limit)
    (group / "cgroup.procs").write_text(f"{pid}")
    return group


def measure(folder: Path, clip: Path, jobs: int, share: float, exams: int) -> tuple[float, float]:
    """Return exams a second of `jobs` held workers, and this process's ms of each."""
    archive = folder / f"archive-{jobs}"
    archive.mkdir()
    for number in range(jobs * (BEFORE + exams)):
        shutil.copy(clip, archive / f"{number}{clip.suffix}")
    held = Held(jobs, share)
    options = ArchiveOptions((str(archive),), folder / f"out-{jobs}", jobs=jobs, cluster="local")
    try:
        assert run_archive(options, Asked("demo", ""), held.note)["complete"]
    finally:
        held.let_go()
    first, last = min(each for each in held.done_s if each >= jobs * BEFORE), max(held.done_s)
    took_s, own_s = (b - a for a, b in zip(held.done_s[first], held.done_s[last], strict=True))
    return (last - first) / took_s, 1e3 * own_s / (last - first)


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.archive.cores", description=__doc__)
    parser.add_argument("--share", type=float, default=0.1, help="of a core, each worker's")
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--exams", type=int, default=16, help="of each worker, measured")
    parser.add_argument("--seconds", type=float, default=0.5, help="of each exam")
    asked = parser.parse_args()
    one: float | None = None
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(render_clip(Path(folder), asked.seconds, 25.0, (320, 240)).sources[0])
        for jobs in asked.jobs:
            rate, own_ms = measure(Path(folder), clip, jobs, asked.share, asked.exams)
            one = one or rate / jobs
            sys.stdout.write(
                f"{jobs} workers of {asked.share:g} cores: {rate:.3f} exams a second, "
                f"{rate / one / jobs:.3f} of {jobs} times one; {own_ms:.1f} ms each to hand out\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
