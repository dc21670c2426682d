"""Calibrating a bundle: held-out predictions in, calibration.json and its report out."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from neurosono.calibration.fit import Wishes, apply
from neurosono.calibration.page import write_page
from neurosono.calibration.report import Fitted, fit, shorten
from neurosono.engine.backends import Backend
from neurosono.engine.bundle import Bundle, write_calibration, write_json, write_manifest
from neurosono.engine.contracts.cache import Cache
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.contracts.predictions import Predictions
from neurosono.engine.judgement import check_fits, check_unseen, judge, salt_of

PREDICTIONS_PATH = Path("report") / "predictions.csv"
REPORT_PATH = Path("report") / "calibration.json"
PAGE_PATH = Path("report") / "calibration.html"


def read_out_of_fold(bundle: Bundle) -> Predictions:
    """Return what training left of held-out patients; raise `InputError` on other labels."""
    found = Predictions.read(bundle.root / PREDICTIONS_PATH)
    if found.labels != bundle.manifest.labels:
        raise InputError(
            f"the predictions of {bundle.root} are of labels {list(found.labels)}, the bundle of "
            f"{list(bundle.manifest.labels)}: train again"
        )
    return found


def judge_unseen(
    bundle: Bundle, cache: Cache, backend: Backend, name_by: str | None = None
) -> Predictions:
    """Let the ensemble judge a cache of patients that trained nothing, which is checked.

    Their pseudonyms are salted by `name_by`, by default as the bundle's own training patients'.
    """
    check_fits(bundle, cache)
    data: dict[str, Any] = bundle.manifest.card.get("training_data", {})
    salt = salt_of(bundle)
    check_unseen(cache, salt, data.get("patients_seen", []))
    rows = np.arange(len(cache.rows), dtype=np.int64)
    return judge(backend, cache, rows, fold=-1, salt=salt if name_by is None else name_by)


def calibrate_bundle(
    bundle: Bundle,
    frames: Predictions,
    wishes: Wishes,
    of: str,
    measure: Callable[[Predictions], dict[str, Any]] | None = None,
) -> Fitted:
    """Fit on `frames` and write calibration, report and manifest; `of` says whose frames.

    `measure`, where given, says how good the calibrated frames are: that goes on the card.

    The manifest comes last: until then the bundle is what it was.
    """
    fitted = fit(frames, wishes)
    patients = len(np.unique(frames.patients))
    about = {"fitted_on": of, "patients": patients, "alpha": wishes.alpha}
    report = {"notice": NOTICE, "labels": list(frames.labels)} | about | fitted.report
    (bundle.root / REPORT_PATH).parent.mkdir(exist_ok=True)
    write_json(bundle.root / REPORT_PATH, report)
    write_page(bundle.root / PAGE_PATH, bundle.manifest.name, fitted.calibration, report)
    file = write_calibration(bundle.root, fitted.calibration)
    metrics = dict(bundle.manifest.card.get("metrics", {}))
    if measure is not None:
        metrics["unseen"] = measure(apply(fitted.calibration, frames))
    metrics["calibration"] = about | {"cross_checked": shorten(fitted.report["cross_checked"])}
    card = bundle.manifest.card | {"metrics": metrics}
    write_manifest(bundle.root, replace(bundle.manifest, calibration=file, card=card))
    return fitted
