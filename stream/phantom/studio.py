"""Scanner, fetus and mother of one exam brought together: one moment in, one screen out."""

from dataclasses import replace

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.structures.names import HEAD
from neurosono.stream.phantom.bmode import Beamformer, Pose
from neurosono.stream.phantom.canvas import Canvas, Growth, Mark
from neurosono.stream.phantom.chrome import Chrome
from neurosono.stream.phantom.doppler import FlowBox, draw_spectrum
from neurosono.stream.phantom.face import draw_face
from neurosono.stream.phantom.fetus import find_fetus
from neurosono.stream.phantom.flow_map import MAPS
from neurosono.stream.phantom.head import draw_head
from neurosono.stream.phantom.notes import Notes
from neurosono.stream.phantom.organs import DRY, ORGANS, Sheet
from neurosono.stream.phantom.patient import draw_malformation, random_stream
from neurosono.stream.phantom.probe import SAMPLES, Box, Geometry
from neurosono.stream.phantom.scanner import Scanner, draw_scanner
from neurosono.stream.phantom.skull import aim
from neurosono.stream.phantom.spec import PhantomFrame, PhantomSpec
from neurosono.stream.phantom.spine import draw_spine_axial, draw_spine_sagittal
from neurosono.stream.phantom.surroundings import Surroundings, build_surroundings
from neurosono.stream.phantom.sweep import Motion, Stretch, border_plane, plane_name
from neurosono.stream.phantom.torso import draw_abdomen, draw_femur
from neurosono.stream.phantom.truth import FrameTruth, name_also, name_plane, tell_truth

_VIEWS = {
    "head": draw_head,
    "face": draw_face,
    "spine-sagittal": draw_spine_sagittal,
    "spine-axial": draw_spine_axial,
}
_OTHER_VIEWS = {"abdomen": draw_abdomen, "femur": draw_femur}
_MOMENTS = 96
"""Electronic noise is picked by frame number, modulo this."""


