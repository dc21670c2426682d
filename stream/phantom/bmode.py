"""From anatomy to echoes: coherent speckle, shadows, haze, compression, along the scan lines."""

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Floats, Pixels
from neurosono.stream.phantom.canvas import CANVAS_PX, HALF_EXTENT
from neurosono.stream.phantom.patient import Patient
from neurosono.stream.phantom.probe import LINES, SAMPLES, Geometry
from neurosono.stream.phantom.surroundings import Plane, Surroundings, tone_to_amplitude

_TEXTURES = 4
_TEXTURES_PER_UNIT = 9.0
"""Speckle is new after a ninth of a half-BPD of sweep: some 3 mm at mid-gestation, the thickness of
a slice."""

_NOISES = 6
_TONE_TO_AMPLITUDE = tone_to_amplitude(np.arange(256, dtype=np.float32))
_MIRROR_TO_AMPLITUDE = np.where(
    np.arange(256) == 0, 0, 2.4 * 10 ** ((np.arange(256) - 255) * (60 / 255 / 20))
).astype(np.float32)
"""Specular echoes reach 8 dB above the brightest speckle and span 60 dB."""


@dataclass(frozen=True)
class Pose:
    """Where the slice lies under the probe: centre in mm, turn, unit, handedness."""

    x_mm: float
    z_mm: float
    turn_rad: float
    unit_mm: float
    mirrored: bool

    def to_slice(self, x: Plane, z: Plane) -> tuple[Plane, Plane]:
        """Return slice coordinates, in units, of points given in mm under the probe."""
        c, s = np.cos(self.turn_rad) / self.unit_mm, np.sin(self.turn_rad) / self.unit_mm
        flip = -1 if self.mirrored else 1
        dx, dz = x - np.float32(self.x_mm), z - np.float32(self.z_mm)
        along = dx * np.float32(c) + dz * np.float32(s)
        across = dx * np.float32(-s * flip) + dz * np.float32(c * flip)
        return along, across

    def to_probe(self, points: Floats) -> Floats:
        """Return x and z in mm under the probe, (n, 2), of points in slice coordinates."""
        c, s = np.cos(self.turn_rad), np.sin(self.turn_rad)
        along = points[:, 0] * self.unit_mm
        across = points[:, 1] * self.unit_mm * (-1 if self.mirrored else 1)
        x = self.x_mm + c * along - s * across
        z = self.z_mm + s * along + c * across
        return np.stack([x, z], axis=1)

    def apex(self, geometry: Geometry) -> tuple[float, float]:
        """Return where the scan lines meet, in the slice's units."""
        u, v = self.to_slice(np.zeros(1, np.float32), np.full(1, -geometry.radius_mm, np.float32))
        return float(u[0]), float(v[0])


@dataclass(frozen=True)
class Controls:
    """The scanner's knobs."""

    gain_db: float
    range_db: float
    tgc_db: tuple[float, float, float]
    """Gain added at the skin, in the middle, and at full depth."""
    blur_lines: float
    blur_samples: float
    noise_db: float
    smoothing: float
    """Share of a blurred copy: the speckle reduction that every vendor has."""
    gamma: float


