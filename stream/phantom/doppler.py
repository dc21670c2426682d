"""Blood flow on the screen: a colour box over the picture, and a spectrum below it."""

import cv2
import numpy as np
from numpy.typing import NDArray

from neurosono.stream.phantom.probe import LINES, SAMPLES, Geometry

Picture = NDArray[np.uint8]


class FlowBox:
    """A colour Doppler box, fixed in the picture, over vessels that beat with the fetal heart."""

    def __init__(self, geometry: Geometry, rng: np.random.Generator) -> None:
        self._geometry = geometry
        line, sample = rng.uniform(0.22, 0.42), rng.uniform(0.25, 0.42)
        self._lines = (int(line * LINES), int((line + rng.uniform(0.22, 0.36)) * LINES))
        self._samples = (int(sample * SAMPLES), int((sample + rng.uniform(0.2, 0.34)) * SAMPLES))
        shape = (self._samples[1] - self._samples[0], self._lines[1] - self._lines[0])
        winding = rng.standard_normal((5, 4)).astype(np.float32)
        self._course = cv2.resize(winding, shape[::-1], interpolation=cv2.INTER_CUBIC)
        way = rng.standard_normal((4, 4)).astype(np.float32)
        self._way = np.sign(cv2.resize(way, shape[::-1], interpolation=cv2.INTER_CUBIC))
        self._beat_hz = float(rng.uniform(2.1, 2.7))

    def overlay(self, grey: Picture, picture: Picture, t_s: float) -> None:
        """Colour the flow and draw the box on `picture`, (h, w, 3) BGR, in place."""
        beat = 0.55 + 0.45 * max(0.0, np.sin(2 * np.pi * self._beat_hz * t_s)) ** 2
        wide = 0.14 + 0.14 * beat
        core = np.clip(1 - np.abs(self._course) / wide, 0, 1)
        speed = np.zeros((SAMPLES, LINES), np.uint8)
        signed = 128 + 127 * core * self._way * beat
        (s0, s1), (l0, l1) = self._samples, self._lines
        speed[s0:s1, l0:l1] = np.clip(signed, 1, 255).astype(np.uint8)
        shown = self._geometry.convert(speed).astype(np.int16) - 128
        moving = (np.abs(shown) > 22) & (shown > -126) & (grey < 95)
        v = shown[moving][:, None] / 127
        warm, cold = np.clip(v, 0, 1) * [30, 150, 255], np.clip(-v, 0, 1) * [255, 140, 30]
        picture[moving] = np.clip(35 * (np.abs(v) > 0) + warm + cold, 0, 255).astype(np.uint8)
        self._outline(picture)

    def _outline(self, picture: Picture) -> None:
        frame = np.zeros((SAMPLES, LINES), np.uint8)
        (s0, s1), (l0, l1) = self._samples, self._lines
        frame[s0:s1, l0:l1] = 255
        box = cv2.threshold(self._geometry.convert(frame), 127, 255, cv2.THRESH_BINARY)[1]
        edges, _ = cv2.findContours(box, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, edges, -1, (90, 220, 220), 1)


def draw_spectrum(
    width: int, height: int, t_s: float, beat_hz: float, rng: np.random.Generator
) -> Picture:
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
