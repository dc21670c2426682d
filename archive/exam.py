"""One exam into one row, in whatever process this runs."""

import faulthandler
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from functools import cache
from typing import Any

import cv2

from neurosono.archive.book import Exam, Outcome
from neurosono.archive.options import Asked
from neurosono.bundles import OpenBundle, open_bundle
from neurosono.engine.contracts.errors import BundleError, NeurosonoError, RunError, SourceError
from neurosono.exams import judge
from neurosono.results import ExamResult
from neurosono.stream.pictures.picture import Picture, Source
from neurosono.stream.sources import open_source

SILENT_S = 300.0
"""A worker that decodes no picture for so long hangs, and ends itself: its exam is done again."""

BEAT_S = 1.0


def open_worker(asked: Asked) -> OpenBundle:
    """Open the bundle on one thread, whoever else works: so the numbers are the same everywhere.

    Raises `BundleError` where it is another bundle than the one that the archive was begun with.
    """
    cv2.setNumThreads(1)
    opened: OpenBundle = open_bundle(
        asked.bundle,
        engine=asked.engine,
        precision=asked.precision,
        members=asked.members,
        threads=1,
        trusted_keys=asked.trusted_keys,
    )
    if opened.digest != asked.digest:
        raise BundleError(
            f"the bundle {asked.bundle} is {opened.digest[:12]} here, expected "
            f"{asked.digest[:12]}: every machine of an archive needs the same one"
        )
    return opened


@cache
def _open_nowhere() -> int:
    """Return a descriptor of nothing, one for all watches of the process."""
    return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)


class Watch:
    """Ends this process where no picture came for `silent_s`, even if a decoder holds Python up."""

    def __init__(self, silent_s: float = SILENT_S) -> None:
        """`silent_s` counts from the last beat."""
        self._silent_s, self._beaten_s = silent_s, -BEAT_S
        self._begun_by = multiprocessing.parent_process()

    def beat(self) -> None:
        """Say that there is progress; ends the process where the one that began it is gone."""
        now_s = time.monotonic()
        if now_s - self._beaten_s < BEAT_S:
            return
        self._beaten_s = now_s
        if self._begun_by is not None and not self._begun_by.is_alive():
            sys.exit("the archive's own process is gone")
        faulthandler.dump_traceback_later(self._silent_s, exit=True, file=_open_nowhere())

    def rest(self) -> None:
        """Expect nothing until the next beat."""
        faulthandler.cancel_dump_traceback_later()
        self._beaten_s = -BEAT_S


class _Counted:
    """A source whose pictures are counted, and tell a watch that there is progress."""

    def __init__(self, source: Source, watch: Watch) -> None:
        self._source, self._watch = source, watch
        self.decoded = 0

    @property
    def description(self) -> str:
        return self._source.description

    def pictures(self) -> Iterator[Picture]:
        for picture in self._source.pictures():
            self.decoded += 1
            self._watch.beat()
            yield picture


def judge_exam(exam: Exam, opened: OpenBundle, asked: Asked, watch: Watch) -> Outcome:
    """Judge one exam; an error of the exam's own is its outcome, with what came before it."""
    watch.beat()
    row: dict[str, Any] = {}
    failure: NeurosonoError | None = None
    try:
        gathered = len(exam.sources) > 1
        source = open_source(exam.sources, frame_threads=False, gathered=gathered)
        row["left_out"] = len(source.left_out)
        failure = _judge(_Counted(source, watch), opened, asked, row)
    except NeurosonoError as error:
        failure = error
    except OSError as error:
        failure = SourceError(f"the system refused a file: {error.strerror or error}")
    finally:
        watch.rest()
    if failure is None:
        return Outcome(exam.number, row=row)
    return Outcome(exam.number, type(failure).__name__, str(failure), row)


def _judge(
    source: _Counted, opened: OpenBundle, asked: Asked, row: dict[str, Any]
) -> NeurosonoError | None:
    """Fill `row`, and return what broke the exam off, None where nothing did."""
    options: dict[str, Any] = {"every": asked.every, "rate_hz": asked.rate_hz}
    exam: ExamResult | None = None
    failure: NeurosonoError | None = None
    sampled = 0
    try:
        pairs = judge(source, opened, region=asked.region, cam_hz=0.0, **options)
        for _, result in pairs:
            sampled, exam = sampled + 1, result.exam
    except NeurosonoError as error:
        failure = error
    backend = opened.backend
    row |= {
        "decoded": source.decoded,
        "sampled": sampled,
        "engine": f"{backend.name} {backend.precision} x{backend.members}",
    }
    if exam is not None:
        row |= _describe(exam)
        if exam.used + sum(exam.skipped.values()) != sampled:
            return RunError(f"the frames do not add up: {sampled} sampled, {exam.skipped} skipped")
    return failure


def _describe(exam: ExamResult) -> dict[str, Any]:
    """Return the figures of an exam, as `exam.json` has them."""
    said = exam.to_json()
    row: dict[str, Any] = {name: said[name] for name in ("state", "prediction", "alarm")}
    row |= {"prediction_set": " ".join(said["prediction_set"]), "used": exam.used}
    row |= {"effective_frames": said["effective_frames"]}
    for reason, count in exam.skipped.items():
        row[f"skipped_{reason.replace('-', '_')}"] = count
    for label, probability in (said["probabilities"] or {}).items():
        row[f"p_{label}"] = probability
    for label, (low, high) in (said["intervals_95"] or {}).items():
        row |= {f"low_{label}": low, f"high_{label}": high}
    return row
