"""The overlay: the ultrasound region as it is, and beside it what the AI says of the exam.

Nothing is ever drawn over the region itself. The canvas keeps its size for a whole exam, and it
always carries the notice.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.labels import validate_labels
from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.stream.overlay.layout import Box, arrange
from neurosono.stream.overlay.panel import Panel
from neurosono.stream.overlay.readings import ReadingsPanel
from neurosono.stream.overlay.typeface import MEDIUM, Typeface
from neurosono.stream.view import palette
from neurosono.stream.view.heatmap import Heatmap
from neurosono.stream.view.palette import Colour
from neurosono.stream.view.state import AiState, OverlayState

__all__ = ["AiState", "Heatmap", "Overlay", "OverlayState"]

_ALARMS: dict[AiState, Colour] = {
    AiState.OFF: palette.VERMILLION,
    AiState.NO_SIGNAL: palette.AMBER,
}


LARGEST_REGION_PX = 6_000_000
"""Pixels of a region that are shown one for one: with the panel beside it, what is larger would
pass the 9.4 million that H.264's common levels allow. Twice what fits a 1080p screen."""


READ_SHARE = 0.75
"""Of that, where a second panel stands beside the first."""


class Overlay:
    """Draws canvases for one exam.

    `region_px` is the first region's height and width, `labels` the bundle's in order, `spec` its
    preprocessing, `heatmap_life_s` the age at which a heatmap is gone (rule: 500 ms). So many
    `readers` have a panel of their own beside the first.
    """

    def __init__(
        self,
        region_px: tuple[int, int],
        labels: Sequence[str],
        spec: PreprocessingSpec,
        heatmap_life_s: float = 0.5,
        readers: int = 0,
    ) -> None:
        if min(region_px) < 1:
            raise InputError(f"a region must have a height and a width, found {region_px}")
        if not 0.0 < heatmap_life_s <= 0.5:
            raise InputError(f"a heatmap lives up to 0.5 s, found {heatmap_life_s}")
        names = validate_labels(labels)
        largest = LARGEST_REGION_PX * (READ_SHARE if readers else 1.0)
        shrink = min(1.0, math.sqrt(largest / (region_px[0] * region_px[1])))
        shown_px = max(1, int(shrink * region_px[0])), max(1, int(shrink * region_px[1]))
        self._layout = arrange(shown_px, len(names), readers)
        self._type = Typeface()
        self._canvas = np.zeros((*self.canvas_px, 3), dtype=np.uint8)
        canvas, layout = self._canvas, self._layout
        self._panel = Panel(canvas, layout, names, spec, heatmap_life_s, self._type)
        self._readings = None
        if layout.readings is not None:
            told = (canvas, layout.readings, readers, layout.unit_px, self._type)
            self._readings = ReadingsPanel(*told)
        self._draw_footer()
        self._around: tuple[Box, Colour | None, bool] | None = None

    @property
    def canvas_px(self) -> tuple[int, int]:
        """Height and width of every canvas of this exam; both even, as video wants them."""
        return self._layout.canvas_h, self._layout.canvas_w

    def draw(self, pixels: Pixels, state: OverlayState) -> Pixels:
        """Return the canvas for one frame, `(H, W, 3)` BGR uint8.

        `pixels` is the region, `(H, W)` grey or `(H, W, 3)` BGR uint8. A region of the exam's first
        size is copied pixel by pixel, up to `LARGEST_REGION_PX`; another is fitted into the same
        place. The canvas is one
        buffer, drawn anew by the next call: whoever keeps it copies it.
        """
        grey_or_bgr = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)
        if not grey_or_bgr or pixels.dtype != np.uint8 or min(pixels.shape[:2]) < 1:
            raise InputError(
                f"a region must be (H, W) or (H, W, 3) uint8, found {pixels.shape} {pixels.dtype}"
            )
        box = self._place(pixels.shape[0], pixels.shape[1])
        self._draw_around(box, _ALARMS.get(state.ai), state.shown_frame_used)
        self._copy(pixels, box)
        self._panel.draw(state)
        if self._readings is not None:
            self._readings.draw(dict(state.readings), state.pts_s)
        return self._canvas

    def _place(self, height: int, width: int) -> Box:
        """Return where a region of this size goes: whole, centred, and no larger than fits."""
        first, area = self._layout.region, self._layout.area
        if (height, width) == (first.h, first.w):
            return first
        grow = max(1.0, min(first.h / height, first.w / width))
        scale = min(grow, area.h / height, area.w / width)
        h, w = max(1, round(height * scale)), max(1, round(width * scale))
        return Box(area.x + (area.w - w) // 2, area.y + (area.h - h) // 2, w, h)

    def _copy(self, pixels: Pixels, box: Box) -> None:
        spot = self._canvas[box.y : box.bottom, box.x : box.right]
        if pixels.shape[:2] != (box.h, box.w):
            way = cv2.INTER_AREA if box.h < pixels.shape[0] else cv2.INTER_LINEAR
            fitted = cv2.resize(pixels, (box.w, box.h), interpolation=way)
            pixels = np.asarray(fitted, dtype=np.uint8)
        if pixels.ndim == 2:
            cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR, dst=spot)
        else:
            spot[:] = pixels

    def _draw_around(self, box: Box, alarm: Colour | None, used: bool) -> None:
        """Draw what surrounds the region, where it changed: an alarm, or marks of a used frame."""
        if self._around == (box, alarm, used):
            return
        self._around = (box, alarm, used)
        layout = self._layout
        Box(0, 0, layout.panel.x, layout.panel.h).fill(self._canvas, palette.AREA)
        gap = max(3, layout.area.x // 3)
        edge = box.grown(gap)
        line = max(2, round(layout.unit_px * 0.14))
        corner = (edge.right - 1, edge.bottom - 1)
        if alarm is not None:
            cv2.rectangle(self._canvas, (edge.x, edge.y), corner, alarm, line)
        elif used:
            reach = round(min(1.4 * layout.unit_px, box.w / 4, box.h / 4))
            for x, inward_x in ((edge.x, reach), (corner[0], -reach)):
                for y, inward_y in ((edge.y, reach), (corner[1], -reach)):
                    cv2.line(self._canvas, (x, y), (x + inward_x, y), palette.SKY, line)
                    cv2.line(self._canvas, (x, y), (x, y + inward_y), palette.SKY, line)

    def _draw_footer(self) -> None:
        box, unit = self._layout.footer, self._layout.unit_px
        box.fill(self._canvas, palette.FOOTER)
        size = 0.95 * unit
        origin = (box.x + 0.75 * unit, box.y + box.h / 2 + 0.35 * size)
        self._type.draw(self._canvas, NOTICE, origin, size, palette.SAND, MEDIUM)
