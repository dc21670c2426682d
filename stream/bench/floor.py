"""The floor: one process, hand-tuned, with nothing that makes an exam. The honest yardstick.

It decodes the same file, brings the same region to the same scale, runs the same compiled graph and
draws probabilities and heatmap on the full frame. It has no processes, no messages, no screen
finder, no gate, no exam, no journal and no accounts, and it takes the grey from the Y plane as it
is. Run as `python -m stream.bench.floor`: a job as JSON on standard input, its answer on standard
output.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import openvino as ov

from neurosono.engine.backends import configure
from neurosono.engine.backends.openvino import INPUT, take_members
from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.preprocess import resize
from neurosono.stream.view.heatmap import HEAT_TABLE

WARMUP = 30
PROBE_PICTURES = 90
"""Pictures on which each way to share the cores out is tried."""

CAM_PX = 56
"""Side to which the class map is spread before it is coloured: colours of few pixels are cheap."""


@dataclass(frozen=True)
class FloorJob:
    """What to run: `kind` is `network`, `closed` or `open`.

    `region` is x, y, w, h of the ultrasound on the screen. `streams` 0 tries which number of
    streams is fastest; `rate_hz` is the pace of `open`. `inferences` is for `network`.
    """

    kind: str
    model: str
    precision: str
    members: int
    clip: str
    region: tuple[int, int, int, int]
    labels: tuple[str, ...]
    rate_hz: float = 30.0
    streams: int = 0
    threads: int = 0
    inferences: int = 200

    def to_json(self) -> dict[str, Any]:
        """Return what the process reads."""
        return asdict(self)


class Floor:
    """The compiled graph with its requests, and one canvas."""

    def __init__(self, job: FloorJob, streams: int) -> None:
        core = ov.Core()
        model = take_members(core.read_model(job.model), job.members)
        config = configure(job.precision, job.threads, streams)
        compiled = core.compile_model(model, "CPU", config)
        self.size = int(model.input(INPUT).partial_shape[3].get_length())
        self.job = job
        self.requests = [compiled.create_infer_request() for _ in range(streams + 1)]
        self.inputs = [np.zeros((1, 1, self.size, self.size), np.uint8) for _ in self.requests]
        for request, grey in zip(self.requests, self.inputs, strict=True):
            request.set_tensor(INPUT, ov.Tensor(grey, shared_memory=True))
        _, _, width, height = job.region
        scale = self.size / max(width, height)
        self.inner = (max(1, round(width * scale)), max(1, round(height * scale)))
        self.canvas: Pixels | None = None

    def prepare(self, luma: Pixels, slot: int) -> None:
        """Bring the region of `luma`, (H, W), into the input of request `slot`."""
        x, y, w, h = self.job.region
        width, height = self.inner
        top, left = (self.size - height) // 2, (self.size - width) // 2
        spot = self.inputs[slot][0, 0, top : top + height, left : left + width]
        spot[:] = resize(luma[y : y + h, x : x + w], height, width)

    def draw(self, luma: Pixels, slot: int) -> None:
        """Draw the full frame, the heatmap over the region, and a bar a class."""
        if self.canvas is None:
            self.canvas = np.zeros((*luma.shape, 3), np.uint8)
        canvas, request = self.canvas, self.requests[slot]
        cv2.cvtColor(luma, cv2.COLOR_GRAY2BGR, dst=canvas)
        shares = request.get_tensor("probabilities").data[0].mean(axis=0)
        cam = request.get_tensor("cams").data[0, :, int(shares.argmax())].mean(axis=0)
        peak = max(float(cam.max()), 1e-6)
        level = cv2.convertScaleAbs(np.maximum(cam, 0), alpha=255.0 / peak)
        coloured = cv2.applyColorMap(cv2.resize(level, (CAM_PX, CAM_PX)), HEAT_TABLE)
        x, y, w, h = self.job.region
        spot = canvas[y : y + h, x : x + w]
        cv2.addWeighted(spot, 0.7, cv2.resize(coloured, (w, h)), 0.3, 0.0, dst=spot)
        for place, (label, share) in enumerate(zip(self.job.labels, shares, strict=True)):
            base = 24 + 22 * place
            cv2.rectangle(canvas, (8, base), (8 + int(120 * share), base + 6), (233, 180, 86), -1)
            words = f"{label} {share:.2f}"
            cv2.putText(canvas, words, (8, base - 3), cv2.FONT_HERSHEY_PLAIN, 0.9, (255,) * 3)


def read_luma(clip: str, threads: str) -> Iterator[tuple[Pixels, Any]]:
    """Decode and yield each picture's Y plane, (H, W), without a copy, with its frame."""
    with av.open(str(Path(clip).absolute())) as container:
        video = container.streams.video[0]
        video.thread_type = threads
        for frame in container.decode(video):
            plane = frame.planes[0]
            rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
            yield rows[: frame.height, : frame.width], frame


