"""How the screens say things, in one place."""

import math
from collections.abc import Mapping

from neurosono.engine.contracts.frame import SkipReason

SKIP_WORDS: dict[SkipReason, str] = {
    SkipReason.FROZEN: "frozen",
    SkipReason.NEAR_DUPLICATE: "near-duplicate",
    SkipReason.DOPPLER: "Doppler",
    SkipReason.SPECTRUM: "spectrum or M-mode",
    SkipReason.NOT_ULTRASOUND: "not ultrasound",
    SkipReason.NOT_HEAD_OR_SPINE: "not head or spine",
    SkipReason.UNFAMILIAR: "unfamiliar",
    SkipReason.LAYOUT_CHANGE: "layout change",
    SkipReason.DAMAGED: "damaged",
    SkipReason.SUPERSEDED: "superseded",
    SkipReason.ENGINE_OFF: "engine off",
}
"""Why a frame adds no evidence, as it stands on a screen."""

NO_VALUE = "—"


def tell_unused(used: int, skipped: Mapping[str, int]) -> str | None:
    """Return in one sentence why nothing was judged, the commonest reason first; None if some was.

    `skipped` counts frames by the value of their `SkipReason`.
    """
    total = sum(skipped.values())
    if used or not total:
        return None
    reasons = sorted(skipped.items(), key=lambda item: (-item[1], item[0]))
    said = ", ".join(f"{count} {SKIP_WORDS[SkipReason(name)]}" for name, count in reasons if count)
    return f"Nothing was judged: of {total} sampled frames none could be used ({said})."


def percentage(probability: float) -> str:
    """Return a probability in words that never claim 0 or 100 %: no model is that certain."""
    if not math.isfinite(probability):
        return NO_VALUE
    if probability < 0.005:
        return "<1%"
    return ">99%" if probability >= 0.995 else f"{probability * 100:.0f}%"
