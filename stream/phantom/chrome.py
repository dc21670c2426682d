"""The scanner's screen around the picture: invented names, clock, ruler, grey bar, freeze mark."""

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Pixels
from neurosono.stream.phantom.flow_map import FlowMap
from neurosono.stream.phantom.patient import random_stream
from neurosono.stream.phantom.probe import Geometry
from neurosono.stream.phantom.scanner import Scanner

_GREY = (190, 190, 190)
_DIM = (120, 120, 120)


class Chrome:
    """Draws the screen of one exam. Nothing on it depends on the label."""

    def __init__(
        self, scanner: Scanner, flow_map: FlowMap, namespace: str, seed: int, patient: int
    ) -> None:
        rng = random_stream(namespace, seed, patient, "chrome")
        self._scanner, self._flow_map = scanner, flow_map
        self._scale = min(scanner.width_px / 800, scanner.height_px / 600)
        self._name = f"PHANTOM {int(rng.integers(1, 9999)):04d}"
        self._id = f"ID SYN-{int(rng.integers(10000, 99999))}"
        self._start_s = int(rng.integers(8 * 3600, 17 * 3600))
        self._day = f"{int(rng.integers(1, 28)):02d}.{int(rng.integers(1, 13)):02d}.2099"
        self._mhz = float(rng.choice([3.5, 4.0, 5.0, 6.0]))
        self._rate = int(rng.integers(18, 55))
        self._index = (f"MI {rng.uniform(0.6, 1.2):.1f}", f"TIs {rng.uniform(0.1, 0.9):.1f}")
        self._cache: dict[tuple[int, str, int, float], Pixels] = {}

    def draw(self, geometry: Geometry, t_s: float, mode: str, gain_db: float) -> Pixels:
        """Return a fresh screen with an empty picture, (H, W, 3) BGR; the caller may draw on it."""
        key = (int(t_s), mode, id(geometry), gain_db)
        if key not in self._cache:
            self._cache.clear()
            self._cache[key] = self._render(geometry, int(t_s), mode, gain_db)
        return self._cache[key].copy()

    def _render(self, geometry: Geometry, second: int, mode: str, gain_db: float) -> Pixels:
        s = self._scanner
        screen = np.zeros((s.height_px, s.width_px, 3), np.uint8)
        top = max(10, s.box[1] - round(14 * self._scale))
        cv2.rectangle(screen, (0, 0), (s.width_px, top), (34, 30, 26), -1)
        clock = self._start_s + second
        row = round(15 * self._scale)
        self._write(screen, s.logo, 8, row + 3, 0.56, s.accent, 2)
        self._write(
            screen, f"{self._name}   SYNTHETIC EXAM", round(0.2 * s.width_px), row, 0.42, _GREY
        )
        self._write(
            screen, self._id, round(0.2 * s.width_px), row + round(16 * self._scale), 0.38, _DIM
        )
        stamp = f"{clock // 3600:02d}:{clock // 60 % 60:02d}:{clock % 60:02d}"
        self._write(screen, self._day, round(0.83 * s.width_px), row, 0.42, _GREY)
        self._write(
            screen, stamp, round(0.83 * s.width_px), row + round(16 * self._scale), 0.42, _GREY
        )
        self._draw_grey_bar(screen)
        if mode != "spectrum":
            # The spectrum takes the whole box, and with it the room for these.
            self._draw_settings(screen, geometry, gain_db)
            self._draw_ruler(screen, geometry)
        self._draw_mode(screen, mode)
        return screen

    def _write(
        self,
        screen: Pixels,
        text: str,
        x: int,
        y: int,
        size: float,
        colour: tuple[int, int, int],
        weight: int = 1,
    ) -> None:
        cv2.putText(
            screen,
            text,
            (x, y),
            cv2.FONT_HERSHEY_SIMPLEX,
            max(size * self._scale, 0.28),
            colour,
            weight,
            cv2.LINE_AA,
        )

    def _draw_settings(self, screen: Pixels, geometry: Geometry, gain_db: float) -> None:
        s = self._scanner
        x = s.width_px - round(86 * self._scale) if s.text_right else round(6 * self._scale)
        y = s.box[1] + round(18 * self._scale)
        lines = (
            f"{self._rate}Hz",
            f"{self._mhz:.1f} MHz",
            f"D {geometry.depth_mm / 10:.1f}cm",
            f"Gn {round(50 + 2 * (gain_db + s.controls.gain_db))}",
            f"DR {round(s.controls.range_db)}",
            *self._index,
        )
        for k, text in enumerate(lines):
            self._write(screen, text, x, y + k * round(17 * self._scale), 0.38, _GREY)

    def _draw_grey_bar(self, screen: Pixels) -> None:
        s = self._scanner
        x = round(s.width_px * (0.015 if s.bar_left else 0.965))
        top, tall = round(s.height_px * 0.45), round(s.height_px * 0.28)
        ramp = np.linspace(255, 0, tall).astype(np.uint8)[:, None, None]
        width = max(5, round(9 * self._scale))
        shade = (ramp * np.array(s.tint)).astype(np.uint8)
        screen[top : top + tall, x : x + width] = np.repeat(shade, width, axis=1)

    def _draw_ruler(self, screen: Pixels, geometry: Geometry) -> None:
        s = self._scanner
        x0, y0, w, h = geometry.region
        x = x0 - 8 if s.ruler_left else x0 + w + 6
        x = int(np.clip(x, 2, s.width_px - 8))
        step_mm = 10 if geometry.depth_mm > 60 else 5
        for k in range(int(geometry.depth_mm // step_mm) + 1):
            y = round(y0 + k * step_mm * geometry.px_per_mm)
            if y >= min(y0 + h, s.height_px):
                break
            long = 6 if k % 5 == 0 else 3
            cv2.line(screen, (x, y), (x + long, y), _GREY, 1)
        y = y0 + h // 2
        mark = np.array([[x - 5, y - 4], [x - 5, y + 4], [x, y]], np.int32)
        cv2.fillPoly(screen, [mark], s.accent)

    def _draw_mode(self, screen: Pixels, mode: str) -> None:
        s = self._scanner
        y = s.height_px - max(6, round(10 * self._scale))
        if mode == "frozen":
            self._write(screen, "FROZEN", round(0.04 * s.width_px), y, 0.5, (80, 180, 250), 1)
        elif mode in ("doppler", "spectrum"):
            self._draw_colour_bar(screen)
        self._write(screen, "* PRESS FREEZE TO STORE", round(0.6 * s.width_px), y, 0.34, _DIM)

    def _draw_colour_bar(self, screen: Pixels) -> None:
        s = self._scanner
        x = round(s.width_px * (0.965 if s.bar_left else 0.015))
        top, tall = round(s.height_px * 0.45), round(s.height_px * 0.2)
        width = max(5, round(9 * self._scale))
        screen[top : top + tall, x : x + width] = self._flow_map.bar(tall)
        self._write(screen, "+24", x - 4, top - 5, 0.32, _GREY)
        self._write(screen, "-24", x - 4, top + tall + 13, 0.32, _GREY)
