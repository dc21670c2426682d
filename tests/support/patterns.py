"""A patterns bundle whose network is written down: on any bright picture it contradicts itself.

It says a lateral ventricle at 0.60 and a severely wide one at 0.87 in the same place, a cavum, and
surer that none is to be seen; and a mega cisterna magna that stays below its threshold.
"""

from pathlib import Path

from neurosono.engine.contracts.manifest import PATTERNS
from neurosono.engine.patterns.groups import GROUPS
from neurosono.engine.patterns.names import (
    FINDINGS,
    LABELS,
    MEGA_CISTERNA,
    NO_CSP,
    SEVERE_WIDTH,
)
from neurosono.engine.patterns.rules import CARD_KEY, Rules
from neurosono.engine.structures.names import CSP, FALX, LV
from neurosono.engine.structures.weeks import CARD_KEY as WEEKS_KEY
from tests.support.structures import write_bundle

SHOWN = (
    (LV, 0, 0.36),
    (SEVERE_WIDTH, 0, 0.76),
    (CSP, -16, 0.36),
    (NO_CSP, -16, 0.81),
    (FALX, 16, 0.81),
    (MEGA_CISTERNA, 16, 0.36),
)
"""A score is the root of these: centre-ness is 1."""
THRESHOLD = 0.7
DWELL = 3


def make_rules(dwell: int = DWELL, threshold: float = THRESHOLD) -> Rules:
    """Return rules of one threshold."""
    return Rules(GROUPS, dict.fromkeys(FINDINGS, threshold), dwell)


def make_patterns_bundle(
    root: Path, name: str = "patterns", weeks: tuple[float, float] | None = None
) -> Path:
    """Write the bundle, bound to `weeks` or to none; returns `root`."""
    card = {"intended_use": "tests", CARD_KEY: make_rules().to_json()}
    card |= {} if weeks is None else {WEEKS_KEY: list(weeks)}
    return write_bundle(root, name, PATTERNS, LABELS, SHOWN, card)
