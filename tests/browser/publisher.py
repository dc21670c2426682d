"""A session that follows a script: phantom pictures and whatever status a test asks for."""

import threading
import time
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from neurosono.engine.contracts.labels import DEFAULT_LABELS
from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.stream.page.hub import Hub
from neurosono.stream.phantom.exam import PhantomSpec, exam_frames
from neurosono.stream.view.heatmap import Heatmap, paint_heatmap

RATE_HZ = 25.0


def draw_regions(count: int, label: str = "holoprosencephaly") -> list[NDArray[np.uint8]]:
    """Return the ultrasound regions of `count` phantom screens, grey."""
    spec = PhantomSpec(label, seed=7, seconds=20.0, width_px=1024, height_px=768)
    regions = []
    for frame in exam_frames(spec):
        if frame.kind == "bmode" and len(regions) < count:
            x, y, w, h = frame.region
            regions.append(cv2.cvtColor(frame.pixels[y : y + h, x : x + w], cv2.COLOR_BGR2GRAY))
        if len(regions) == count:
            break
    return regions


def draw_heatmap(region: NDArray[np.uint8], label: str, seq: int) -> NDArray[np.uint8]:
    """Return a heatmap over its own frame; where it is hot moves with `seq`."""
    y, x = np.mgrid[0:7, 0:7]
    cam = np.exp(-((x - 3 - np.sin(seq / 9)) ** 2 + (y - 3) ** 2) / 3.0).astype(np.float32)
    heatmap = Heatmap(cam, region, label, seq, 0.0)
    scale = 480 / region.shape[1]
    size = round(region.shape[0] * scale), 480
    return paint_heatmap(heatmap, size, PreprocessingSpec())


def make_status(index: int, **changes: Any) -> dict[str, Any]:
    """Return a status of an exam that goes well, changed as asked."""
    status: dict[str, Any] = {
        "exam": "20260314-0917",
        "index": index,
        "seq": index // 2,
        "pts_s": 72.4 + index / RATE_HZ,
        "age_ms": 41.0,
        "ai": "AI ON",
        "ai_reason": "",
        "labels": list(DEFAULT_LABELS),
        "probabilities": [0.03, 0.17, 0.64, 0.04, 0.12],
        "low": [0.01, 0.09, 0.51, 0.01, 0.05],
        "high": [0.10, 0.29, 0.76, 0.12, 0.23],
        "prediction_set": ["holoprosencephaly", "encephalocele"],
        "state": "ambiguous",
        "effective_frames": 38.2,
        "frames": {
            "decoded": 1810 + index,
            "displayed": 1806 + index,
            "dropped": 4,
            "sampled": 905 + index // 2,
            "used": 412 + index // 4,
            "skipped": {"near-duplicate": 391, "frozen": 62, "doppler": 31, "not-ultrasound": 9},
        },
        "skip_reason": None,
        "engine": "openvino int8 x3",
        "frozen_by_scanner": False,
        "mode": "concurrent",
        "notice": NOTICE,
    }
    return status | changes


class Publisher:
    """Publishes at the scanner's rate on a thread of its own, until it is stopped.

    `changes` go into every status; `pictures` False leaves the picture out, `silent` everything.
    """

    def __init__(self, hub: Hub, regions: list[NDArray[np.uint8]]) -> None:
        self.hub, self.regions = hub, regions
        self.changes: dict[str, Any] = {}
        self.pictures, self.heatmaps, self.silent = True, True, False
        self.index = 0
        self.cpu_s = 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="publisher")

    def __enter__(self) -> "Publisher":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def show_evidence(self) -> None:
        """Publish a frame of evidence for some classes."""
        for place, label in enumerate(DEFAULT_LABELS[:3]):
            for rank in range(2):
                region = self.regions[(place * 2 + rank) % len(self.regions)]
                about = {"rank": rank, "pts_s": 12.0 + place, "probability": 0.8 - 0.1 * rank}
                self.hub.publish_evidence(label, region, about)

    def show_key_frame(self, number: int, verdict: str = "proposed", label: str = "normal") -> None:
        """Publish a kept frame."""
        about = {"label": label, "verdict": verdict, "pts_s": 10.0 * number, "kept_by": "auto"}
        region = self.regions[(number * 3) % len(self.regions)]
        self.hub.publish_key_frame(f"k{number}", region, about)

    def _run(self) -> None:
        next_s = time.monotonic()
        while not self._end.is_set():
            self._publish_one()
            self.index += 1
            next_s += 1 / RATE_HZ
            self._end.wait(max(0.0, next_s - time.monotonic()))

    def _publish_one(self) -> None:
        if self.silent:
            return
        status = make_status(self.index, **self.changes)
        region = self.regions[self.index % len(self.regions)]
        if not self.pictures:
            if self.index % 5 == 0:
                self.hub.publish_status(status)
            return
        self.hub.publish(region, status)
        if self.heatmaps and self.index % 6 == 0 and status["ai"] == "AI ON":
            painted = draw_heatmap(region, "holoprosencephaly", self.index)
            about = {"label": "holoprosencephaly", "seq": self.index, "age_ms": 60.0}
            self.hub.publish_heatmap(painted, about)
