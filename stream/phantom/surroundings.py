"""The mother around the fetus: abdominal wall, placenta, fluid, a limb or a loop of cord in it."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from neurosono.engine.contracts.arrays import Singles
from neurosono.stream.phantom.canvas import FLUID_TONE
from neurosono.stream.phantom.patient import Patient
from neurosono.stream.phantom.probe import LINES, SAMPLES, Geometry

DB_PER_TONE = 60 / 255
"""The 8-bit backscatter scale spans 60 dB, about what a scanner's screen can show."""

Plane = Singles


def tone_to_amplitude(tone: Singles) -> Plane:
    """Return linear echo amplitude, 1 at tone 255."""
    out: Plane = np.power(10.0, (tone - 255) * (DB_PER_TONE / 20)).astype(np.float32)
    return out


def cloud(rng: np.random.Generator, rows: int, columns: int) -> Plane:
    """Return smooth noise of about unit variance, (SAMPLES, LINES), in `rows` x `columns` lumps."""
    coarse = rng.standard_normal((rows + 2, columns + 2)).astype(np.float32)
    out: Plane = cv2.resize(coarse, (LINES, SAMPLES), interpolation=cv2.INTER_CUBIC)
    return out


@dataclass(frozen=True)
class Surroundings:
    """What the scan lines meet outside the fetus, in polar samples.

    `fields` are two speckle fields (SAMPLES, LINES, 2), real and imaginary, to blend as the probe
    sweeps; `loss_db` (SAMPLES, LINES) is attenuation per sample beyond that of soft tissue.
    """

    fields: tuple[Plane, Plane]
    loss_db: Plane

    def at(self, sweep: float, shift_samples: float) -> Plane:
        """Return the field at a sweep phase, moved deeper by the mother's breath."""
        a, b = self.fields
        mixed = cv2.addWeighted(a, np.cos(sweep), b, np.sin(sweep), 0)
        move = np.array([[1, 0, 0], [0, 1, shift_samples]], np.float32)
        out: Plane = cv2.warpAffine(mixed, move, (LINES, SAMPLES), borderMode=cv2.BORDER_REFLECT)
        return out


def build_surroundings(
    geometry: Geometry,
    patient: Patient,
    centre_mm: tuple[float, float],
    rng: np.random.Generator,
    wet: bool = True,
    air: bool = False,
) -> Surroundings:
    """Return the mother about a fetus at `centre_mm`; without `wet` there is no amniotic cavity.

    With `air` the probe is off the skin: bright bands of reverberation over nothing.
    """
    x, z = geometry.polar_mm
    depth = np.linspace(0, geometry.depth_mm, SAMPLES, dtype=np.float32)[:, None]
    tone = (
        patient.tissue_tone
        + 13 * cloud(rng, 5, 4)
        + 10 * cloud(rng, 26, 5)
        + 9 * cloud(rng, 60, 22)
    )
    _lay_wall(tone, depth, geometry.depth_mm, rng)
    loss = np.zeros_like(tone)
    if wet:
        _open_cavity(tone, (x, z), patient, centre_mm, rng)
        for _ in range(int(rng.integers(0, 4))):
            _place_limb(tone, loss, (x, z), patient, centre_mm, rng)
    if air:
        bands = np.cos(2 * np.pi * depth / (geometry.depth_mm * rng.uniform(0.02, 0.05))) ** 2
        tone = 40 + 190 * np.exp(-depth / (0.06 * geometry.depth_mm)) * bands + 6 * cloud(rng, 3, 9)
    _lose_contact(loss, rng)
    amplitude = tone_to_amplitude(tone)[..., None]
    fields = [
        rng.standard_normal((SAMPLES, LINES, 2), dtype=np.float32) * amplitude for _ in range(2)
    ]
    return Surroundings((fields[0], fields[1]), loss.astype(np.float32))


def _inside(q: NDArray[np.floating], soft: float) -> Plane:
    """Return 1 where `q` is under 1 and 0 where it is over, over an edge of width `soft`."""
    out: Plane = (0.5 - 0.5 * np.tanh((q - 1) / (2 * soft))).astype(np.float32)
    return out


