"""Blood flow on the screen: a colour box over the picture, and a spectrum below it."""

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Pixels, Singles
from neurosono.stream.phantom.flow_map import FlowMap
from neurosono.stream.phantom.probe import LINES, SAMPLES, Geometry

Field = Singles

ALIASING_SHARE = 0.3
"""Of the boxes: the scale is set too low, and the fastest flow wraps into the other colours."""
UPRIGHT_SHARE = 0.2
"""Of the boxes: a rectangle, not a piece of the sector."""
SLOWEST = 0.17
"""Of the scale: slower is not coloured."""


class FlowBox:
    """A colour Doppler box, fixed in the picture, over vessels that beat with the fetal heart.

    Some hold a few thin vessels, some are full of flow; some wrap.
    """

    def __init__(self, geometry: Geometry, rng: np.random.Generator, colours: FlowMap) -> None:
        self._geometry, self._colours = geometry, colours
        line, sample = rng.uniform(0.12, 0.42), rng.uniform(0.2, 0.42)
        self._lines = (int(line * LINES), int((line + rng.uniform(0.22, 0.46)) * LINES))
        self._samples = (int(sample * SAMPLES), int((sample + rng.uniform(0.2, 0.44)) * SAMPLES))
        shape = (self._samples[1] - self._samples[0], self._lines[1] - self._lines[0])
        self._course = _grow(rng, (int(rng.integers(3, 8)), int(rng.integers(3, 7))), shape)
        self._way = np.sign(_grow(rng, (4, 4), shape))
        self._uneven = np.clip(0.85 + 0.3 * _grow(rng, (5, 5), shape), 0.3, 1.3)
        self._beat_hz = float(rng.uniform(2.1, 2.7))
        self._wide = float(np.exp(rng.uniform(np.log(0.1), np.log(0.7))))
        self._fastest = float(rng.uniform(1.2, 2.0) if rng.random() < ALIASING_SHARE else 0.95)
        self._grain = float(rng.uniform(0.02, 0.12))
        self._brightest = int(rng.integers(80, 200))
        """Grey level from which an echo is shown instead of flow."""
        self._upright = bool(rng.random() < UPRIGHT_SHARE)

    def overlay(self, grey: Pixels, picture: Pixels, t_s: float) -> None:
        """Colour the flow and draw the box on `picture`, (h, w, 3) BGR, in place."""
        speed = self._speeds(t_s)
        box = self._box()
        shown = self._show(speed)
        moving = (np.abs(shown) > SLOWEST) & (box > 127) & (grey < self._brightest)
        picture[moving] = self._colours.paint(shown)[moving]
        edges, _ = cv2.findContours(
            cv2.threshold(box, 127, 255, cv2.THRESH_BINARY)[1],
            cv2.RETR_EXTERNAL,
            cv2.CHAIN_APPROX_NONE,
        )
        cv2.drawContours(picture, edges, -1, (90, 220, 220), 1)

    def _speeds(self, t_s: float) -> Field:
        """Return speeds within the box, -1 to 1, as the scanner measures them."""
        beat = 0.55 + 0.45 * max(0.0, np.sin(2 * np.pi * self._beat_hz * t_s)) ** 2
        core = np.clip(1 - np.abs(self._course) / (self._wide * (0.6 + 0.6 * beat)), 0, 1)
        rng = np.random.default_rng(int(t_s * 1000))
        grain = cv2.GaussianBlur(rng.normal(0, 1, core.shape), (0, 0), 1.2) * 3 * self._grain
        speed = core * (self._uneven + grain) * beat * self._fastest
        if not self._colours.is_power:
            speed = (speed * self._way + 1) % 2 - 1
        return np.asarray(np.clip(speed, -1, 1), dtype=np.float32)

    def _show(self, speed: Field) -> Field:
        """Return the speeds on the region's pixels, 0 outside the box."""
        (s0, s1), (l0, l1) = self._samples, self._lines
        if self._upright:
            x, y, w, h = self._rectangle()
            shown = np.zeros(self._geometry.region[3:1:-1], np.float32)
            shown[y : y + h, x : x + w] = cv2.resize(speed, (w, h), interpolation=cv2.INTER_LINEAR)
            return shown
        polar = np.full((SAMPLES, LINES), 128, np.uint8)
        polar[s0:s1, l0:l1] = np.clip(128 + 127 * speed, 1, 255).astype(np.uint8)
        return np.asarray((self._geometry.convert(polar).astype(np.float32) - 128) / 127)

    def _box(self) -> Pixels:
        """Return 255 within the box, on the region's pixels."""
        if self._upright:
            x, y, w, h = self._rectangle()
            frame = np.zeros(self._geometry.region[3:1:-1], np.uint8)
            frame[y : y + h, x : x + w] = 255
            return np.where(self._geometry.inside, frame, 0).astype(np.uint8)
        frame = np.zeros((SAMPLES, LINES), np.uint8)
        frame[slice(*self._samples), slice(*self._lines)] = 255
        return self._geometry.convert(frame)

    def _rectangle(self) -> tuple[int, int, int, int]:
        _, _, w, h = self._geometry.region
        (s0, s1), (l0, l1) = self._samples, self._lines
        left, top = int(w * l0 / LINES), int(h * s0 / SAMPLES)
        return left, top, max(2, int(w * (l1 - l0) / LINES)), max(2, int(h * (s1 - s0) / SAMPLES))


def _grow(rng: np.random.Generator, cells: tuple[int, int], shape: tuple[int, int]) -> Field:
    few = rng.standard_normal(cells).astype(np.float32)
    return np.asarray(cv2.resize(few, shape[::-1], interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def draw_spectrum(
    width: int, height: int, t_s: float, beat_hz: float, rng: np.random.Generator
) -> Pixels:
    """Return a scrolling flow spectrum, (height, width, 3) BGR, newest on the right."""
    base = round(height * 0.8)
    when = t_s + np.linspace(-2.6, 0, width)
    phase = (when * beat_hz) % 1
    peak = (
        0.22 + 0.62 * np.exp(-(((phase - 0.16) / 0.13) ** 2)) + 0.22 * np.exp(-phase / 0.5)
    ) * base
    y = np.arange(height)[:, None]
    up = base - y
    inside = (up >= 2) & (up < peak[None, :] * 0.93)
    edge = np.exp(-(((up - 0.8 * peak[None, :]) / (0.16 * base)) ** 2))
    power = inside * (0.28 + 0.72 * edge)
    grain = rng.gamma(2.0, 0.5, (height, width))
    level = np.clip(power * grain * 190 + rng.gamma(1.0, 3.0, (height, width)), 0, 255)
    picture = np.repeat(level.astype(np.uint8)[..., None], 3, axis=2)
    cv2.line(picture, (0, base), (width, base), (150, 150, 150), 1)
    for k in range(0, width, max(24, width // 10)):
        cv2.line(picture, (k, height - 5), (k, height - 1), (150, 150, 150), 1)
    return picture
