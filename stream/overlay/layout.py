"""Where everything on the overlay's canvas stands: worked out once for an exam.

Lengths are multiples of one unit, the height of a line of text, which follows the canvas.
"""

from dataclasses import dataclass

import cv2

from neurosono.engine.contracts.arrays import Pixels
from neurosono.stream.view.palette import Colour

_MIN_UNIT_PX = 16
"""Smallest line: its lettering is then 12 to 14 px, still read easily on a 640x480 video."""
_LINES_PER_REGION = 36
"""A region this many units high: 1080 px give 30 px lines, about 1 cm on a 24 inch screen."""
_WIDEST_PER_HEIGHT = 2
"""A tall, narrow region takes its unit from its width, lest the panel dwarf it."""

PANEL_UNITS = 18.0
MARGIN_UNITS = 0.75
"""Left and right of the panel's content."""
FRAME_UNITS = 0.5
"""The margin around the region in which the marks stand that never cover anatomy."""
FOOTER_UNITS = 1.7
BAR_ROW_UNITS = 1.75
_MIN_INSET_UNITS = 6.0
_LEAST_WELL_UNITS = 4.0
"""The heatmap's inset is shaped like the region, but never taller than wide nor lower than this."""
_MIN_AREA_UNITS = 14.0
"""Least width of the video area, for tiny sources."""

_ABOVE_BARS = (0.55, 1.5, 2.1, 1.3, 0.35, 1.6)
"""Padding, header, state of the AI, its reason, gap, state of the exam."""
_BELOW_BARS = (1.2, 0.35, 1.9, 1.2, 0.3, 1.35)
"""Legend, gap, counts, the frame shown, gap, the inset's heading."""
_CAPTION_UNITS = 1.35
_BOTTOM_UNITS = 0.3


@dataclass(frozen=True)
class Box:
    """A rectangle in canvas pixels."""

    x: int
    y: int
    w: int
    h: int

    @property
    def right(self) -> int:
        """First column to the right of it."""
        return self.x + self.w

    @property
    def bottom(self) -> int:
        """First row below it."""
        return self.y + self.h

    def grown(self, by: int) -> "Box":
        """Return the box with `by` pixels more on each side."""
        return Box(self.x - by, self.y - by, self.w + 2 * by, self.h + 2 * by)

    def fill(self, canvas: Pixels, colour: Colour) -> None:
        """Paint it in one colour; ten times faster than assigning a colour to a slice."""
        if self.w > 0 and self.h > 0:
            corner = (self.right - 1, self.bottom - 1)
            cv2.rectangle(canvas, (self.x, self.y), corner, colour, cv2.FILLED)


@dataclass(frozen=True)
class PanelLayout:
    """The boxes of the panel, in canvas pixels, from top to bottom; `well` holds the heatmap."""

    header: Box
    ai: Box
    reason: Box
    exam: Box
    bars: tuple[Box, ...]
    legend: Box
    counts: Box
    shown: Box
    heading: Box
    well: Box
    caption: Box


@dataclass(frozen=True)
class OverlayLayout:
    """Every box of the canvas, in pixels; the canvas itself has even sides.

    `unit_px` is the height of a line of text; `region` is where the exam's first region stands in
    the `area` for pictures.
    """

    canvas_w: int
    canvas_h: int
    unit_px: float
    region: Box
    area: Box
    panel: Box
    footer: Box
    inside: PanelLayout
    readings: Box | None = None
    """The panel of what other bundles read, right of the first."""


def arrange(region_px: tuple[int, int], classes: int, readers: int = 0) -> OverlayLayout:
    """Arrange the canvas for a region of this height and width, and so many classes and readers."""
    region_h, region_w = region_px
    reference = min(region_h, _WIDEST_PER_HEIGHT * region_w)
    unit = max(float(_MIN_UNIT_PX), reference / _LINES_PER_REGION)
    frame = round(FRAME_UNITS * unit)
    fixed = sum(_ABOVE_BARS) + classes * BAR_ROW_UNITS + sum(_BELOW_BARS)
    least_panel = round((fixed + _MIN_INSET_UNITS + _CAPTION_UNITS + _BOTTOM_UNITS) * unit)
    area_w = max(region_w, round(_MIN_AREA_UNITS * unit))
    footer_h = round(FOOTER_UNITS * unit)
    panel_w = round(PANEL_UNITS * unit)
    readings_w = panel_w if readers else 0
    canvas_w = _even(area_w + 2 * frame + panel_w + readings_w)
    canvas_h = _even(max(region_h + 2 * frame, least_panel) + footer_h)
    body_h = canvas_h - footer_h
    panel = Box(canvas_w - readings_w - panel_w, 0, panel_w, body_h)
    area = Box(frame, frame, panel.x - 2 * frame, body_h - 2 * frame)
    region = Box(
        area.x + (area.w - region_w) // 2, area.y + (area.h - region_h) // 2, region_w, region_h
    )
    return OverlayLayout(
        canvas_w=canvas_w,
        canvas_h=canvas_h,
        unit_px=unit,
        region=region,
        area=area,
        panel=panel,
        footer=Box(0, body_h, canvas_w, footer_h),
        inside=_arrange_panel(panel, unit, classes, region_h / region_w),
        readings=Box(panel.right, 0, readings_w, body_h) if readers else None,
    )


def _arrange_panel(panel: Box, unit: float, classes: int, region_shape: float) -> PanelLayout:
    margin = round(MARGIN_UNITS * unit)
    y = 0.0

    def take(units: float) -> Box:
        nonlocal y
        top, y = y, y + units * unit
        return Box(panel.x + margin, round(top), panel.w - 2 * margin, round(y) - round(top))

    take(_ABOVE_BARS[0])
    header, ai, reason, _, exam = (take(units) for units in _ABOVE_BARS[1:])
    bars = tuple(take(BAR_ROW_UNITS) for _ in range(classes))
    legend, _, counts, shown, _, heading = (take(units) for units in _BELOW_BARS)
    room = (panel.h - y) / unit - _CAPTION_UNITS - _BOTTOM_UNITS
    wanted = header.w * min(1.0, region_shape) / unit
    well = take(min(room, max(_LEAST_WELL_UNITS, wanted)))
    return PanelLayout(
        header=header,
        ai=ai,
        reason=reason,
        exam=exam,
        bars=bars,
        legend=legend,
        counts=counts,
        shown=shown,
        heading=heading,
        well=well,
        caption=take(_CAPTION_UNITS),
    )


def _even(length_px: int) -> int:
    return length_px + length_px % 2
