"""The panel of what bundles beside the first read: a block each, with its own frame in it."""

from typing import TYPE_CHECKING

import cv2

from neurosono.engine.contracts.arrays import Pixels
from neurosono.stream.overlay.findings import paint_findings
from neurosono.stream.overlay.layout import Box
from neurosono.stream.overlay.typeface import SEMIBOLD, Align, Lettered, Typeface
from neurosono.stream.view import palette
from neurosono.stream.view.palette import Colour
from neurosono.stream.view.reading import LIFE_S, AiState, ShownReading

if TYPE_CHECKING:
    from collections.abc import Hashable

_LINE_UNITS = 1.05
_SMALL = 0.74
_MARGIN_UNITS = 0.6
_LEAST_WELL_UNITS = 5.0

Line = tuple[str, Colour]


class ReadingsPanel(Lettered):
    """Draws one block a reader, top down; of it anew only what shows something else than before."""

    def __init__(
        self, canvas: Pixels, box: Box, readers: int, unit_px: float, type_: Typeface
    ) -> None:
        """`box` of `canvas` is ours alone, for so many `readers`."""
        self._canvas, self._unit, self._type = canvas, unit_px, type_
        height = box.h // max(1, readers)
        self._blocks = [Box(box.x, box.y + at * height, box.w, height) for at in range(readers)]
        self._words: dict[Box, tuple[str, list[Line]]] = {}
        self._frames: dict[Box, Hashable] = {}
        box.fill(canvas, palette.PANEL)

    def draw(self, readings: dict[str, ShownReading], pts_s: float) -> None:
        """Draw what may be shown at `pts_s`."""
        for block, (name, shown) in zip(self._blocks, readings.items(), strict=False):
            lines = self._tell(block, shown)
            self._draw_words(block, name, str(shown.ai), lines)
            if shown.ai is not AiState.ON:
                continue
            frame = shown.frame_at(pts_s)
            age_ms = None if frame is None else max(0.0, pts_s - frame.pts_s) * 1e3
            shows = (frame and frame.seq, age_ms)
            if self._frames.get(block) != shows:
                self._frames[block] = shows
                self._draw_frame(block, len(lines), shown, age_ms)

    @property
    def _step(self) -> int:
        return round(_LINE_UNITS * self._unit)

    def _line(self, block: Box, at: int) -> Box:
        """Return where the block's line `at` stands; the first is its name."""
        margin = round(_MARGIN_UNITS * self._unit)
        return Box(
            block.x + margin, block.y + margin + at * self._step, block.w - 2 * margin, self._step
        )

    def _foot(self, block: Box) -> Box:
        first = self._line(block, 0)
        return Box(first.x, block.bottom - (first.y - block.y) - self._step, first.w, self._step)

    def _tell(self, block: Box, shown: ShownReading) -> list[Line]:
        """Return the lines below the name, as many as leave the frame its room."""
        if shown.ai is not AiState.ON:
            return [(shown.reason, palette.TEXT)]
        told, width = shown.told, self._line(block, 0).w
        seen = [_name(m.name, unproven=m.unproven) for m in told.marks if m.seen]
        open_ = [_name(m.name, unproven=m.unproven) for m in told.marks if not m.seen]
        lines = [(each, palette.TEXT) for each in told.lines]
        lines += [(each, palette.TEXT) for each in self._wrap("seen: ", seen, width)]
        lines += [(each, palette.TEXT_DIM) for each in self._wrap("not yet: ", open_, width)]
        if any(mark.unproven for mark in told.marks):
            lines.append(("* learnt on phantoms: unproven", palette.TEXT_DIM))
        # the frame is worth more than the last of the lines
        room = self._foot(block).y - _LEAST_WELL_UNITS * self._unit - self._line(block, 1).y
        return lines[: max(0, int(room // self._step))]

    def _draw_words(self, block: Box, name: str, ai: str, lines: list[Line]) -> None:
        """Write what changed: single lines, or all where the state or their number is another."""
        before = self._words.get(block)
        if before == (ai, lines):
            return
        self._words[block] = ai, lines
        known: list[Line] = []
        if before is not None and before[0] == ai and len(before[1]) == len(lines):
            known = before[1]
        else:
            self._frames.pop(block, None)
            block.fill(self._canvas, palette.PANEL)
            Box(block.x, block.y, 1, block.h).fill(self._canvas, palette.RULE)
            first = self._line(block, 0)
            self._write(first, name, 0.9, palette.TEXT_SOFT, SEMIBOLD)
            if ai != AiState.ON:
                self._write(first, ai, 0.9, palette.VERMILLION, SEMIBOLD, Align.RIGHT)
        for at, line in enumerate(lines):
            if known and known[at] == line:
                continue
            box = self._line(block, 1 + at)
            box.fill(self._canvas, palette.PANEL)
            self._write(box, line[0], _SMALL, line[1])

    def _draw_frame(
        self, block: Box, lines: int, shown: ShownReading, age_ms: float | None
    ) -> None:
        first, caption = self._line(block, 1 + lines), self._foot(block)
        well = Box(first.x, first.y, first.w, caption.y - first.y)
        well.fill(self._canvas, palette.WELL)
        caption.fill(self._canvas, palette.PANEL)
        frame, pixels = shown.latest, shown.pixels
        if age_ms is None or frame is None or frame.said is None or pixels is None or well.h < 8:
            self._write(well, "nothing found", _SMALL, palette.TEXT_DIM, align=Align.CENTRE)
            return
        height, width = pixels.shape[:2]
        scale = min(well.w / width, well.h / height)
        size = max(1, round(height * scale)), max(1, round(width * scale))
        region = frame.region_px or (0, 0, width, height)
        painted = paint_findings(pixels, frame.said, region, size, self._type)
        x, y = well.x + (well.w - size[1]) // 2, well.y + (well.h - size[0]) // 2
        spot = self._canvas[y : y + size[0], x : x + size[1]]
        life = max(0.0, 1.0 - age_ms / (LIFE_S * 1e3))
        cv2.addWeighted(painted, life, spot, 1.0 - life, 0.0, dst=spot)
        plane = frame.said.get("plane") or "no plane"
        self._write(caption, str(plane).replace("-", " "), _SMALL, palette.TEXT)
        self._write(caption, f"{age_ms:.0f} ms old", _SMALL, palette.TEXT, align=Align.RIGHT)

    def _wrap(self, first: str, names: list[str], width: int) -> list[str]:
        """Return a list of names in lines that fit."""
        lines, line = [], first
        for at, name in enumerate(names):
            added = f"{name}{', ' if at < len(names) - 1 else ''}"
            if self._type.width(line + added, _SMALL * self._unit) > width and line != first:
                lines.append(line)
                line = added
            else:
                line += added
        return [*lines, line] if names else []


def _name(name: str, *, unproven: bool) -> str:
    return name.replace("-", " ") + (" *" if unproven else "")
