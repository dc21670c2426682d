"""Where the network looked: a class activation map laid over the very frame it was computed from.

The map is mapped back out of the network's square exactly as `engine.preprocess` mapped in.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Pixels, Singles
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.preprocessing import Fit, PreprocessingSpec
from neurosono.engine.preprocess import letterbox_box, to_grey

_HEAT_STOPS = (
    (0.00, (8, 6, 26)),
    (0.25, (78, 18, 110)),
    (0.50, (176, 42, 98)),
    (0.72, (238, 92, 48)),
    (0.88, (254, 164, 32)),
    (1.00, (255, 212, 78)),
)
"""Position in 0 to 1 and red, green, blue. Our own ramp: its lightness only ever rises, so it also
reads in grey and with any colour vision."""

HEAT_OPACITY = 0.66
"""How much of the anatomy the hottest spot hides; below 1 so that anatomy is always to be seen."""


_FINER = 8
"""Steps a cell: enough that no cell's edge is seen at any size of the inset."""


@dataclass(frozen=True)
class Heatmap:
    """One class activation map together with the very frame it was computed from.

    `cam` is `(h, w)` float32 in 0 to 1, over the network's square input; `pixels` that frame's
    region, `(H, W)` grey or `(H, W, 3)` BGR uint8; `label` the class it speaks of; `seq` and
    `pts_s` the frame's number and time.
    """

    cam: Singles
    pixels: Pixels
    label: str
    seq: int
    pts_s: float

    def __post_init__(self) -> None:
        if self.cam.ndim != 2 or min(self.cam.shape) < 1:
            raise InputError(f"a heatmap must be (h, w), found {self.cam.shape}")
        shape = self.pixels.shape
        if self.pixels.ndim not in (2, 3) or min(shape) < 1 or self.pixels.dtype != np.uint8:
            raise InputError(
                f"a heatmap's frame must be (H, W) or (H, W, 3) uint8, "
                f"found {shape} {self.pixels.dtype}"
            )


def _heat_table() -> Pixels:
    at = np.linspace(0.0, 1.0, 256)
    stops = [stop for stop, _ in _HEAT_STOPS]
    channels = [
        np.interp(at, stops, [rgb[channel] for _, rgb in _HEAT_STOPS]) for channel in (2, 1, 0)
    ]
    return np.round(np.stack(channels, axis=-1)).astype(np.uint8).reshape(256, 1, 3)


HEAT_TABLE = _heat_table()
"""`(256, 1, 3)` BGR, made once: OpenCV builds its own maps anew at every call."""

_OPACITY = np.linspace(0.0, HEAT_OPACITY, 256)
_LAID_ON = np.round(HEAT_TABLE * _OPACITY[:, None, None]).astype(np.uint8)
_LEFT = np.round(255 * (1.0 - _OPACITY)).astype(np.uint8)
"""Of each level of the map: its colour as it is laid on, and how much of the anatomy it leaves. In
bytes, and on one channel of anatomy, the blend is that in floats within a level, and takes less."""


@dataclass(frozen=True)
class InputMapping:
    """Where a region lies in the network's input: `input = region * scale + offset`."""

    scale_x: float
    scale_y: float
    offset_x: float
    offset_y: float


