"""Runs the floor as a process of its own, on the clip and the engine that are being measured."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from neurosono.engine.bundle import Bundle
from neurosono.engine.choice import rank_engines
from neurosono.engine.contracts.errors import InputError, RunError
from neurosono.stream.bench.clip import BenchClip
from neurosono.stream.bench.floor import FloorJob
from neurosono.stream.bench.settings import BenchSettings
from neurosono.stream.processes.spawn import HEAP
from neurosono.stream.screen.find import find_region
from neurosono.stream.screen.follow import WARMUP_PICTURES
from neurosono.stream.sources import open_source

LIMIT_S = 4000.0
"""Longer than any clip that a bench plays; a floor that hangs is ended."""


class Yardstick:
    """The floor for one bench: remembers which share of the cores was fastest."""

    def __init__(self, settings: BenchSettings, bundle: Bundle, clip: BenchClip) -> None:
        """Raises `InputError` where there is no OpenVINO engine, or more than one plain clip."""
        if settings.engine not in ("auto", "openvino"):
            raise InputError(
                f"the floor runs on OpenVINO, not {settings.engine}: choose --engine openvino"
            )
        entry = rank_engines(bundle, "openvino", settings.precision, settings.members)[0][0]
        graph = next(file.path for file in entry.files if file.path.endswith(".xml"))
        region, rate_hz = _look_at(clip)
        self._job = FloorJob(
            kind="network",
            model=str((bundle.root / graph).resolve()),
            precision=entry.precision,
            members=settings.members or len(bundle.manifest.members),
            clip=clip.sources[0],
            region=region,
            labels=bundle.manifest.labels,
            rate_hz=rate_hz,
            threads=settings.threads,
        )
        self._streams = 0

    def run(self, kind: str) -> dict[str, Any]:
        """Run `network`, `closed` or `open` once; raises `RunError` where it does not end well."""
        streams = self._streams if kind == "closed" else 1
        job = replace(self._job, kind=kind, streams=streams)
        done = subprocess.run(
            [sys.executable, "-m", "neurosono.stream.bench.floor"],
            input=json.dumps(job.to_json()),
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            env=os.environ | HEAP,
            check=False,
        )
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise RunError(f"the floor failed ({last}): run the bench without --floor")
        answer: dict[str, Any] = json.loads(done.stdout)
        if kind == "closed":
            self._streams = int(answer["streams"])
        return answer


def _look_at(clip: BenchClip) -> tuple[tuple[int, int, int, int], float]:
    """Return the region on the clip's first pictures and the clip's rate."""
    path = Path(clip.sources[0])
    if len(clip.sources) != 1 or not path.is_file():
        raise InputError("the floor needs one clip in a file: name one, or leave the source out")
    source = open_source(clip.sources)
    pictures = [picture.pixels for picture in islice(source.pictures(), WARMUP_PICTURES)]
    height, width = pictures[0].shape[:2]
    found = find_region(pictures)
    region = (0, 0, width, height) if found is None else (found.x, found.y, found.w, found.h)
    return region, source.nominal_rate_hz
