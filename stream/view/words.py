"""How the screens say things, in one place."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from neurosono.engine.contracts.frame import SkipReason
from neurosono.engine.contracts.result import ExamSnapshot, ExamState

SKIP_WORDS: dict[SkipReason, str] = {
    SkipReason.FROZEN: "frozen",
    SkipReason.NEAR_DUPLICATE: "near-duplicate",
    SkipReason.DOPPLER: "Doppler",
    SkipReason.SPECTRUM: "spectrum or M-mode",
    SkipReason.NOT_ULTRASOUND: "not ultrasound",
    SkipReason.NOT_HEAD_OR_SPINE: "not head or spine",
    SkipReason.UNFAMILIAR: "unfamiliar",
    SkipReason.UNFAMILIAR_TO_MODEL: "unfamiliar to model",
    SkipReason.OTHER_WEEKS: "other weeks",
    SkipReason.LAYOUT_CHANGE: "layout change",
    SkipReason.DAMAGED: "damaged",
    SkipReason.SUPERSEDED: "superseded",
    SkipReason.ENGINE_OFF: "engine off",
}
"""Why a frame adds no evidence, as it stands on a screen."""

STATE_SENTENCES: dict[ExamState, str] = {
    ExamState.COLLECTING: "Too few independent frames to say anything yet.",
    ExamState.AMBIGUOUS: "Not exactly one class is left in the prediction set.",
    ExamState.STABLE: "One class is left in the prediction set.",
    ExamState.UNFAMILIAR: "These pictures are unlike those that the model was trained on: it says "
    "nothing of them.",
}
"""What the state of an exam means, in one sentence that screen, page, report and files share."""

SILENT = (ExamState.COLLECTING, ExamState.UNFAMILIAR)
"""States in which no screen, page, table or report shows a percentage of the exam."""


def has_figures(exam: ExamSnapshot) -> bool:
    """Whether an exam's probabilities and intervals may be shown."""
    return exam.state not in SILENT and bool(np.isfinite(exam.probabilities).all())


def name_engine(said: Mapping[str, Any]) -> str:
    """Return what judges, as it says itself when it is ready."""
    words = "{backend} {precision} x{members}".format(**said)
    return f"{words}, for the server that is away" if "stands_in_for" in said else words


def name_leaning(labels: tuple[str, ...], exam: ExamSnapshot) -> str | None:
    """Return the class that a collecting exam leans to; None in every other state."""
    known = bool(np.isfinite(exam.probabilities).all())
    if exam.state is not ExamState.COLLECTING or not known:
        return None
    return labels[int(np.argmax(exam.probabilities))]


LEANS = "leans"
"""What stands in place of a figure at the class that a collecting exam leans to."""

NO_VALUE = "—"


def tell_unused(used: int, skipped: Mapping[str, int]) -> str | None:
    """Return in one sentence why nothing was judged, the commonest reason first; None if some was.

    `skipped` counts frames by the value of their `SkipReason`.
    """
    total = sum(skipped.values())
    if used or not total:
        return None
    reasons = sorted(skipped.items(), key=lambda item: (-item[1], item[0]))
    words = {str(reason): word for reason, word in SKIP_WORDS.items()}
    said = ", ".join(f"{count} {words.get(name, name)}" for name, count in reasons if count)
    return f"Nothing was judged: of {total} sampled frames none could be used ({said})."


def percentage(probability: float) -> str:
    """Return a probability in words that never claim 0 or 100 %: no model is that certain."""
    if not math.isfinite(probability):
        return NO_VALUE
    if probability < 0.005:
        return "<1%"
    return ">99%" if probability >= 0.995 else f"{probability * 100:.0f}%"