class Beamformer:
    """Makes echoes of slices; holds the patient's speckle, which moves with the tissue."""

    def __init__(self, patient: Patient, controls: Controls, rng: np.random.Generator) -> None:
        self._patient = patient
        self._textures = [_weave_texture(rng) for _ in range(_TEXTURES)]
        self._noises = [
            np.abs(rng.standard_normal((SAMPLES, LINES), dtype=np.float32)) for _ in range(_NOISES)
        ]
        self._patches = _weave_patches(rng)
        self._controls = controls
        reach = round(3 * controls.blur_lines) | 1
        self._across = cv2.getGaussianKernel(max(reach, 3), controls.blur_lines, cv2.CV_32F)
        self._along = cv2.getGaussianKernel(7, controls.blur_samples, cv2.CV_32F)
        bend = np.interp(np.linspace(0, 1, SAMPLES), [0, 0.5, 1], controls.tgc_db)
        self._tgc = (10 ** (bend / 20)).astype(np.float32)[:, None]
        ramp = np.linspace(controls.noise_db - 12, controls.noise_db, SAMPLES)
        self._noise_level = (10 ** (ramp / 20)).astype(np.float32)[:, None]

    def _texture(self, sweep: float) -> Plane:
        phase = sweep * _TEXTURES_PER_UNIT
        k, part = int(np.floor(phase)), float(phase - np.floor(phase)) * np.pi / 2
        first, second = self._textures[k % _TEXTURES], self._textures[(k + 1) % _TEXTURES]
        out: Plane = cv2.addWeighted(first, np.cos(part), second, np.sin(part), 0)
        return out

    def scan(
        self,
        geometry: Geometry,
        pixels: Pixels | None,
        pose: Pose,
        around: Surroundings,
        *,
        sweep: float,
        breath_samples: float,
        gain_db: float,
        moment: int,
    ) -> Pixels:
        """Return the compressed echoes of one slice, (SAMPLES, LINES) 8 bit.

        `pixels` is the canvas, None where there is no fetus in the plane; `sweep` the elevation
        in units; `moment` picks the electronic noise.
        """
        field = around.at(sweep * 1.3, breath_samples)
        loss = around.loss_db
        if pixels is not None:
            field, loss = self._add_fetus(geometry, pixels, pose, field, loss, sweep)
        through = _pass_through(loss)
        gain = through * self._tgc
        field = cv2.multiply(field, cv2.merge([gain, gain]))
        field = cv2.sepFilter2D(field, -1, self._across, self._along)
        echo = cv2.magnitude(field[..., 0], field[..., 1])
        echo += self._noises[moment % _NOISES] * self._noise_level
        polar = self._compress(echo, gain_db)
        share = self._controls.smoothing
        out: Pixels = cv2.addWeighted(
            polar, 1 - share, cv2.GaussianBlur(polar, (5, 5), 1.1), share, 0
        )
        return out

    def _add_fetus(
        self,
        geometry: Geometry,
        pixels: Pixels,
        pose: Pose,
        field: Plane,
        loss: Plane,
        sweep: float,
    ) -> tuple[Plane, Plane]:
        along, across = pose.to_slice(*geometry.polar_mm)
        scale = np.float32(CANVAS_PX / (2 * HALF_EXTENT))
        u, v = (along + np.float32(HALF_EXTENT)) * scale, (across + np.float32(HALF_EXTENT)) * scale
        seen = cv2.remap(pixels, u, v, cv2.INTER_LINEAR)
        grain = cv2.remap(self._texture(sweep), u, v, cv2.INTER_LINEAR)
        tone, cover, extra, mirror = cv2.split(seen)
        amplitude = cv2.LUT(tone, _TONE_TO_AMPLITUDE)
        bare = cv2.LUT(cover, np.linspace(1, 0, 256, dtype=np.float32))
        shine = cv2.LUT(mirror, _MIRROR_TO_AMPLITUDE)
        patchy = cv2.remap(self._patches, u, v, cv2.INTER_LINEAR)
        # Reverberation: what bone throws back rings on, fainter, behind it.
        ringing = cv2.blur(shine, (5, 71), anchor=(2, 70))
        smooth = shine * patchy + 0.28 * ringing * np.abs(grain[..., 1])
        strength = amplitude * patchy * (1 - bare)
        mother = cv2.multiply(field, cv2.merge([bare, bare]))
        out = cv2.add(mother, cv2.multiply(grain, cv2.merge([strength, strength])))
        out[..., 0] += smooth * (1 + 0.35 * grain[..., 0])
        step_units = geometry.depth_mm / SAMPLES / pose.unit_mm
        return out, loss * bare + extra * np.float32(step_units)

    def _compress(self, echo: Plane, gain_db: float) -> Pixels:
        span = self._controls.range_db
        bright = cv2.log(echo + np.float32(1e-5))
        gain = np.float32(1 + (gain_db + self._controls.gain_db) / span)
        level = np.clip(bright * np.float32(20 / np.log(10) / span) + gain, 0, 1)
        curve = cv2.pow(level, self._controls.gamma)
        out: Pixels = (curve * np.float32(255)).astype(np.uint8)
        return out


def _pass_through(loss: Plane) -> Plane:
    """Return the amplitude that is left at each sample after the loss above it."""
    # Half the rows are enough for a shadow; NumPy's own running sum takes 2.6 times as long.
    total = np.asarray(cv2.resize(loss, (LINES, SAMPLES // 2), interpolation=cv2.INTER_AREA))
    for above, below in pairwise(total):
        np.add(below, above, out=below)
    total *= np.float32(2)
    left = cv2.exp(np.minimum(total, 60) * np.float32(-np.log(10) / 20))
    soft = cv2.blur(left, (5, 1))
    out: Plane = cv2.resize(soft, (LINES, SAMPLES), interpolation=cv2.INTER_LINEAR)
    return out


def _weave_texture(rng: np.random.Generator) -> Plane:
    """Return scatterers for one elevation: complex white noise."""
    out: Plane = rng.standard_normal((CANVAS_PX, CANVAS_PX, 2), dtype=np.float32)
    return out


def _weave_patches(rng: np.random.Generator) -> Plane:
    """Return how tissue is uneven beyond speckle: an amplitude about 1, some 4 dB up and down."""
    out = np.zeros((CANVAS_PX, CANVAS_PX), np.float32)
    for lumps, size_db in ((11, 2.2), (30, 2.4), (90, 2.0)):
        coarse = rng.standard_normal((lumps, lumps)).astype(np.float32)
        out += size_db * cv2.resize(coarse, out.shape, interpolation=cv2.INTER_CUBIC)
    uneven: Plane = np.power(np.float32(10), out / np.float32(20))
    return uneven
