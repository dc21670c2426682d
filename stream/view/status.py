"""What a viewer of a live exam is told with every picture, as plain JSON."""

from typing import Any

from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.contracts.result import ExamSnapshot
from neurosono.stream.view.state import OverlayState
from neurosono.stream.view.summary import describe_snapshot
from neurosono.stream.view.words import STATE_SENTENCES, has_figures, name_leaning, tell_unused


def describe_status(
    labels: tuple[str, ...],
    state: OverlayState,
    exam: ExamSnapshot | None,
    about: dict[str, Any],
) -> dict[str, Any]:
    """Return the status; without an AI that is on, nothing of the exam is in it.

    `about` adds what is not of the exam: its name, the age of the picture, the counts.
    """
    shown = exam if state.shown_result is not None else None
    # while an exam is collecting it may lean to a class, but no figure of it is shown
    known = shown is not None and has_figures(shown)
    said = describe_snapshot(labels, shown) if shown is not None and known else {}
    return {
        **about,
        "pts_s": round(state.pts_s, 3),
        "ai": str(state.ai),
        "ai_reason": state.ai_reason,
        "opinion_age_ms": round(state.opinion_age_ms, 1),
        "labels": list(labels),
        **{name: _listed(said.get(name)) for name in ("probabilities", "low", "high")},
        "prediction_set": said.get("set", []),
        "state": str(shown.state) if shown else None,
        "leaning": name_leaning(labels, shown) if shown else None,
        "state_sentence": STATE_SENTENCES[shown.state] if shown else "",
        "nothing_used": tell_unused(shown.used, shown.skipped) if shown else None,
        "alarm": said.get("alarm", False),
        "carried_by": _describe_carried(shown),
        "effective_frames": round(shown.effective_frames, 1) if shown else 0.0,
        "skip_reason": None if state.skip_reason is None else str(state.skip_reason),
        "frozen_by_scanner": state.skip_reason == "frozen",
        "engine": state.engine,
        "notice": NOTICE,
    }


def describe_record(unrecorded: str | None) -> dict[str, Any] | None:
    """Return whether what is shown is recorded, and why not; None where no record is kept."""
    return None if unrecorded is None else {"on": not unrecorded, "reason": unrecorded}


def _describe_carried(exam: ExamSnapshot | None) -> dict[str, str] | None:
    if exam is None or exam.carried is None:
        return None
    return {"carrier": str(exam.carried.by), "words": exam.carried.describe(exam.used)}


def _listed(values: dict[str, float] | None) -> list[float] | None:
    return None if values is None else [round(value, 5) for value in values.values()]
