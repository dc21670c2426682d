"""How the screens say things, in one place."""

from engine.contracts.frame import SkipReason

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
