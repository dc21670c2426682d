"""The scanner that the exam is made on: probe, knobs, screen layout. It never knows the label."""

from dataclasses import dataclass

import numpy as np

from neurosono.stream.phantom.bmode import Controls
from neurosono.stream.phantom.patient import Patient, random_stream
from neurosono.stream.phantom.probe import Box, Geometry

SITES = ("A", "B", "C")
"""Invented hospitals. A site owns its scanners' look; patients of every class go to every site."""

_LOGOS = (("SONARIS", "NEBULA 7"), ("ECHOLINE", "VIEWMATE"), ("TIDEWAVE", "ORBISON"))


@dataclass(frozen=True)
class Scanner:
    """One scanner as set for one exam. `box` is where on the screen the picture may be."""

    site: str
    logo: str
    width_px: int
    height_px: int
    box: Box
    controls: Controls
    radius_mm: float
    half_angle_rad: float
    depth_mm: float
    zoom: float
    mirrored: bool
    ruler_left: bool
    bar_left: bool
    text_right: bool
    tint: tuple[float, float, float]
    """Gain of blue, green and red: some screens show grey as sepia or steel."""
    accent: tuple[int, int, int]
    persistence: float

    def geometry(self, depth_scale: float) -> Geometry:
        """Return the probe's geometry with the depth knob at `depth_scale` of its start."""
        return Geometry(
            radius_mm=self.radius_mm,
            half_angle_rad=self.half_angle_rad,
            depth_mm=self.depth_mm * depth_scale,
            box=self.box,
            zoom=self.zoom,
            mirrored=self.mirrored,
        )


def draw_scanner(
    namespace: str, seed: int, patient: Patient, number: int, size_px: tuple[int, int]
) -> Scanner:
    """Return the scanner of exam `number`, on a screen of `size_px` width and height."""
    rng = random_stream(namespace, seed, number, "scanner")
    site = int(rng.integers(len(SITES)))
    width, height = size_px
    depth = max(2 * patient.unit_mm * rng.uniform(1.30, 1.72) + rng.uniform(5, 18), 40.0)
    radius = float(rng.choice([16.0, 40.0, 50.0, 60.0]) * rng.uniform(0.92, 1.08))
    # A shallow picture is narrowed, or it would be a strip across the screen.
    widest = float(np.arcsin(min(0.74 * depth / (radius + depth), 0.99)))
    half_angle = min(float(np.deg2rad(rng.uniform(27, 37))), widest)
    tint = rng.choice(3, p=[0.8, 0.12, 0.08])
    return Scanner(
        site=SITES[site],
        logo=_LOGOS[site][int(rng.integers(2))],
        width_px=width,
        height_px=height,
        box=_draw_box(rng, width, height),
        controls=_draw_controls(rng),
        radius_mm=radius,
        half_angle_rad=half_angle,
        depth_mm=float(depth),
        zoom=float(rng.uniform(1.08, 1.4)) if rng.random() < 0.5 else 1.0,
        mirrored=bool(rng.random() < 0.5),
        ruler_left=bool(rng.random() < 0.4),
        bar_left=bool(rng.random() < 0.6),
        text_right=bool(rng.random() < 0.6),
        tint=((1.0, 1.0, 1.0), (0.78, 0.93, 1.0), (1.0, 0.95, 0.86))[int(tint)],
        accent=((60, 200, 255), (230, 190, 90), (120, 230, 120))[site],
        persistence=float(rng.uniform(0.15, 0.45)),
    )


def _draw_box(rng: np.random.Generator, width: int, height: int) -> Box:
    """Return the picture's box: below a bar of text, beside a column of it, seldom centred."""
    top = round(height * rng.uniform(0.085, 0.12))
    tall = round(height * rng.uniform(0.78, 0.86))
    wide = round(width * rng.uniform(0.74, 0.86))
    left = round((width - wide) * rng.uniform(0.22, 0.62))
    return (left, top, wide, min(tall, height - top - 4))


def _draw_controls(rng: np.random.Generator) -> Controls:
    near, far = rng.uniform(-5, 3), rng.uniform(-5, 4)
    return Controls(
        gain_db=float(np.clip(rng.normal(5, 2.4), 0, 10)),
        range_db=float(rng.uniform(50, 66)),
        tgc_db=(float(near), 0.0, float(far)),
        blur_lines=float(rng.uniform(1.7, 2.8)),
        blur_samples=float(rng.uniform(0.9, 1.4)),
        noise_db=float(rng.uniform(-60, -48)),
        smoothing=float(rng.uniform(0.0, 0.85)),
        gamma=float(rng.uniform(0.9, 1.25)),
    )
