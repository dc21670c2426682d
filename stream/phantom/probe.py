"""The probe and its picture: where each sample of each scan line lies, and where on the screen."""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from neurosono.engine.contracts.arrays import Flags, Floats, Pixels, Singles

LINES = 256
SAMPLES = 384
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Geometry:
    """A convex probe at one depth setting, shown in one box of the screen.

    The face's middle is at (0, 0) mm, depth along +z; scan lines meet at (0, -radius_mm).
    `box` is the x, y, w, h in pixels that the picture may fill; `zoom` over 1 crops it.
    """

    radius_mm: float
    half_angle_rad: float
    depth_mm: float
    box: Box
    zoom: float = 1.0
    mirrored: bool = False

    @property
    def px_per_mm(self) -> float:
        """Return the scale of the picture on the screen."""
        high, wide = self._size_mm()
        return self.zoom * min(self.box[3] / high, self.box[2] / wide)

    def _size_mm(self) -> tuple[float, float]:
        top = self.radius_mm * (1 - np.cos(self.half_angle_rad))
        wide = 2 * (self.radius_mm + self.depth_mm) * np.sin(min(self.half_angle_rad, np.pi / 2))
        return float(self.depth_mm + top), float(wide)

    @cached_property
    def polar_mm(self) -> tuple[Singles, Singles]:
        """Return x and z in mm of each sample, both (SAMPLES, LINES)."""
        theta = np.linspace(-self.half_angle_rad, self.half_angle_rad, LINES)[None, :]
        r = np.linspace(0, self.depth_mm, SAMPLES)[:, None] + self.radius_mm
        x = (r * np.sin(theta)).astype(np.float32)
        z = (r * np.cos(theta) - self.radius_mm).astype(np.float32)
        return x, z

    @cached_property
    def _screen(self) -> tuple[Singles, Singles, Box]:
        x0, y0, w, h = self.box
        high, _ = self._size_mm()
        scale = self.px_per_mm
        px, py = np.meshgrid(np.arange(w), np.arange(h))
        x = (px - (w - 1) / 2) / scale * (-1 if self.mirrored else 1)
        # A zoomed picture keeps the middle of the depth in the middle of the box.
        z = (py - (h - 1) / 2) / scale + self.depth_mm - high / 2
        r = np.hypot(x, z + self.radius_mm) - self.radius_mm
        theta = np.arctan2(x, z + self.radius_mm)
        line = (theta / self.half_angle_rad + 1) / 2 * (LINES - 1)
        sample = r / self.depth_mm * (SAMPLES - 1)
        inside = (line >= 0) & (line <= LINES - 1) & (sample >= 0) & (sample <= SAMPLES - 1)
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        top, left = int(rows[0]), int(columns[0])
        bottom, right = int(rows[-1]) + 1, int(columns[-1]) + 1
        line[~inside] = -9
        sample[~inside] = -9
        cut = (slice(top, bottom), slice(left, right))
        region = (x0 + left, y0 + top, right - left, bottom - top)
        return line[cut].astype(np.float32), sample[cut].astype(np.float32), region

    def to_screen(self, points_mm: Floats) -> Floats:
        """Return x and y in pixels of the screen, (n, 2), of x and z in mm under the probe."""
        x0, y0, w, h = self.box
        high, _ = self._size_mm()
        side = -1 if self.mirrored else 1
        x = points_mm[:, 0] * side * self.px_per_mm + (w - 1) / 2 + x0
        z = points_mm[:, 1] - self.depth_mm + high / 2
        return np.stack([x, z * self.px_per_mm + (h - 1) / 2 + y0], axis=1)

    @cached_property
    def _maps(self) -> tuple[NDArray[np.int16], NDArray[np.uint16]]:
        line, sample, _ = self._screen
        a, b = cv2.convertMaps(line, sample, cv2.CV_16SC2)
        return a, b

    @property
    def region(self) -> Box:
        """Return x, y, w, h in pixels of the smallest box about the picture on the screen."""
        return self._screen[2]

    @property
    def inside(self) -> Flags:
        """Return which pixels of the region the scan lines reach, (h, w)."""
        return self._screen[0] >= 0

    def convert(self, polar: Pixels) -> Pixels:
        """Return polar (SAMPLES, LINES) as the region's pixels, (h, w), black off the sector."""
        a, b = self._maps
        out: Pixels = cv2.remap(
            polar, a, b, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0
        )
        return out
