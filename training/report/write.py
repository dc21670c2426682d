"""From predictions to `index.html` and `report.json`."""

from pathlib import Path
from typing import Any

import numpy as np

from neurosono.engine.bundle import Bundle, write_json
from neurosono.engine.contracts.cache import Cache
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.contracts.predictions import Predictions
from neurosono.engine.files import write_whole, writing
from neurosono.engine.judgement import salt_of
from neurosono.training.metrics.metrics import describe_fully
from neurosono.training.metrics.resampling import Draws
from neurosono.training.recipe import PAPER
from neurosono.training.report.answers import read_answers
from neurosono.training.report.curves import trace_curves
from neurosono.training.report.optimism import measure_optimism
from neurosono.training.report.page import render_page
from neurosono.training.report.pictures import FramePictures, draw_worst
from neurosono.training.report.published import PUBLISHED
from neurosono.training.report.readers import describe_readers
from neurosono.training.report.subgroups import describe_subgroups
from neurosono.training.report.worst import check_holds, choose_worst, holds, set_worst
from neurosono.training.run import PAPER_PREDICTIONS_NAME, PREDICTIONS_NAME

SCHEMA = "neurosono-report/1"
SCOPE_OUT_OF_FOLD = "patients held out in training, each by the one member that never saw her"
SCOPE_OPTIMISTIC = (
    SCOPE_OUT_OF_FOLD + "; but epochs were chosen on these very patients: the figures are too good"
)
SCOPE_UNSEEN = "patients that no member was trained on, by the whole ensemble"
FOLDER = "report"
PAGE_NAME = "index.html"
REPORT_NAME = "report.json"


def write_report(
    root: Path,
    frames: Predictions,
    *,
    cache: Cache | None,
    paper: Predictions | None = None,
    readers: Path | None = None,
    scope: str,
    out: Path | None = None,
) -> dict[str, Any]:
    """Write the report of the bundle at `root` and return what stands in its `report.json`.

    `frames` are uncalibrated, of patients that trained nothing, and `scope` says in words whose;
    `cache` is the one that they were judged on, for the pictures of the worst exams; `paper` the
    same patients judged by the paper's selection; `readers` a reader study's table; `out` the
    folder, by default the bundle's own `report`. Raises `InputError` on input that does not fit,
    `OutputError` where the folder cannot be written; nothing is written then.
    """
    bundle = Bundle.load(root)
    if frames.labels != bundle.manifest.labels:
        raise InputError(
            f"the predictions are of labels {list(frames.labels)}, the bundle of "
            f"{list(bundle.manifest.labels)}: train again"
        )
    salt = salt_of(bundle)
    if cache is not None:
        check_holds(cache, frames, salt)
    shown = _calibrate(bundle, frames) or frames
    answers = None
    if readers is not None:
        answers = read_answers(readers, frames.by_exam(), salt, cache)
    worst = choose_worst(shown)
    draws = Draws.bootstrap(frames)
    report = {
        "schema": SCHEMA,
        "notice": NOTICE,
        "scope": scope,
        "labels": list(frames.labels),
        "bundle": _describe_bundle(bundle),
        "data": _describe_data(frames),
        "resamples": len(draws.weights),
        "raw": _describe_levels(frames, draws),
        "calibrated": None if shown is frames else _describe_levels(shown, draws),
        "optimism": None if paper is None else measure_optimism(frames, paper),
        "subgroups": describe_subgroups(shown, draws),
        "readers": None if answers is None else describe_readers(shown.by_exam(), answers),
        "worst": set_worst(worst, shown),
        "published": PUBLISHED,
    }
    pictures: dict[int, FramePictures] = {}
    if cache is not None:
        drawn = draw_worst(bundle, cache, frames, worst)
        pictures = {int(frames.rows[at]): each for at, each in drawn.items()}
    _write(out or root / FOLDER, report, render_page(report, pictures))
    return report


def write_held_out_report(
    bundle: Bundle, cache: Cache | None, *, readers: Path | None = None, out: Path | None = None
) -> dict[str, Any]:
    """Write the report on the patients held out in training, from what `train` left of them.

    `cache` is the one that was trained on, or None for a report without pictures. Returns and
    raises as `write_report`.
    """
    left = bundle.root / FOLDER
    paper = left / PAPER_PREDICTIONS_NAME
    recipe = bundle.manifest.card.get("recipe", {})
    return write_report(
        bundle.root,
        Predictions.read(left / PREDICTIONS_NAME),
        cache=cache,
        paper=Predictions.read(paper) if paper.is_file() else None,
        readers=readers,
        scope=SCOPE_OPTIMISTIC if recipe.get("selection") == PAPER else SCOPE_OUT_OF_FOLD,
        out=out,
    )


def is_trained_on(cache: Cache, bundle: Bundle) -> bool:
    """Return whether `cache` holds the pictures of the bundle's held-out predictions."""
    path = bundle.root / FOLDER / PREDICTIONS_NAME
    return path.is_file() and holds(cache, Predictions.read(path), salt_of(bundle))


def _calibrate(bundle: Bundle, frames: Predictions) -> Predictions | None:
    """Return calibrated frames; None where the bundle was not calibrated."""
    if bundle.manifest.calibration is None:
        return None
    return frames.with_probabilities(bundle.calibration.calibrate(frames.probabilities))


def _describe_levels(frames: Predictions, draws: Draws) -> dict[str, Any]:
    levels = {"frames": frames, "exams": frames.by_exam()}
    return {
        name: describe_fully(level, draws) | {"curves": trace_curves(level)}
        for name, level in levels.items()
    }


def _describe_bundle(bundle: Bundle) -> dict[str, Any]:
    card = bundle.manifest.card
    fitted = card.get("metrics", {}).get("calibration", {}).get("fitted_on", "not said on what")
    calibrated = bundle.manifest.calibration is not None
    return {
        "name": bundle.manifest.name,
        "digest": bundle.manifest.digest,
        "members": len(bundle.manifest.members),
        "calibration": f"fitted on {fitted}" if calibrated else "none",
        "what": str(card.get("what", "not stated")),
        "intended_use": str(card.get("intended_use", "not stated")),
        "limits": [str(limit) for limit in card.get("limits", [])],
    }


def _describe_data(frames: Predictions) -> dict[str, Any]:
    _, first = np.unique(frames.patients, return_index=True)
    targets = frames.targets[first]
    return {
        "patients": len(first),
        "exams": len(np.unique(frames.exams)),
        "frames": len(frames.rows),
        "patients_by_class": {
            label: int((targets == number).sum()) for number, label in enumerate(frames.labels)
        },
    }


def _write(out: Path, report: dict[str, Any], page: str) -> None:
    """Write both files, each aside and then renamed."""
    advice = "free some space or choose another --out"
    with writing(out, advice):
        out.mkdir(parents=True, exist_ok=True)
    write_whole(out / PAGE_NAME, page, advice=advice)
    write_json(out / REPORT_NAME, report)