def input_mapping(height_px: int, width_px: int, spec: PreprocessingSpec) -> InputMapping:
    """Return the mapping that `engine.preprocess.preprocess` applies to a region of this size."""
    if spec.fit is Fit.LETTERBOX:
        x, y, w, h = letterbox_box(height_px, width_px, spec.size_px)
        return InputMapping(w / width_px, h / height_px, float(x), float(y))
    scale = spec.resize_px / min(height_px, width_px)
    scaled_h = max(spec.size_px, round(height_px * scale))
    scaled_w = max(spec.size_px, round(width_px * scale))
    return InputMapping(
        scaled_w / width_px,
        scaled_h / height_px,
        -float((scaled_w - spec.size_px) // 2),
        -float((scaled_h - spec.size_px) // 2),
    )


def spread_cam(
    cam: Singles,
    region_px: tuple[int, int],
    out_px: tuple[int, int],
    spec: PreprocessingSpec,
) -> Singles:
    """Spread `cam` over the region's picture at `out_px`.

    `region_px` and `out_px` are height and width; returns `(H, W)` float32 in 0 to 1, smooth
    between the map's cells, 0 where the network saw nothing (outside the middle crop).
    """
    (region_h, region_w), (out_h, out_w) = region_px, out_px
    way = input_mapping(region_h, region_w, spec)
    step_x, step_y = region_w / out_w * way.scale_x, region_h / out_h * way.scale_y
    smooth = _smooth(cam)
    cell_x, cell_y = smooth.shape[1] / spec.size_px, smooth.shape[0] / spec.size_px
    matrix = np.array(
        [
            [step_x * cell_x, 0.0, (0.5 * step_x + way.offset_x) * cell_x - 0.5],
            [0.0, step_y * cell_y, (0.5 * step_y + way.offset_y) * cell_y - 0.5],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(
        smooth, matrix, (out_w, out_h), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    spread = np.asarray(warped, dtype=np.float32)
    seen_x = (np.arange(out_w) + 0.5) * step_x + way.offset_x
    seen_y = (np.arange(out_h) + 0.5) * step_y + way.offset_y
    spread[:, (seen_x < 0) | (seen_x > spec.size_px)] = 0.0
    spread[(seen_y < 0) | (seen_y > spec.size_px), :] = 0.0
    return spread


def _smooth(cam: Singles) -> Singles:
    """Refine the map's cells so that they pass softly into each other; stays within 0 to 1.

    Not cubic: that overshoots, and would show a flat hot disc where the map has one hot cell.
    """
    clean = np.clip(np.nan_to_num(cam, nan=0.0, posinf=0.0, neginf=0.0), 0.0, 1.0)
    size = cam.shape[1] * _FINER, cam.shape[0] * _FINER
    fine = cv2.resize(clean.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    sigma = 0.4 * _FINER
    return np.asarray(cv2.GaussianBlur(fine, (0, 0), sigma), dtype=np.float32)


def paint_heatmap(heatmap: Heatmap, out_px: tuple[int, int], spec: PreprocessingSpec) -> Pixels:
    """Lay the map over its own frame: `(H, W, 3)` BGR uint8 at `out_px`, height and width.

    Opacity follows the map, so that anatomy the network did not look at stays as it was. The frame
    is shown grey, as the network sees it.
    """
    region_px = (heatmap.pixels.shape[0], heatmap.pixels.shape[1])
    anatomy = _shrink(to_grey(heatmap.pixels), out_px)
    levels = cv2.convertScaleAbs(spread_cam(heatmap.cam, region_px, out_px, spec), alpha=255.0)
    left = cv2.multiply(anatomy, cv2.LUT(levels, _LEFT), scale=1 / 255)
    painted = cv2.cvtColor(left, cv2.COLOR_GRAY2BGR)
    cv2.add(painted, cv2.applyColorMap(levels, _LAID_ON), dst=painted)
    return np.asarray(painted, dtype=np.uint8)


def _shrink(grey: Pixels, out_px: tuple[int, int]) -> Pixels:
    """Bring `grey` to `out_px`, first to a whole multiple of it, then by averaging whole blocks.

    Averaging is several times faster over whole blocks than over broken ones (1080p: 0.3 ms for 2).
    """
    out_h, out_w = out_px
    times = max(1, min(grey.shape[0] // out_h, grey.shape[1] // out_w))
    multiple = cv2.resize(grey, (out_w * times, out_h * times), interpolation=cv2.INTER_LINEAR)
    if times > 1:
        multiple = cv2.resize(multiple, (out_w, out_h), interpolation=cv2.INTER_AREA)
    return np.asarray(multiple, dtype=np.uint8)
