"""Who is scanned: the invented fetus, and what is wrong with it.

Everything that is not the malformation is drawn from random streams that do not know the label, so
that age, size, position, tissue and speckle cannot give the class away.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

WEEKS_RANGE = (11.0, 38.0)
"""Gestational age in weeks: from the first look at the vault to the last scan before term."""

_BPD_WEEKS = (11, 12, 14, 16, 18, 20, 24, 28, 32, 36, 38)
_BPD_MM = (15, 19, 27, 34, 42, 48, 60, 71, 81, 90, 95)
"""Median biparietal diameter by week: a rounded reading of the usual growth charts."""


def random_stream(namespace: str, seed: int, patient: int, name: str) -> np.random.Generator:
    """Return the random stream `name` of one patient; streams of other words or numbers differ.

    The key is hashed as text, so no two (namespace, seed, patient, name) share a stream by an
    accident of how numbers are packed.
    """
    key = f"neurosono-phantom/{namespace}/{seed}/{patient}/{name}".encode()
    return np.random.default_rng(int.from_bytes(hashlib.blake2b(key, digest_size=16).digest()))


@dataclass(frozen=True)
class Finding:
    """A finding of a head that is otherwise normal, and how it shows in one patient."""

    name: str
    size: float
    """0 the smallest, 1 the largest of its kind."""
    side: int
    """-1 or 1: of the head, where it lies on one."""
    both: bool
    """Whether it lies on both, where it can."""
    way: int
    """Which of the ways in which it can show, counted modulo their number."""
    spot: tuple[float, float]
    """Where it lies within its range, each 0 to 1."""
    level: float
    """At which level it is largest, where it has a level of its own."""


@dataclass(frozen=True)
class Patient:
    """One fetus without its malformation. Lengths are in half-BPD units unless named `_mm`."""

    weeks: float
    bpd_mm: float
    cephalic_index: float
    molding: tuple[float, float, float, float]
    brain_tone: int
    rotation_rad: float
    mirrored: bool
    centre_x: float
    centre_depth: float
    skull_db: float
    fluid: float
    ventricle: float
    tissue_tone: int
    ventricle_mm: float | None = None
    """Width of both lateral ventricles, where it is asked for and not drawn by chance."""
    finding: Finding | None = None
    """What was asked for to be found in this head."""

    def shows(self, name: str) -> bool:
        """Return whether this head has the finding `name`."""
        return self.finding is not None and self.finding.name == name

    @property
    def unit_mm(self) -> float:
        """Return half the biparietal diameter, the unit in which all anatomy is drawn."""
        return self.bpd_mm / 2

    @property
    def maturity(self) -> float:
        """Return 0 at 11 weeks, 1 from 22 weeks on: how much of the anatomy can be told apart."""
        return float(np.clip((self.weeks - 11) / 11, 0, 1))


@dataclass(frozen=True)
class Malformation:
    """How one malformation shows in one patient; the class `normal` ignores all but the label."""

    label: str
    severity: float
    """0 the mildest, 1 the gravest of the class."""
    angle_rad: float
    """Where on the vault an encephalocele leaves: pi is the occiput."""
    solid: float
    """0 a sac of fluid (meningocele), 1 a sac of brain."""
    lumps: tuple[tuple[float, float, float, float], ...]
    """Irregular tissue: (x, y, size, tone) each in -1..1, scaled by what is drawn with it."""
    site: float
    """Where along the spine a defect lies: 0 thoracic, 1 lumbosacral."""
    cystic: bool
    """Whether the spinal defect carries a thin-walled sac."""

    def is_label(self, label: str) -> bool:
        """Return whether this is the malformation `label`."""
        return self.label == label


def draw_weeks(namespace: str, seed: int, patient: int) -> float:
    """Return the gestational age in weeks, alike for every label."""
    return float(random_stream(namespace, seed, patient, "age").uniform(*WEEKS_RANGE))


def draw_patient(namespace: str, seed: int, patient: int) -> Patient:
    """Return the fetus of this patient number, alike for every label."""
    weeks = draw_weeks(namespace, seed, patient)
    rng = random_stream(namespace, seed, patient, "fetus")
    rotation = float(rng.normal(0, 0.35) + np.pi * rng.integers(2))
    if rng.random() < 0.2:
        rotation = rng.uniform(0, 2 * np.pi)
    bpd_mm = float(np.interp(weeks, _BPD_WEEKS, _BPD_MM)) * float(rng.normal(1, 0.035))
    m = rng.normal(0, 0.010, 4)
    return Patient(
        weeks=weeks,
        bpd_mm=bpd_mm,
        cephalic_index=float(np.clip(rng.normal(0.79, 0.035), 0.70, 0.88)),
        molding=(float(m[0]), float(m[1]), float(m[2]), float(m[3])),
        brain_tone=int(rng.integers(98, 132)),
        rotation_rad=float(rotation),
        mirrored=bool(rng.random() < 0.5),
        centre_x=float(rng.normal(0, 0.10)),
        centre_depth=float(rng.uniform(0.44, 0.58)),
        skull_db=float(rng.uniform(-4, 2)),
        fluid=float(rng.uniform(0.0, 0.45)),
        ventricle=float(rng.uniform(0.8, 1.15)),
        tissue_tone=int(rng.integers(128, 166)),
    )


def draw_malformation(label: str, namespace: str, seed: int, patient: int) -> Malformation:
    """Return what is wrong with this patient; the same draw serves every label."""
    rng = random_stream(namespace, seed, patient, "malformation")
    occipital = rng.random() < 0.8
    angle = rng.normal(np.pi, 0.14) if occipital else rng.choice([-1, 1]) * rng.uniform(0.1, 1.9)
    lumps = tuple(
        (float(x), float(y), float(s), float(t)) for x, y, s, t in rng.uniform(-1, 1, (9, 4))
    )
    return Malformation(
        label=label,
        severity=float(rng.beta(1.6, 1.3)),
        angle_rad=float(angle),
        solid=float(rng.choice([0.0, 0.5, 1.0])),
        lumps=lumps,
        site=float(rng.uniform(0, 1)),
        cystic=bool(rng.random() < 0.4),
    )