def run_closed(floor: Floor, pictures: int = 0) -> dict[str, Any]:
    """Run as fast as it can over the clip, or its first `pictures`."""
    slots = len(floor.requests)
    pending: list[tuple[int, Any, Any]] = []
    moments: list[int] = []
    begun = time.process_time()
    for count, (luma, frame) in enumerate(read_luma(floor.job.clip, "AUTO")):
        if pictures and count >= pictures:
            break
        if count == WARMUP:
            begun = time.process_time()
        slot = count % slots
        if len(pending) == slots:
            _finish(floor, pending.pop(0), moments)
        floor.prepare(luma, slot)
        floor.requests[slot].start_async()
        pending.append((slot, luma, frame))  # the frame owns the memory that luma looks at
        if len(pending) == slots:
            _finish(floor, pending.pop(0), moments)
    for each in pending:
        _finish(floor, each, moments)
    warm = moments[min(WARMUP, len(moments) // 2) :]
    return {
        "fps": round((len(warm) - 1) * 1e9 / max(1, warm[-1] - warm[0]), 3),
        "pictures": len(moments),
        "cpu_ms_per_frame": round((time.process_time() - begun) * 1e3 / max(1, len(warm)), 3),
    }


def _finish(floor: Floor, pending: tuple[int, Any, Any], moments: list[int]) -> None:
    slot, luma, _ = pending
    floor.requests[slot].wait()
    floor.draw(luma, slot)
    moments.append(time.monotonic_ns())


def run_open(floor: Floor) -> dict[str, Any]:
    """Run in real time, each picture decoded once it is due; ages are from then to its overlay.

    Nothing is dropped: a picture that is late makes the next one late too, and both are counted so.
    """
    period_ns = 1e9 / floor.job.rate_hz
    pictures = read_luma(floor.job.clip, "NONE")
    ages, begun_ns = [], time.monotonic_ns() + int(5e6)
    for count in range(1 << 30):
        due_ns = begun_ns + int(count * period_ns)
        time.sleep(max(0.0, (due_ns - time.monotonic_ns()) / 1e9))
        luma, _ = next(pictures, (None, None))
        if luma is None:
            break
        floor.prepare(luma, 0)
        floor.requests[0].infer()
        floor.draw(luma, 0)
        ages.append((time.monotonic_ns() - due_ns) / 1e6)
    return {"ages_ms": [round(age, 3) for age in ages[min(WARMUP, len(ages) // 2) :]]}


def run_network(floor: Floor) -> dict[str, Any]:
    """Run the compiled graph alone, one picture after the other, and with all requests busy."""
    rng = np.random.default_rng(0)
    for grey in floor.inputs:
        grey[:] = rng.integers(0, 256, grey.shape, dtype=np.uint8)
    alone_ms = []
    for _ in range(floor.job.inferences):
        begun_ns = time.monotonic_ns()
        floor.requests[0].infer()
        alone_ms.append((time.monotonic_ns() - begun_ns) / 1e6)
    return {"latencies_ms": [round(each, 4) for each in alone_ms[len(alone_ms) // 10 :]]}


def run_job(job: FloorJob) -> dict[str, Any]:
    """Run one job; `streams` in the answer is what was used."""
    streams = job.streams or 1
    if job.kind == "closed" and not job.streams:
        tried = {
            n: run_closed(Floor(job, n), PROBE_PICTURES)["fps"]
            for n in (1, max(2, len(os.sched_getaffinity(0))))
        }
        streams = max(tried, key=tried.__getitem__)
    floor = Floor(job, streams)
    answer = {"closed": run_closed, "open": run_open, "network": run_network}[job.kind](floor)
    peak_mib = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
    return {**answer, "streams": streams, "peak_mib": peak_mib}


def main() -> None:
    """Run the job on standard input."""
    found = json.loads(sys.stdin.read())
    cv2.setNumThreads(1)
    found |= {"region": tuple(found["region"]), "labels": tuple(found["labels"])}
    json.dump(run_job(FloorJob(**found)), sys.stdout)


if __name__ == "__main__":
    main()
