"""One synthetic exam as a stream of screens, with the truth beside each."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.contracts.errors import InputError
from engine.contracts.labels import DEFAULT_LABELS
from stream.phantom.bmode import Beamformer, Pose
from stream.phantom.canvas import Canvas, Growth
from stream.phantom.chrome import Chrome
from stream.phantom.doppler import FlowBox, draw_spectrum
from stream.phantom.face import draw_face
from stream.phantom.head import draw_head
from stream.phantom.patient import draw_malformation, draw_patient, draw_weeks, random_stream
from stream.phantom.probe import SAMPLES, Geometry
from stream.phantom.scanner import Scanner, draw_scanner
from stream.phantom.spine import draw_spine_axial, draw_spine_sagittal
from stream.phantom.surroundings import Surroundings, build_surroundings
from stream.phantom.sweep import Motion, Stretch, plan_exam, plane_name
from stream.phantom.torso import draw_abdomen, draw_femur

NAMESPACES = ("single", "cohort")
_SMALLEST_PX = (320, 240)
_VIEWS = {
    "head": draw_head,
    "face": draw_face,
    "spine-sagittal": draw_spine_sagittal,
    "spine-axial": draw_spine_axial,
}
_OTHER_VIEWS = {"abdomen": draw_abdomen, "femur": draw_femur}
_MOMENTS = 96
"""Electronic noise is picked by frame number, modulo this."""


@dataclass(frozen=True)
class PhantomSpec:
    """Which synthetic exam to make; equal specs give equal pixels.

    `namespace` keeps the patients of `phantom:LABEL` sources (`single`) and those of generated
    cohorts (`cohort`) apart: they share no random stream, so neither can leak into the other.

    Raises `InputError` for a label, size, length, rate, seed or namespace that cannot be made.
    """

    label: str
    seed: int = 0
    seconds: float = 20.0
    fps: float = 25.0
    width_px: int = 800
    height_px: int = 600
    patient: int = 0
    namespace: str = "single"

    def __post_init__(self) -> None:
        if self.label not in DEFAULT_LABELS:
            known = ", ".join(DEFAULT_LABELS)
            raise InputError(f"phantom label {self.label!r} is unknown: choose one of {known}")
        if self.namespace not in NAMESPACES:
            raise InputError(
                f"phantom namespace {self.namespace!r} is unknown: choose one of {', '.join(NAMESPACES)}"
            )
        self._check_numbers()

    def _check_numbers(self) -> None:
        if not (math.isfinite(self.seconds) and 0 < self.seconds <= 3600):
            raise InputError(f"phantom seconds must be over 0 and at most 3600, found {self.seconds}")
        if not (math.isfinite(self.fps) and 1 <= self.fps <= 120):
            raise InputError(f"phantom fps must be 1 to 120, found {self.fps}")
        if self.width_px < _SMALLEST_PX[0] or self.height_px < _SMALLEST_PX[1]:
            raise InputError(
                f"a phantom screen is at least {_SMALLEST_PX[0]}x{_SMALLEST_PX[1]} pixels, "
                f"found {self.width_px}x{self.height_px}"
            )
        if self.width_px > 3840 or self.height_px > 2160:
            raise InputError(
                f"a phantom screen is at most 3840x2160 pixels, found {self.width_px}x{self.height_px}"
            )
        if self.seed < 0 or self.patient < 0:
            raise InputError(
                f"phantom seed and patient must be 0 or more, found {self.seed} and {self.patient}"
            )

    @property
    def frame_count(self) -> int:
        """Return the number of frames of the exam, at least one."""
        return max(1, round(self.seconds * self.fps))


@dataclass(frozen=True)
class PhantomFrame:
    """One screen and what is true of it.

    `pixels` is (H, W, 3) uint8 BGR, chrome included; `kind` is bmode, frozen, doppler, spectrum or
    nonfetal; `plane` is transthalamic, transventricular, transcerebellar, spine-sagittal,
    spine-axial or other; `region` is x, y, w, h of the ultrasound picture on the screen.
    """

    index: int
    pts_s: float
    pixels: NDArray[np.uint8]
    kind: str
    plane: str
    region: tuple[int, int, int, int]


def gestational_weeks(spec: PhantomSpec) -> float:
    """Return the gestational age of the exam's fetus in weeks, 11 to 38; no label moves it."""
    return draw_weeks(spec.namespace, spec.seed, spec.patient)


