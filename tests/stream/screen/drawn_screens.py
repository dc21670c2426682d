"""Scanner screens drawn for tests, with the truth of where their ultrasound is."""

import cv2
import numpy as np
from numpy.typing import NDArray

from neurosono.stream.pictures.picture import Picture

Mask = NDArray[np.bool_]


def sector_mask(
    shape: tuple[int, int],
    apex: tuple[float, float],
    radii: tuple[float, float],
    half_angle_deg: float = 35.0,
) -> Mask:
    """Return the pixels of a curved transducer's picture; `apex` is x, y of the beams' origin."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    r, angle = np.hypot(x - apex[0], y - apex[1]), np.degrees(np.arctan2(x - apex[0], y - apex[1]))
    return (r >= radii[0]) & (r <= radii[1]) & (np.abs(angle) <= half_angle_deg)


def box_mask(shape: tuple[int, int], x: int, y: int, w: int, h: int) -> Mask:
    """Return the pixels of a linear transducer's picture."""
    mask = np.zeros(shape, dtype=np.bool_)
    mask[y : y + h, x : x + w] = True
    return mask


def speckle(shape: tuple[int, int], seed: int, level: float = 60.0) -> NDArray[np.uint8]:
    """Return tissue: speckle with a bright ring and a black lake in it, new with every seed."""
    rng = np.random.default_rng(seed)
    grain = cv2.GaussianBlur(rng.gamma(2.0, 0.5, shape), (0, 0), sigmaX=2.0, sigmaY=1.0)
    x, y = shape[1] // 2 + 3 * (seed % 7), shape[0] // 2
    tissue = np.ones(shape)
    cv2.ellipse(tissue, (x, y), (shape[1] // 7, shape[0] // 9), 10, 0, 360, 0.15, -1)
    cv2.ellipse(tissue, (x, y), (shape[1] // 7, shape[0] // 9), 10, 0, 360, 3.0, 5)
    tissue = cv2.GaussianBlur(tissue, (0, 0), 2.0)  # a beam draws no edge sharper than itself
    shade = np.linspace(1.3, 0.7, shape[1])[None, :]
    return np.clip(12 + level * grain * tissue * shade, 0, 255).astype(np.uint8)


def draw_screen(
    truth: Mask, seed: int = 0, *, clock: int = 0, colour: bool = True, chrome: bool = True
) -> NDArray[np.uint8]:
    """Return a screen with tissue inside `truth` and, around it, all that scanners write."""
    shape = truth.shape
    screen = np.where(truth, speckle(shape, seed), 0).astype(np.uint8)
    screen = cv2.cvtColor(screen, cv2.COLOR_GRAY2BGR)
    if chrome:
        write_chrome(screen, clock)
    return screen if colour else cv2.cvtColor(screen, cv2.COLOR_BGR2GRAY)


TEXT_ROWS = 40
"""Rows at the top that hold the name and the clock on a drawn screen."""


def write_chrome(screen: NDArray[np.uint8], clock: int = 0) -> None:
    """Write an invented patient, a clock, settings, a ruler, a grey bar and a logo on a screen."""
    height, width = screen.shape[:2]
    white, font = (235, 235, 235), cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(screen, "DOE, JANE  ID 123456", (12, 24), font, 0.5, white, 1, cv2.LINE_AA)
    cv2.putText(screen, f"12:00:{clock:02}", (width - 110, 24), font, 0.5, white, 1, cv2.LINE_AA)
    for k, line in enumerate(("Gn 52", "C6/M7", "FF2/E3", "MI 0.9")):
        cv2.putText(screen, line, (width - 62, 70 + 16 * k), font, 0.4, white, 1, cv2.LINE_AA)
    for y in range(50, height - 20, 30):
        cv2.line(screen, (6, y), (12, y), white, 1)
    bar = np.linspace(255, 0, 120).astype(np.uint8)[:, None, None]
    screen[60:180, 20:28] = bar
    cv2.rectangle(screen, (12, height - 34), (70, height - 12), (200, 120, 20), -1)
    cv2.putText(screen, "ECHO", (16, height - 18), font, 0.4, white, 1, cv2.LINE_AA)


def as_pictures(screens: list[NDArray[np.uint8]], clip: int = 0, begin: int = 0) -> list[Picture]:
    """Return screens as the pictures of one clip, 25 a second."""
    return [Picture(begin + k, clip, (begin + k) / 25, pixels) for k, pixels in enumerate(screens)]


def overlap(one: Mask, other: Mask) -> float:
    """Return the intersection over the union."""
    return float(np.count_nonzero(one & other) / max(1, np.count_nonzero(one | other)))
