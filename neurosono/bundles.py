"""A bundle with its engine running in this process."""

import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from neurosono.engine.backends import Backend
from neurosono.engine.bundle import DEMO_NAME, Bundle
from neurosono.engine.choice import open_engine
from neurosono.engine.contracts.calibration import Calibration
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.frame import Frame, take_scale
from neurosono.engine.contracts.labels import validate_labels
from neurosono.engine.contracts.manifest import Manifest, Member
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.engine.contracts.server import Server
from neurosono.engine.exam.exam import average_members
from neurosono.engine.exam.pair import open_exam
from neurosono.engine.familiarity import open_familiarity
from neurosono.engine.gate import Gate
from neurosono.engine.preprocess import preprocess
from neurosono.engine.structures.biometry import check_scale
from neurosono.results import FrameResult
from neurosono.stream.intake.evidence import EvidenceGate
from neurosono.stream.judge.read_ahead import STREAMS
from neurosono.stream.judge.worker import Worker

EVERY_FRAME_HZ = 1000.0
"""A rate of heatmaps that the first frame of an exam always passes."""


@dataclass(frozen=True, eq=False)
class OpenBundle:
    """A bundle, and the engine that runs it here; not for two threads at once.

    Made by `open_bundle` and `wrap_network`.
    """

    bundle: Bundle
    backend: Backend
    gate: Gate | None = None

    def __post_init__(self) -> None:
        size_px = self.bundle.manifest.preprocessing.size_px
        nothing = np.zeros((1, size_px, size_px), dtype=np.uint8)
        # many runtimes compile when they are first asked, and a wrong shape is told before an exam
        average_members(self.backend.infer(nothing).probabilities[0], len(self.labels))

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, in the order in which every array holds them."""
        return self.bundle.manifest.labels

    @property
    def digest(self) -> str:
        """The sha256 that names the model, whichever engine runs it."""
        return self.bundle.manifest.digest

    @property
    def intended_use(self) -> str:
        """What the model card says it is for; empty where it says nothing."""
        return str(self.bundle.manifest.card.get("intended_use", ""))

    @property
    def limits(self) -> tuple[str, ...]:
        """What the model card says it is not for."""
        return tuple(str(each) for each in self.bundle.manifest.card.get("limits", ()))

    def begin_exam(self, cam_hz: float = 5.0) -> Worker:
        """Return a judge with an exam of its own; `cam_hz` heatmaps a second of source time."""
        familiarity = open_familiarity(self.bundle)
        exam = open_exam(self.bundle)
        return Worker(self.backend, exam, cam_hz, self.gate, familiarity=familiarity)

    def judge(self, region: NDArray[np.uint8], mm_per_px: float | None = None) -> FrameResult:
        """Judge one picture by itself: `(H, W)` uint8 grey, the ultrasound region and no more.

        `mm_per_px` is the side of its pixels in millimetres of the patient, 0.01 to 2; the result
        carries it.

        As in an exam, what shows no B-mode, what the bundle's gate refuses, or what is unlike its
        training, gets no probabilities but a `skip_reason`. The maps of all classes are there.
        Raises `InputError` on another shape, dtype or scale, `EngineFailedError` where the engine
        gives no probabilities. A whole screen, or colour, is for `neurosono.judge`, which finds the
        region first.
        """
        region = np.asarray(region)
        if region.ndim != 2 or region.dtype != np.uint8 or min(region.shape) < 1:
            raise InputError(
                f"a picture must be (H, W) uint8, found {region.shape} {region.dtype}: give the "
                "ultrasound region in grey, 0 to 255"
            )
        grey = preprocess(region, self.bundle.manifest.preprocessing)
        reason = EvidenceGate().judge(region, grey, clip=0)
        clock = (uuid.uuid4().hex, 0, time.monotonic_ns(), 0.0)
        scale = structs.asdict(take_scale(check_scale(mm_per_px)))
        frame = Frame(*clock, grey if reason is None else None, reason, **scale)
        return FrameResult(self.bundle.manifest, self.begin_exam(EVERY_FRAME_HZ).judge(frame))


def open_bundle(
    where: str | Path = DEMO_NAME,
    *,
    engine: str = "auto",
    precision: str | None = None,
    members: int | None = None,
    threads: int = 0,
    server: Server | None = None,
    backend: Backend | None = None,
) -> OpenBundle:
    """Open a bundle's folder, or the shipped one by the name `demo`, and an engine for it.

    `engine`, `precision` and `members` choose one as `neurosono replay` does, on `threads` (0: all
    cores), or on a `server` with the engine `remote`; `backend` is one of your own instead, for the
    very network that the bundle describes. It runs in this process, with the numbers of a replay to
    the last bit. Raises `BundleError`, `EngineUnavailableError`.
    """
    bundle = Bundle.load(where)
    if backend is None:
        streams = 1 if threads == 1 else STREAMS
        wanted = (engine, precision, members, threads)
        choice = open_engine(bundle, *wanted, streams=streams, server=server)
        backend = choice.backend
    return OpenBundle(bundle, backend, Gate.open(bundle))


def wrap_network(
    backend: Backend,
    labels: tuple[str, ...],
    *,
    preprocessing: PreprocessingSpec | None = None,
    calibration: Calibration | None = None,
    name: str = "own-network",
    intended_use: str = "",
) -> OpenBundle:
    """Make a network of your own judge exams, without a folder: a bundle in memory.

    `labels` are its classes in the order of its probabilities, `preprocessing` (None: 224 px,
    letterboxed) how a region becomes its square, `calibration` what `neurosono calibrate` fits
    (None: its probabilities as they are). Its `digest` knows nothing of your weights: name them in
    `name`. Raises `InputError` where the backend's answers do not have a column a label.
    """
    manifest = Manifest(
        name=name,
        labels=validate_labels(labels),
        preprocessing=preprocessing or PreprocessingSpec(),
        members=tuple(Member(f"{number:02d}", 1.0) for number in range(backend.members)),
        card={"intended_use": intended_use},
    )
    return OpenBundle(Bundle(Path(), manifest, calibration or Calibration()), backend)
