"""What held-out predictions are worth, calibrated too, beside the published table.

    python -m neurosono.scripts.gpu_check.paper_figures predictions.csv --out figures.json
        [--paper predictions_paper.csv]

The same numbers as in `report.json` and `calibration.json`, from the predictions alone: weights of
36 networks need not travel for them.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neurosono.calibration.fit import Wishes
from neurosono.calibration.report import fit, shorten
from neurosono.engine.contracts.predictions import Predictions
from neurosono.engine.files import write_whole
from neurosono.training.metrics.metrics import describe_fully
from neurosono.training.metrics.resampling import Draws
from neurosono.training.report.optimism import measure_optimism
from neurosono.training.report.published import PUBLISHED

GOAL_ACCURACY = 0.97
GOAL_ECE = 0.03


def describe_predictions(frames: Predictions, paper: Predictions | None) -> dict[str, Any]:
    """Return every figure of held-out, uncalibrated frames; `paper` are the paper's selection's.

    Exams are calibrated by fits without their patients (`cross_checked`); None where a class has
    too few patients for that.
    """
    draws = Draws.bootstrap(frames)
    fitted = fit(frames, Wishes())
    checked = fitted.report["cross_checked"]
    exams = describe_fully(frames.by_exam(), draws)
    ece = None if checked is None else checked["exams"]["after"]["ece"]
    accuracy = exams["accuracy"]["value"]
    return {
        "exam_accuracy": accuracy,
        "exam_auroc_macro": exams["macro_auroc"]["value"],
        "exam_ece_calibrated": ece,
        "patients": len(draws.patients),
        "members": len(set(frames.folds.tolist())),
        "goals": {
            "exam_accuracy": {"goal": GOAL_ACCURACY, "met": accuracy >= GOAL_ACCURACY},
            "exam_ece": {"goal": GOAL_ECE, "met": ece is not None and ece <= GOAL_ECE},
        },
        "exams": exams,
        "frames": describe_fully(frames, draws),
        "calibrated": describe_calibrated(fitted.report),
        "optimism": None if paper is None else measure_optimism(frames, paper),
        "published": PUBLISHED,
    }


def describe_calibrated(report: dict[str, Any]) -> dict[str, Any] | None:
    """Return what calibration does for patients that it was not fitted on; None where too few."""
    checked = report["cross_checked"]
    if checked is None:
        return None
    found: dict[str, Any] = {"method": report["method"], "short": shorten(checked)}
    return found | {name: checked[name] for name in ("exams", "frames", "sets", "alarm")}


def main(words: Sequence[str] | None = None) -> int:
    """Describe the predictions that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("predictions", type=Path)
    parser.add_argument("--paper", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(words)
    paper = None if options.paper is None else Predictions.read(options.paper)
    found = describe_predictions(Predictions.read(options.predictions), paper)
    write_whole(options.out, json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