class Studio:
    """Scanner, fetus and mother of one exam, and what it takes to show one moment of them."""

    def __init__(self, spec: PhantomSpec, structures: bool = False) -> None:
        """Set the exam up; with `structures` each picture carries the truth about it.

        Raises `InputError` where the fetus cannot have what was asked for.
        """
        key = (spec.namespace, spec.seed, spec.patient)
        self._spec = spec
        self._patient = find_fetus(spec)
        self._structures = structures
        self._drawn: tuple[list[Mark], Pose] | None = None
        self._wrong = draw_malformation(spec.label, *key)
        self.scanner: Scanner = draw_scanner(
            spec.namespace, spec.seed, self._patient, spec.patient, (spec.width_px, spec.height_px)
        )
        self._growth = Growth(random_stream(*key, "growth"))
        self._motion = Motion(*key, spec.seconds)
        maps = random_stream(*key, "flow-map")
        self._flow_map = MAPS[int(maps.integers(len(MAPS)))]
        self._chrome = Chrome(self.scanner, self._flow_map, *key)
        self._notes = Notes(spec.notes, random_stream(*key, "notes"), self.scanner.box)
        self._beam = Beamformer(
            self._patient, self.scanner.controls, random_stream(*key, "speckle")
        )
        self._geometries: dict[float, Geometry] = {}
        self._around: tuple[tuple[int, float], Surroundings] | None = None
        self._box: tuple[int, FlowBox] | None = None
        self._last: tuple[int, Pixels] | None = None

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
        if not self._spec.screen:
            screen[:] = 0
        if stretch.mode == "spectrum":
            region = self._lay_spectrum(screen, picture, index, t_s, region)
        else:
            x, y, w, h = region
            screen[y : y + h, x : x + w] = cv2.max(screen[y : y + h, x : x + w], picture)
        self._notes.draw(screen)
        level = stretch.level(moment_s)
        plane = "other" if stretch.mode == "nonfetal" else plane_name(stretch.view, level)
        truth = None
        if self._structures:
            truth = self._tell(stretch, geometry, plane, region)
            if truth.head is not None:  # without a vault it is no standard plane for certain
                border = border_plane(stretch.view, level)
                truth = replace(truth, also=name_also(truth.plane, border))
        mm_per_px = None if stretch.mode == "spectrum" else 1 / geometry.px_per_mm
        return PhantomFrame(index, t_s, screen, stretch.mode, plane, region, mm_per_px, truth)

    def _tell(self, stretch: Stretch, geometry: Geometry, plane: str, region: Box) -> FrameTruth:
        """Return the truth of the picture that was scanned last, shown in `region`."""
        marks, pose = self._drawn or ([], None)
        outlines = [geometry.to_screen(pose.to_probe(each.outline)) for each in marks if pose]
        vault = any(each.name == HEAD for each in marks)
        named = name_plane(stretch.view, plane, stretch.mode, vault)
        scanned = geometry.region
        scale_mm = 1 / geometry.px_per_mm
        truth = tell_truth(marks, outlines, named, scale_mm, geometry.inside, scanned)
        if region == scanned:
            return truth
        scale = region[3] / scanned[3]
        # Pixels are squares about their centres: the corner, at -0.5, is what stays in place.
        shift = [region[k] - 0.5 - scale * (scanned[k] - 0.5) for k in (0, 1)]
        return truth.shrunk(scale, (shift[0], shift[1]))

    def _scan(self, index: int, t_s: float, stretch: Stretch, geometry: Geometry) -> Pixels:
        level = stretch.level(t_s)
        pose = self._pose(t_s, stretch)
        pixels, self._drawn = None, None
        view = stretch.view
        if view in _VIEWS or view in _OTHER_VIEWS:
            canvas = Canvas(pose.apex(geometry), self._growth)
            if view in _VIEWS:
                _VIEWS[view](canvas, self._patient, self._wrong, level)
            else:
                _OTHER_VIEWS[view](canvas, self._patient, level)
            pixels, self._drawn = canvas.pixels, (canvas.marks, pose)
        elif view in ORGANS:
            canvas = Canvas(pose.apex(geometry), self._growth)
            spec = self._spec
            name = f"organ-{stretch.setting}"
            rng = random_stream(spec.namespace, spec.seed, spec.patient, name)
            ORGANS[view](Sheet(canvas, self._patient, rng))
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

    def _persist(self, stretch: Stretch, polar: Pixels) -> Pixels:
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
        if stretch.view in DRY:  # what lies in layers lies along the probe
            lie = 0.0
        depth = p.centre_depth * self.scanner.depth_mm
        turn_rad = float(lie + drift[2] + turn)
        off = self._aim_off(stretch.view, turn_rad)
        return Pose(
            x_mm=(p.centre_x + drift[0] + dx - off[0]) * p.unit_mm,
            z_mm=depth + (drift[1] + dz - off[1]) * p.unit_mm + self._motion.breath_mm(t_s),
            turn_rad=turn_rad,
            unit_mm=p.unit_mm,
            mirrored=p.mirrored,
        )

    def _aim_off(self, view: str, turn_rad: float) -> tuple[float, float]:
        """Return where, under the probe and in units from the head's middle, the aim is."""
        if view != "head":
            return 0.0, 0.0
        x, y = aim(self._wrong)
        y = -y if self._patient.mirrored else y
        c, s = float(np.cos(turn_rad)), float(np.sin(turn_rad))
        return c * x - s * y, s * x + c * y

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
                wet=stretch.view not in ("air", "mother", *DRY),
                air=stretch.view == "air",
            )
            self._around = (key, built)
        return self._around[1]

    def _flow(self, stretch: Stretch, geometry: Geometry) -> FlowBox:
        if self._box is None or self._box[0] != stretch.setting:
            spec = self._spec
            rng = random_stream(spec.namespace, spec.seed, spec.patient, f"flow-{stretch.setting}")
            self._box = (stretch.setting, FlowBox(geometry, rng, self._flow_map))
        return self._box[1]

    def _tint(self, grey: Pixels) -> Pixels:
        picture: Pixels = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
        if self.scanner.tint != (1.0, 1.0, 1.0):
            ramp = np.arange(256)[:, None] * np.array(self.scanner.tint)
            picture = cv2.LUT(picture, ramp.astype(np.uint8)[None])
        return picture

    def _lay_spectrum(
        self,
        screen: Pixels,
        picture: Pixels,
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
        screen[y0 : y0 + tall, x0 : x0 + wide] = 0
        screen[y0 : y0 + h, x : x + w] = small
        rng = random_stream(
            self._spec.namespace, self._spec.seed, self._spec.patient, f"spectrum-{index}"
        )
        top = y0 + h + 8
        trace = draw_spectrum(wide, y0 + tall - top, t_s, 2.4, rng)
        screen[top : y0 + tall, x0 : x0 + wide] = trace
        return (x, y0, w, h)