def exam_site(spec: PhantomSpec) -> str:
    """Return the invented hospital of the exam."""
    return _Studio(spec).scanner.site


def exam_frames(spec: PhantomSpec) -> Iterator[PhantomFrame]:
    """Yield the exam's screens in order; each frame's pixels are its own array."""
    studio = _Studio(spec)
    plan = plan_exam(spec.label, spec.namespace, spec.seed, spec.patient, spec.seconds)
    which = 0
    held: PhantomFrame | None = None
    for index in range(spec.frame_count):
        t_s = index / spec.fps
        while which + 1 < len(plan) and t_s >= plan[which].end_s:
            which, held = which + 1, None
        stretch = plan[which]
        if stretch.mode == "frozen" and held is not None:
            frame = PhantomFrame(index, t_s, held.pixels.copy(), "frozen", held.plane, held.region)
        else:
            frame = studio.shoot(index, t_s, stretch)
        held = frame
        yield frame


class _Studio:
    """Scanner, fetus and mother of one exam, and what it takes to show one moment of them."""

    def __init__(self, spec: PhantomSpec) -> None:
        key = (spec.namespace, spec.seed, spec.patient)
        self._spec = spec
        self._patient = draw_patient(*key)
        self._wrong = draw_malformation(spec.label, *key)
        self.scanner: Scanner = draw_scanner(
            spec.namespace, spec.seed, self._patient, spec.patient, (spec.width_px, spec.height_px)
        )
        self._growth = Growth(random_stream(*key, "growth"))
        self._motion = Motion(*key, spec.seconds)
        self._chrome = Chrome(self.scanner, *key)
        self._beam = Beamformer(self._patient, self.scanner.controls, random_stream(*key, "speckle"))
        self._geometries: dict[float, Geometry] = {}
        self._around: tuple[tuple[int, float], Surroundings] | None = None
        self._box: tuple[int, FlowBox] | None = None
        self._last: tuple[int, NDArray[np.uint8]] | None = None

    def shoot(self, index: int, t_s: float, stretch: Stretch) -> PhantomFrame:
        """Return the screen at one moment."""
        geometry = self._geometries.setdefault(
            stretch.depth_scale, self.scanner.geometry(stretch.depth_scale)
        )
        held = stretch.mode in ("frozen", "spectrum")
        moment_s = stretch.start_s if held else t_s
        polar = self._scan(index, moment_s, stretch, geometry)
        grey = geometry.convert(polar)
        picture = self._tint(grey)
        region = geometry.region
        if stretch.mode == "doppler":
            self._flow(stretch, geometry).overlay(grey, picture, t_s)
        screen = self._chrome.draw(geometry, t_s, stretch.mode, stretch.gain_db)
        if stretch.mode == "spectrum":
            region = self._lay_spectrum(screen, picture, index, t_s, region)
        else:
            x, y, w, h = region
            screen[y : y + h, x : x + w] = cv2.max(screen[y : y + h, x : x + w], picture)
        level = stretch.level(moment_s)
        plane = "other" if stretch.mode == "nonfetal" else plane_name(stretch.view, level)
        return PhantomFrame(index, t_s, screen, stretch.mode, plane, region)

    def _scan(
        self, index: int, t_s: float, stretch: Stretch, geometry: Geometry
    ) -> NDArray[np.uint8]:
        level = stretch.level(t_s)
        pose = self._pose(t_s, stretch)
        pixels = None
        view = stretch.view
        if view in _VIEWS or view in _OTHER_VIEWS:
            canvas = Canvas(pose.apex(geometry), self._growth)
            if view in _VIEWS:
                _VIEWS[view](canvas, self._patient, self._wrong, level)
            else:
                _OTHER_VIEWS[view](canvas, self._patient, level)
            pixels = canvas.pixels
        polar = self._beam.scan(
            geometry,
            pixels,
            pose,
            self._surroundings(stretch, geometry, pose),
            sweep=level + 0.03 * t_s,
            breath_samples=self._motion.breath_mm(t_s) * SAMPLES / geometry.depth_mm,
            gain_db=stretch.gain_db,
            moment=index % _MOMENTS,
        )
        return self._persist(stretch, polar)

    def _persist(self, stretch: Stretch, polar: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Blend in the last picture of the same view, as scanners do against flicker."""
        if self._last is not None and self._last[0] == stretch.setting:
            keep = self.scanner.persistence
            polar = cv2.addWeighted(self._last[1], keep, polar, 1 - keep, 0)
        self._last = (stretch.setting, polar)
        return polar

    def _pose(self, t_s: float, stretch: Stretch) -> Pose:
        p = self._patient
        dx, dz, turn = self._motion.fetus(t_s)
        rng = random_stream(
            self._spec.namespace, self._spec.seed, self._spec.patient, f"setting-{stretch.setting}"
        )
        drift = rng.normal(0, 1, 3) * [0.10, 0.06, 0.16]
        lie = p.rotation_rad
        if stretch.view.startswith("spine") or stretch.view in _OTHER_VIEWS:
            # The trunk lies across the picture, back to or away from the probe.
            lie = 0.5 * np.sin(p.rotation_rad) + np.pi * (p.rotation_rad > np.pi / 2)
        if stretch.view == "face":
            lie = p.rotation_rad + np.pi / 2
        depth = p.centre_depth * self.scanner.depth_mm
        return Pose(
            x_mm=(p.centre_x + drift[0] + dx) * p.unit_mm,
            z_mm=depth + (drift[1] + dz) * p.unit_mm + self._motion.breath_mm(t_s),
            turn_rad=float(lie + drift[2] + turn),
            unit_mm=p.unit_mm,
            mirrored=p.mirrored,
        )

    def _surroundings(self, stretch: Stretch, geometry: Geometry, pose: Pose) -> Surroundings:
        key = (stretch.setting, stretch.depth_scale)
        if self._around is None or self._around[0] != key:
            spec = self._spec
            rng = random_stream(
                spec.namespace, spec.seed, spec.patient, f"mother-{stretch.setting}"
            )
            built = build_surroundings(
                geometry,
                self._patient,
                (pose.x_mm, pose.z_mm),
                rng,
                wet=stretch.view not in ("air", "mother"),
                air=stretch.view == "air",
            )
            self._around = (key, built)
        return self._around[1]

    def _flow(self, stretch: Stretch, geometry: Geometry) -> FlowBox:
        if self._box is None or self._box[0] != stretch.setting:
            spec = self._spec
            rng = random_stream(spec.namespace, spec.seed, spec.patient, f"flow-{stretch.setting}")
            self._box = (stretch.setting, FlowBox(geometry, rng))
        return self._box[1]

    def _tint(self, grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
        picture: NDArray[np.uint8] = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
        if self.scanner.tint != (1.0, 1.0, 1.0):
            ramp = np.arange(256)[:, None] * np.array(self.scanner.tint)
            picture = cv2.LUT(picture, ramp.astype(np.uint8)[None])
        return picture

    def _lay_spectrum(
        self,
        screen: NDArray[np.uint8],
        picture: NDArray[np.uint8],
        index: int,
        t_s: float,
        region: tuple[int, int, int, int],
    ) -> tuple[int, int, int, int]:
        """Put the picture, made small, above a spectrum; return where the picture now is."""
        x0, y0, wide, tall = self.scanner.box
        shrink = 0.42 * tall / region[3]
        small = cv2.resize(picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        h, w = small.shape[:2]
        x = x0 + (wide - w) // 2
        # The ruler of the large picture does not fit the small one.
        screen[y0 : y0 + tall, x0 : x0 + wide] = 0
        screen[y0 : y0 + h, x : x + w] = small
        rng = random_stream(
            self._spec.namespace, self._spec.seed, self._spec.patient, f"spectrum-{index}"
        )
        top = y0 + h + 8
        trace = draw_spectrum(wide, y0 + tall - top, t_s, 2.4, rng)
        screen[top : y0 + tall, x0 : x0 + wide] = trace
        return (x, y0, w, h)
