"""The exclusion groups that a new bundle is given: ours, as the published ones are not known."""

from neurosono.engine.patterns.names import (
    MEGA_CISTERNA,
    MILD_WIDTH,
    NO_CSP,
    OPEN_FOURTH,
    OTHER_CYST,
    SEVERE_WIDTH,
    SINGLE_VENTRICLE,
    VENTRICLE_CYST,
)
from neurosono.engine.patterns.rules import Group
from neurosono.engine.structures.names import CISTERNA_MAGNA, CSP, LV

_ONE_PLACE = 0.3
"""The least share of the smaller box that lies in the other, if both are of one structure."""

GROUPS = (
    Group("csp", (CSP, NO_CSP), over_exam=(CSP, NO_CSP)),
    Group("midline", (CSP, SINGLE_VENTRICLE), over_exam=(CSP, SINGLE_VENTRICLE)),
    Group(
        "lateral-ventricle",
        (LV, MILD_WIDTH, SEVERE_WIDTH, SINGLE_VENTRICLE),
        cover=_ONE_PLACE,
        over_exam=(MILD_WIDTH, SEVERE_WIDTH, SINGLE_VENTRICLE),
    ),
    Group("cyst", (VENTRICLE_CYST, OTHER_CYST), cover=_ONE_PLACE),
    Group("cisterna-magna", (CISTERNA_MAGNA, MEGA_CISTERNA)),
    Group(
        "posterior-fossa",
        (OPEN_FOURTH, MEGA_CISTERNA),
        over_exam=(OPEN_FOURTH, MEGA_CISTERNA),
    ),
)
