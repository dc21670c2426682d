"""What an exam's report says, apart from how it is set: an HTML page today, others may follow."""

import contextlib
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurosono.engine.bundle import DEMO_NAME, Bundle
from neurosono.engine.contracts.arrays import Floats
from neurosono.engine.contracts.errors import BundleError, InputError
from neurosono.engine.contracts.manifest import Manifest
from neurosono.stream.journal.describe import describe_readings
from neurosono.stream.journal.reader import ExamSummary, KeyFrame, Reader, Recorded
from neurosono.stream.report.events import History, HistoryMaker
from neurosono.stream.view.words import has_figures

LAST = "last"
"""In place of an exam's id: the newest one."""
MOST_POINTS = 700
"""Points of a curve: more than a printed page resolves."""

Point = tuple[float, Floats, Floats, Floats]
"""Seconds since the exam began, and mean, low and high of its probabilities, `(C,)` each."""


@dataclass(frozen=True, eq=False)
class ReportPicture:
    """A kept frame; `at_s` since the exam began.

    `label` and `probability` are what the engine said of this very frame, None where it did not
    judge it; the key frame's own label is another thing: what it was kept or reassigned as.
    """

    key: KeyFrame
    at_s: float
    label: str | None
    probability: float | None


@dataclass(frozen=True, eq=False)
class Report:
    """All that a report says of an exam.

    `manifest` is None where the bundle that judged the exam is not at hand. `planes` counts the
    used frames of each plane that the gate named, None where it named none.
    """

    exam: ExamSummary
    written_wall_ns: int
    curve: tuple[Point, ...]
    history: History
    pictures: tuple[ReportPicture, ...]
    engine: dict[str, Any]
    manifest: Manifest | None
    planes: dict[str, int] | None = None
    readings: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What bundles beside the first read, as in `exam.json`, by their names."""


def describe_report(reader: Reader, exam_id: str, bundle: Bundle | None = None) -> Report:
    """Gather an exam's report; `exam_id` may be the beginning of an id, or `last`.

    Raises `InputError` where there is no such exam, and `BundleError` for a `bundle` other than the
    one that judged it. Without `bundle`, the shipped one is taken if it is the one.
    """
    exam = reader.exam(resolve_exam(reader, exam_id))
    manifest = _find_manifest(exam, bundle)
    keys = reader.key_frames(exam.exam_id)
    wanted = {(key.stream_id, key.seq) for key in keys}
    said: dict[tuple[str, int], Recorded] = {}
    curve, maker, planes = ThinnedCurve(), HistoryMaker(exam), Counter[str]()
    for recorded in reader.results(exam.exam_id):
        result = recorded.result
        at_s = _since(exam, recorded.wall_ns)
        maker.hear_result(at_s, result)
        if recorded.judged and has_figures(result.exam):
            curve.add((at_s, result.exam.probabilities, result.exam.low, result.exam.high))
        if result.used and result.plane is not None:
            planes[result.plane] += 1
        if (result.stream_id, result.seq) in wanted:
            said[result.stream_id, result.seq] = recorded
    engine = _hear_events(reader, exam, maker)
    pictures = [_describe_picture(exam, key, said.get((key.stream_id, key.seq))) for key in keys]
    now_ns = time.time_ns()
    return Report(
        exam=exam,
        written_wall_ns=now_ns,
        curve=curve.points(),
        history=maker.finish(now_ns),
        pictures=tuple(pictures),
        engine=engine,
        manifest=manifest,
        planes=dict(planes) or None,
        readings=describe_readings(reader, exam) if "readers" in exam.about else {},
    )


class ThinnedCurve:
    """Thins out as it grows: of any exam so many points at equal steps, and the very last."""

    def __init__(self, most: int = MOST_POINTS) -> None:
        self._most, self._stride, self._count = most, 1, 0
        self._points: list[Point] = []
        self._last: Point | None = None

    def add(self, point: Point) -> None:
        """Take the next point."""
        self._last = point
        if self._count % self._stride == 0:
            self._points.append(point)
            if len(self._points) > 2 * self._most:
                self._points, self._stride = self._points[::2], 2 * self._stride
        self._count += 1

    def points(self) -> tuple[Point, ...]:
        """Return the points that are left."""
        if self._last is None:
            return ()
        kept = self._points[:: 1 + len(self._points) // self._most]
        return tuple(kept if kept[-1] is self._last else [*kept, self._last])


def _hear_events(reader: Reader, exam: ExamSummary, maker: HistoryMaker) -> dict[str, Any]:
    """Tell `maker` all events; return what is known of the engine that judged last."""
    engine = {name: exam.about.get(name) for name in ("backend", "precision", "members")}
    for event in reader.events(exam.exam_id):
        maker.hear_event(_since(exam, event.wall_ns), event)
        if event.name == "ready":
            engine |= event.fields
    return engine


def resolve_exam(reader: Reader, exam_id: str) -> str:
    """Return an exam's id, or its beginning, with `last` put into words that the journal knows.

    Raises `InputError` where nothing has been recorded yet.
    """
    if exam_id != LAST:
        return exam_id
    found = reader.connection.execute(
        "SELECT name FROM exam ORDER BY begun_wall_ns DESC, id DESC LIMIT 1"
    ).fetchone()
    if found is None:
        raise InputError("no exam has been recorded yet: `neurosono live SOURCE` records one")
    return str(found[0])


def _find_manifest(exam: ExamSummary, bundle: Bundle | None) -> Manifest | None:
    digest = exam.about["bundle_sha256"]
    if bundle is not None:
        if bundle.manifest.digest != digest:
            raise BundleError(
                f"exam {exam.exam_id} was judged by bundle {digest[:12]}…, found "
                f"{bundle.manifest.digest[:12]}… in {bundle.root}: name the bundle of that exam"
            )
        return bundle.manifest
    with contextlib.suppress(BundleError):  # a report does not need the shipped bundle
        shipped = Bundle.load(DEMO_NAME)
        return shipped.manifest if shipped.manifest.digest == digest else None
    return None


def _describe_picture(exam: ExamSummary, key: KeyFrame, recorded: Recorded | None) -> ReportPicture:
    # what is offered is kept seconds after it was seen: its result tells when that was
    at_s = _since(exam, key.wall_ns if recorded is None else recorded.wall_ns)
    if recorded is None or recorded.result.probabilities is None:
        return ReportPicture(key, at_s, None, None)
    said = recorded.result.probabilities
    leading = int(np.argmax(said))
    return ReportPicture(key, at_s, exam.labels[leading], float(said[leading]))


def _since(exam: ExamSummary, wall_ns: int) -> float:
    return max(0.0, (wall_ns - exam.begun_wall_ns) / 1e9)
