"""The planes and structures that are told apart, by the names that users and files see."""

from neurosono.engine.contracts.errors import InputError

TRANSTHALAMIC = "trans-thalamic"
TRANSVENTRICULAR = "trans-ventricular"
TRANSCEREBELLAR = "trans-cerebellum"
SPINE = "spine"
OTHER_HEAD = "other-head"
NO_HEAD = "no-head"

HEAD_PLANES = (TRANSTHALAMIC, TRANSVENTRICULAR, TRANSCEREBELLAR)
PLANES = (*HEAD_PLANES, SPINE, OTHER_HEAD, NO_HEAD)

HEAD = "head"
CSP = "csp"
LV = "lv"
THALAMI = "thalami"
CEREBELLUM = "cerebellum"
CISTERNA_MAGNA = "cisterna-magna"
FALX = "falx"
PLEXUS = "choroid-plexus"

STRUCTURES = (CSP, LV, THALAMI, CEREBELLUM, CISTERNA_MAGNA, FALX, PLEXUS)
"""What is found as boxes; the head is found as an ellipse."""

LEARNT_ON_PHANTOMS = frozenset({THALAMI, CEREBELLUM, CISTERNA_MAGNA})
"""No public boxes of these exist, so on real pictures they are unproven, and marked so."""

EXPECTED: dict[str, tuple[str, ...]] = {
    TRANSTHALAMIC: (THALAMI, CSP, FALX),
    TRANSVENTRICULAR: (LV, PLEXUS, CSP, FALX),
    TRANSCEREBELLAR: (CEREBELLUM, CISTERNA_MAGNA, CSP),
}
"""What must be in a standard plane: ISUOG Practice Guidelines 2020 (doi 10.1002/uog.22145)."""


def check_plane(name: str) -> str:
    """Return `name`; raise `InputError` if it is no plane."""
    if name not in PLANES:
        raise InputError(f"a plane is one of {', '.join(PLANES)}; found {name!r}")
    return name
