"""An exam, its models and its latencies in the words of `exam.json`."""

from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.arrays import Floats
from neurosono.engine.contracts.codec import describe
from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.contracts.result import ExamSnapshot, Result
from neurosono.stream.view.words import STATE_SENTENCES, tell_unused

EXAM_SCHEMA = "neurosono-exam/1"


PERCENTILES = {"p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}


class Latencies:
    """Milliseconds of every stage of every frame."""

    def __init__(self) -> None:
        self._samples: dict[str, list[float]] = {}

    def add(self, stage_ms: dict[str, float]) -> None:
        """Add one frame's stages."""
        for stage, milliseconds in stage_ms.items():
            self._samples.setdefault(stage, []).append(milliseconds)

    def summarise(self) -> dict[str, dict[str, float]]:
        """Return p50, p95, p99 and max of each stage, milliseconds."""
        return {
            stage: {
                name: round(float(np.percentile(samples, percentile)), 3)
                for name, percentile in PERCENTILES.items()
            }
            for stage, samples in self._samples.items()
        }


def name_values(labels: tuple[str, ...], values: Floats | None) -> dict[str, float] | None:
    """Return `{label: value}`, or None where there are no finite values."""
    if values is None or not np.isfinite(values).all():
        return None
    return dict(zip(labels, values.tolist(), strict=True))


def describe_values(labels: tuple[str, ...], value: Struct) -> Any:
    """Return a result or an exam in plain words and numbers, under the names it is encoded by.

    Of arrays, those of the classes by label, members as lists, and a heatmap not at all.
    """

    def plain(array: NDArray[Any]) -> Any:
        if array.ndim == 1:
            return name_values(labels, array)
        return array.tolist() if array.ndim == 2 else None

    return describe(value, plain)


def describe_snapshot(labels: tuple[str, ...], exam: ExamSnapshot) -> dict[str, Any]:
    """Return an exam in plain words; `mean` is there whether or not whole exams are calibrated."""
    said: dict[str, Any] = describe_values(labels, exam)
    mean = said["probabilities"] if exam.mean is None else said["mean"]
    return said | {"set": list(exam.prediction_set), "mean": mean}


def describe_result(labels: tuple[str, ...], result: Result) -> dict[str, Any]:
    """Return a result in plain words: every field but the heatmap, and whether it was `used`."""
    said: dict[str, Any] = describe_values(labels, result)
    del said["cam"]
    return said | {
        "used": result.used,
        "exam": describe_snapshot(labels, result.exam),
        "stage_ms": {stage: round(value, 3) for stage, value in result.stage_ms.items()},
    }


def describe_exam(labels: tuple[str, ...], exam: ExamSnapshot) -> dict[str, Any]:
    """Return what `exam.json` says of the exam itself; without evidence nothing is predicted."""
    said = describe_snapshot(labels, exam)
    probabilities, low, high = said["probabilities"], said["low"], said["high"]
    prediction = (
        None if probabilities is None else max(probabilities, key=probabilities.__getitem__)
    )
    return {
        "schema": EXAM_SCHEMA,
        "notice": NOTICE,
        "labels": list(labels),
        "probabilities": probabilities,
        "intervals_95": None
        if low is None or high is None
        else {label: [low[label], high[label]] for label in labels},
        "prediction": prediction,
        "prediction_set": said["set"],
        "state": said["state"],
        "state_sentence": STATE_SENTENCES[exam.state],
        "effective_frames": round(exam.effective_frames, 3),
        "mean": said["mean"],
        "alarm": exam.alarm,
        "nothing_used": tell_unused(exam.used, exam.skipped),
    } | ({} if exam.carried is None else {"carried_by": _describe_carried(exam)})


def _describe_carried(exam: ExamSnapshot) -> dict[str, Any]:
    assert exam.carried is not None
    return {
        "carrier": str(exam.carried.by),
        "ensemble_frames": exam.carried.judged,
        "student_frames": exam.used,
        "both_lead_with_the_same_class": exam.carried.agrees,
        "ensemble_failed": exam.carried.failed,
        "words": exam.carried.describe(exam.used),
    }


def describe_models(bundle: Bundle, student: Bundle | None) -> dict[str, Any]:
    """Return what `exam.json` says of the bundle, and of the student beside it."""
    named = {"bundle": bundle} | ({} if student is None else {"student": student})
    return {
        role: {"name": each.manifest.name, "sha256": each.manifest.digest}
        for role, each in named.items()
    }
