"""A bundle with its engine running in this process: a classifier, or one that reads beside it."""

import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from neurosono.engine.backends import Backend
from neurosono.engine.bundle import DEMO_NAME, Bundle
from neurosono.engine.choice import open_engine
from neurosono.engine.contracts.calibration import Calibration
from neurosono.engine.contracts.errors import BundleError, InputError
from neurosono.engine.contracts.frame import Frame, take_scale
from neurosono.engine.contracts.labels import validate_labels
from neurosono.engine.contracts.manifest import CLASSIFIER, Manifest, Member
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.engine.contracts.server import Server
from neurosono.engine.exam.exam import average_members
from neurosono.engine.exam.pair import open_exam
from neurosono.engine.familiarity import open_familiarity
from neurosono.engine.gate import Gate
from neurosono.engine.kinds import Heard, Reader, find_kind
from neurosono.engine.preprocess import preprocess
from neurosono.engine.signature import choose_keys
from neurosono.engine.structures.biometry import check_scale
from neurosono.engine.structures.weeks import check_weeks
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
        region = _check_region(region)
        grey = preprocess(region, self.bundle.manifest.preprocessing)
        reason = EvidenceGate().judge(region, grey, clip=0)
        clock = (uuid.uuid4().hex, 0, time.monotonic_ns(), 0.0)
        scale = structs.asdict(take_scale(check_scale(mm_per_px)))
        frame = Frame(*clock, grey if reason is None else None, reason, **scale)
        return FrameResult(self.bundle.manifest, self.begin_exam(EVERY_FRAME_HZ).judge(frame))


@dataclass(frozen=True, eq=False)
class OpenReader:
    """An open bundle of a kind that is no classifier's, such as `structures`.

    Made by `open_bundle`; not for two threads at once.
    """

    bundle: Bundle
    reader: Reader

    def judge(
        self,
        region: NDArray[np.uint8],
        *,
        mm_per_px: float | None = None,
        weeks: float | None = None,
    ) -> Heard:
        """Read one picture by itself: `(H, W)` uint8 grey, the ultrasound region and no more.

        `mm_per_px` is the side of one of its pixels in millimetres; without it nothing is in
        millimetres. `weeks` is the gestational age, for bundles that are bound to one: without it,
        and without the head's size in millimetres, they abstain. What comes has a `to_dict()`,
        under the names of `frames.jsonl`'s `readings`. Raises `InputError` on another shape or
        dtype, or a scale or weeks that cannot be, and `EngineFailedError`.
        """
        region = _check_region(region)
        h, w = region.shape
        frame = Frame(
            *(uuid.uuid4().hex, 0, time.monotonic_ns(), 0.0),
            preprocess(region, self.bundle.manifest.preprocessing),
            region_px=(0, 0, w, h),
            **structs.asdict(take_scale(check_scale(mm_per_px))),
        )
        return self.reader.read(frame, check_weeks(weeks))

    @property
    def digest(self) -> str:
        """The sha256 that names the model, whichever engine runs it."""
        return self.bundle.manifest.digest


@overload
def open_bundle(
    where: Literal["structures", "patterns"],
    *,
    threads: int = 0,
    require_signed: bool = False,
    trusted_keys: str | Path | None = None,
) -> OpenReader: ...


@overload
def open_bundle(
    where: Literal["demo"] = "demo",
    *,
    engine: str = "auto",
    precision: str | None = None,
    members: int | None = None,
    threads: int = 0,
    server: Server | None = None,
    backend: Backend | None = None,
    require_signed: bool = False,
    trusted_keys: str | Path | None = None,
) -> OpenBundle: ...


@overload
def open_bundle(
    where: str | Path,
    *,
    engine: str = "auto",
    precision: str | None = None,
    members: int | None = None,
    threads: int = 0,
    server: Server | None = None,
    backend: Backend | None = None,
    require_signed: bool = False,
    trusted_keys: str | Path | None = None,
) -> Any: ...


def open_bundle(
    where: str | Path = DEMO_NAME,
    *,
    engine: str = "auto",
    precision: str | None = None,
    members: int | None = None,
    threads: int = 0,
    server: Server | None = None,
    backend: Backend | None = None,
    require_signed: bool = False,
    trusted_keys: str | Path | None = None,
) -> OpenBundle | OpenReader:
    """Open a bundle's folder, or a shipped one by its name, and an engine for it.

    A classifier, such as `demo`, gives an `OpenBundle`; a bundle of another kind, such as
    `structures` or `patterns`, an `OpenReader`, which takes `threads` and who must have signed it.

    `engine`, `precision` and `members` choose one as `neurosono replay` does, on `threads` (0: all
    cores), or on a `server` with the engine `remote`; `backend` is one of your own instead, for the
    very network that the bundle describes. It runs in this process, with the numbers of a replay to
    the last bit. With `trusted_keys`, a file of `NAME KEY` a line, or `require_signed`, for the one
    in the user's config folder, nothing is opened that no key of it signed. Raises `BundleError`,
    `EngineUnavailableError`.
    """
    bundle = Bundle.load(where, kind=None, trusted=choose_keys(require_signed, trusted_keys))
    if bundle.manifest.kind != CLASSIFIER:
        if (engine, precision, members, server, backend) != ("auto", None, None, None, None):
            raise InputError(
                f"a bundle of the kind {bundle.manifest.kind} has one engine: leave engine, "
                "precision, members, server and backend out"
            )
        return OpenReader(bundle, find_kind(bundle).open(bundle, threads))
    return _open_classifier(bundle, engine, precision, members, threads, server, backend)


def open_classifier(
    where: str | Path | OpenBundle = DEMO_NAME,
    backend: Backend | None = None,
    trusted: str | None = None,
) -> OpenBundle:
    """Open what carries an exam, signed by a key of the list `trusted` where that is given.

    Raises `BundleError` for a bundle of another kind, or one that nobody trusted signed.
    """
    if isinstance(where, OpenBundle):
        if trusted is not None and where.bundle.signer is None:
            raise BundleError(
                "the open bundle was opened without asking who signed it: open it with "
                "require_signed, or with the list of trusted_keys"
            )
        return where
    bundle = Bundle.load(where, trusted=trusted)
    return _open_classifier(bundle, "auto", None, None, 0, None, backend)


def _open_classifier(
    bundle: Bundle,
    engine: str,
    precision: str | None,
    members: int | None,
    threads: int,
    server: Server | None,
    backend: Backend | None,
) -> OpenBundle:
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


def _check_region(region: NDArray[np.uint8]) -> NDArray[np.uint8]:
    region = np.asarray(region)
    if region.ndim != 2 or region.dtype != np.uint8 or min(region.shape) < 1:
        raise InputError(
            f"a picture must be (H, W) uint8, found {region.shape} {region.dtype}: give the "
            "ultrasound region in grey, 0 to 255"
        )
    return region
