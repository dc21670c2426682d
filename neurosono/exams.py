"""A recorded exam, judged in this process: no others are started."""

import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from neurosono.bundles import OpenBundle, open_classifier
from neurosono.engine.backends import Ahead, Backend
from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import NeurosonoError, SourceBrokenError
from neurosono.engine.contracts.frame import DisplayFrame, Frame, take_scale
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.kinds import find_kind
from neurosono.engine.signature import choose_keys
from neurosono.engine.structures.biometry import check_scale
from neurosono.engine.structures.weeks import check_weeks
from neurosono.pictures import Given, open_pictures
from neurosono.results import FrameResult
from neurosono.stream.intake.evidence import EvidenceGate
from neurosono.stream.intake.intake import Intake, Taken
from neurosono.stream.intake.sampler import Sampler
from neurosono.stream.judge.reader import THREADS, read
from neurosono.stream.judge.worker import Worker
from neurosono.stream.pictures.region import parse_region
from neurosono.stream.screen.follow import Screen
from neurosono.stream.session.options import name_readers


def judge(
    source: Given,
    bundle: str | Path | OpenBundle = "demo",
    *,
    every: int | None = 1,
    rate_hz: float | None = None,
    region: str | None = None,
    mm_per_px: float | None = None,
    weeks: float | None = None,
    show_screen: bool = False,
    cam_hz: float = 5.0,
    pictures_hz: float = 25.0,
    backend: Backend | None = None,
    also: Sequence[str | Path] = (),
    require_signed: bool = False,
    trusted_keys: str | Path | None = None,
) -> Iterator[tuple[DisplayFrame, FrameResult]]:
    """Judge one exam, picture by picture: yields every sampled picture with its result.

    `source` is the path of a clip, still, DICOM file or folder, `phantom:LABEL?seed=7`, or a list
    of those; a `Source` of your own; or any iterable of pictures, `(H, W)` grey or `(H, W, 3)` BGR
    uint8 arrays, `pictures_hz` a second, or `Picture`s that know their times. `bundle` is a folder,
    `demo`, or an `OpenBundle`; `backend` runs it where it is given.

    One picture in `every` is sampled, or `rate_hz` a second of source time (then `every` is None).
    The ultrasound is found on each screen, or is `region`, `x,y,w,h` in pixels; pictures hold it
    alone unless `show_screen`. `mm_per_px` is the side of a screen's pixel in millimetres of the
    patient, 0.01 to 2; it counts before what a DICOM file says, and every result carries whichever
    there is. At most `cam_hz` results a second carry class maps. `also` names bundles of any kind,
    such as `structures`, that read the same pictures: each result carries their `readings`; `weeks`
    is the gestational age, for those that are bound to one. `require_signed` and `trusted_keys` are
    as in `open_bundle`, of every bundle named; an `OpenBundle` must have been opened so.

    Nothing is lost and nothing waits for a clock: the results are those of `neurosono replay` on
    the same pixels, to the last bit. The region is first sought in eight pictures, so the first
    result comes after the eighth; named sources are also read a few pictures ahead.

    Raises `InputError` (`SourceError`, `BundleError`, `EngineUnavailableError`) before anything is
    begun; while it runs, `SourceBrokenError` after the last picture that can be read, or that is
    one, and `EngineFailedError`.
    """
    screen = Screen(None if region is None else parse_region(region), show_screen=show_screen)
    sampler = Sampler(None if rate_hz is not None and every == 1 else every, rate_hz)
    check_scale(mm_per_px)
    check_weeks(weeks)
    pictures, named = open_pictures(source, pictures_hz)
    trusted = choose_keys(require_signed, trusted_keys)
    opened = open_classifier(bundle, backend, trusted)
    if backend is not None and opened.backend is not backend:
        opened = OpenBundle(opened.bundle, backend, opened.gate)
    beside = name_readers([Bundle.load(each, kind=None, trusted=trusted) for each in also])
    intake = Intake(
        pictures,
        screen=screen,
        sampler=sampler,
        gate=EvidenceGate(),
        spec=opened.bundle.manifest.preprocessing,
        stream_id=uuid.uuid4().hex,
        show_screen=show_screen,
        scale=take_scale(mm_per_px),
        readers={name: each.manifest.preprocessing for name, each in beside.items()},
    )
    readings = Readings(beside, weeks)
    return _judge(intake, opened, opened.begin_exam(cam_hz), readings, ahead=named)


class Readings:
    """The bundles that read beside the first, open in this process, each with its own exam."""

    def __init__(self, bundles: Mapping[str, Bundle], weeks: float | None = None) -> None:
        self._weeks = weeks
        kinds = {name: find_kind(each) for name, each in bundles.items()}
        self._readers = {name: kinds[name].open(each, THREADS) for name, each in bundles.items()}
        self._exams = {name: kinds[name].begin(each) for name, each in bundles.items()}

    def read(self, frames: Mapping[str, Frame]) -> dict[str, ReaderResult]:
        """Read a frame, prepared for each."""
        found = {
            name: read(self._readers[name], name, each, weeks=self._weeks)
            for name, each in frames.items()
        }
        for name, each in found.items():
            self._exams[name].update(each)
        return found

    @property
    def exams(self) -> dict[str, Any]:
        """What the frames so far add up to, in each kind's own words."""
        return {name: exam.snapshot() for name, exam in self._exams.items()}


def _judge(
    intake: Intake, opened: OpenBundle, worker: Worker, readings: Readings, *, ahead: bool
) -> Iterator[tuple[DisplayFrame, FrameResult]]:
    backend = opened.backend if ahead and isinstance(opened.backend, Ahead) else None
    for taken in _read_ahead(intake, backend, worker.lets_pass):
        assert taken.sampled is not None, "only sampled pictures are read ahead"
        result = worker.judge(taken.sampled)
        found = readings.read(taken.read)
        yield taken.display, FrameResult(opened.bundle.manifest, result, found, readings.exams)


def _read_ahead(
    intake: Intake, backend: Ahead | None, is_wanted: Callable[[], bool]
) -> Iterator[Taken]:
    """Yield the sampled pictures in order, while the backend works on those that come next."""
    depth = 0 if backend is None else backend.ahead
    held: deque[Taken] = deque()
    broken: SourceBrokenError | None = None
    try:
        for taken in intake.frames():
            if taken.sampled is None:
                continue
            if backend is not None and taken.sampled.pixels is not None and is_wanted():
                backend.begin(taken.sampled.pixels)
            held.append(taken)
            if len(held) > depth:
                yield held.popleft()
    except SourceBrokenError as error:
        broken = error  # the frames before it still get their results
    except GeneratorExit:
        _take_begun(backend, held)
        raise
    while held:
        yield held.popleft()
    if broken is not None:
        raise broken


def _take_begun(backend: Ahead | None, held: deque[Taken]) -> None:
    """Let go of what was begun, so that the next exam finds the engine free."""
    for taken in held:
        pixels = None if taken.sampled is None else taken.sampled.pixels
        if backend is not None and pixels is not None:
            with suppress(NeurosonoError, RuntimeError):  # the engine itself may have failed
                backend.infer(pixels[None])