def _lay_wall(tone: Plane, depth: Plane, depth_mm: float, rng: np.random.Generator) -> None:
    """Stripe the near field with skin, fat and muscle."""
    thick = depth_mm * rng.uniform(0.05, 0.16)
    pitch = thick / rng.uniform(2.0, 4.5)
    wavy = depth + 0.25 * pitch * cloud(rng, 3, 5)
    inside = _inside(wavy / thick, 0.08)
    tone += inside * (20 * np.sin(2 * np.pi * wavy / pitch) + 8)
    tone += 26 * np.exp(-depth / (0.025 * depth_mm))


def _open_cavity(
    tone: Plane,
    at: tuple[Plane, Plane],
    patient: Patient,
    centre_mm: tuple[float, float],
    rng: np.random.Generator,
) -> None:
    """Clear the amniotic cavity, with a placenta on one of its walls."""
    u = patient.unit_mm
    grow = 1.05 + patient.fluid + 0.35 * (1 - patient.maturity)
    off = rng.normal(0, 0.16, 2) * u
    turn = patient.rotation_rad + rng.normal(0, 0.25)
    dx, dz = at[0] - centre_mm[0] - off[0], at[1] - centre_mm[1] - off[1]
    c, s = np.cos(turn), np.sin(turn)
    along, across = (c * dx + s * dz) / (1.5 * grow * u), (-s * dx + c * dz) / (1.18 * grow * u)
    q = np.hypot(along, across) + 0.09 * cloud(rng, 6, 5)
    tone += 24 * np.exp(-(((q - 1.05) / 0.05) ** 2))
    wall = rng.uniform(0, 2 * np.pi)
    lean = (dx * np.cos(wall) + dz * np.sin(wall)) / (1.3 * grow * u)
    placenta = _inside(1.72 - lean + 0.05 * cloud(rng, 9, 9), 0.03)
    fluid = _inside(q, 0.022) * (1 - placenta)
    haze = 9 * np.abs(cloud(rng, 5, 4))
    tone[:] = tone * (1 - fluid) + (FLUID_TONE + 14 + haze) * fluid


def _place_limb(
    tone: Plane,
    loss: Plane,
    at: tuple[Plane, Plane],
    patient: Patient,
    centre_mm: tuple[float, float],
    rng: np.random.Generator,
) -> None:
    """Put a limb (tissue about a bone) or a loop of cord (three vessels) beside the fetus."""
    u = patient.unit_mm
    phi = rng.uniform(0, 2 * np.pi)
    away = rng.uniform(1.45, 1.9) * u
    dx = at[0] - centre_mm[0] - away * np.cos(phi)
    dz = at[1] - centre_mm[1] - away * np.sin(phi)
    turn, size = rng.uniform(0, np.pi), rng.uniform(0.18, 0.34) * u
    c, s = np.cos(turn), np.sin(turn)
    q = np.hypot((c * dx + s * dz) / (size * rng.uniform(1, 1.8)), (-s * dx + c * dz) / size)
    inside = _inside(q, 0.06)
    tone[:] = tone * (1 - inside) + (patient.tissue_tone - 8) * inside
    if rng.random() < 0.55:
        bone = q < 0.34
        tone[bone] = 232
        loss[bone] += 1.2
        return
    for k in range(3):
        a = phi + 2.1 * k
        hole = np.hypot(dx - 0.5 * size * np.cos(a), dz - 0.5 * size * np.sin(a)) < 0.26 * size
        tone[hole] = 30


def _lose_contact(loss: Plane, rng: np.random.Generator) -> None:
    """Darken a few scan lines from the skin down, as gas or a lifted edge of the probe does."""
    lines = np.arange(LINES)
    for _ in range(int(rng.integers(0, 3))):
        edge = rng.random() < 0.6
        where = rng.choice([0, LINES - 1]) if edge else rng.uniform(0, LINES)
        wide = rng.uniform(6, 28)
        fall = rng.uniform(4, 15) * np.exp(-(((lines - where) / wide) ** 2))
        loss[4] += fall.astype(np.float32)
