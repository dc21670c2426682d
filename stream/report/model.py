"""The model card on a report: what judged, what it learnt from, and where it must not be trusted.

Only what a reader of an exam needs. The card's list of training patients stays behind.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from neurosono.stream.report.gather import Report


@dataclass(frozen=True)
class ModelCard:
    """What a report says of the model, `limits` only where its bundle is at hand."""

    facts: dict[str, Any]
    limits: tuple[str, ...] = ()


def describe_model(report: Report) -> ModelCard:
    """Return the card as words."""
    about, manifest = report.exam.about, report.manifest
    digest = about["bundle_sha256"]
    facts: dict[str, Any] = {"Bundle": about.get("bundle") or "-", "Digest": digest}
    if "student_sha256" in about:
        facts["Student"] = f"{about.get('student') or '-'}, digest {about['student_sha256']}"
    if manifest is None:
        return ModelCard(facts | {"Classes": ", ".join(report.exam.labels)})
    card = manifest.card
    facts |= {
        "What": card.get("what"),
        "Data": card.get("data"),
        "Trained on": _describe_training(card.get("training_data")),
        "Intended use": card.get("intended_use"),
        "Networks": f"{len(manifest.members)} members",
        "Classes": ", ".join(manifest.labels),
        **_describe_metrics(card.get("metrics")),
    }
    limits = card.get("limits") or ["The card names no limits: trust nothing of it."]
    limits = [limits] if isinstance(limits, str) else limits
    known = {name: value for name, value in facts.items() if value is not None}
    return ModelCard(known, tuple(map(str, limits)))


def _describe_training(data: Any) -> str | None:
    if not isinstance(data, Mapping):
        return None
    words = f"{data.get('patients', '?')} patients, {data.get('frames', '?')} frames"
    classes = data.get("classes")
    if isinstance(classes, Mapping):
        each = (
            f"{label} {counts.get('patients', '?')}"
            for label, counts in classes.items()
            if isinstance(counts, Mapping)
        )
        words += f" (patients: {', '.join(each)})"
    return words


_SPLITS = {"out_of_fold": "Held-out folds", "unseen": "Unseen patients"}


def _describe_metrics(metrics: Any) -> dict[str, str]:
    """Return the exam accuracy on each set of patients that the model was not trained on."""
    found: dict[str, str] = {}
    for name, words in _SPLITS.items():
        exams = metrics.get(name, {}).get("exams") if isinstance(metrics, Mapping) else None
        if not isinstance(exams, Mapping) or "accuracy" not in exams:
            continue
        low, high = exams.get("accuracy_95", (None, None))
        interval = "" if low is None else f" (95 %: {low:.0%} to {high:.0%})"
        said = f"{exams['accuracy']:.1%} of {exams.get('count', '?')} exams right{interval}"
        found[words] = said
    return found
