"""How a gate's heads are fitted."""

from dataclasses import dataclass


@dataclass(frozen=True)
class GateRecipe:
    """How the heads are fitted: inverse strengths of the shrinkage, and how free the opinion is.

    `opinion` is the scale at which SonoNet's opinion enters, so that shrinking hardly touches it;
    `phantom_share` is the phantoms' part of the heads, and of the others.
    """

    freedom: float = 0.0003
    planes_freedom: float = 0.01
    opinion: float = 3.0
    phantom_share: float = 0.25
