"""What is true of one phantom picture: its plane, its scale, and where each structure stands.

Each structure is marked as it is drawn. Its outline then goes the way of the picture: grown with
the fetus, posed under the probe, brought to the screen by the scan converter's own geometry. That
is a turn, a mirror and one scale, so an outline stays what it was, to a fraction of a pixel.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Flags
from neurosono.engine.patterns.names import FINDINGS
from neurosono.engine.structures.biometry import measure_head
from neurosono.engine.structures.boxes import RotatedBox
from neurosono.engine.structures.ellipse import Ellipse, fit_ellipse
from neurosono.engine.structures.names import (
    HEAD,
    HEAD_PLANES,
    LV,
    NO_HEAD,
    OTHER_HEAD,
    SPINE,
    TRANSCEREBELLAR,
    TRANSTHALAMIC,
    TRANSVENTRICULAR,
)
from neurosono.stream.phantom.canvas import Mark, Points

_FINE = 4
"""How much finer than the screen a thickness is measured."""

_PLANES = {
    "transthalamic": TRANSTHALAMIC,
    "transventricular": TRANSVENTRICULAR,
    "transcerebellar": TRANSCEREBELLAR,
}


@dataclass(frozen=True)
class TrueStructure:
    """One structure: its outline (n, 2) in pixels of the screen, and what share of it shows."""

    label: str
    outline: Points
    visible: float

    @property
    def box(self) -> RotatedBox:
        """Return the smallest box around the outline."""
        return RotatedBox.around(self.outline)

    @property
    def thickness_px(self) -> float:
        """Return the diameter of the largest circle inside: what a caliper across it measures.

        The box's short side is more where a long structure is bent.
        """
        points = (self.outline - self.outline.min(0)) * _FINE + 2
        across = np.ceil(points.max(0)).astype(int) + 3
        patch = np.zeros((across[1], across[0]), np.uint8)
        cv2.fillPoly(patch, [np.rint(points * 16).astype(np.int32)], (1,), cv2.LINE_8, 4)
        deepest = float(cv2.distanceTransform(patch, cv2.DIST_L2, cv2.DIST_MASK_PRECISE).max())
        return (2 * deepest - 1) / _FINE

    def to_dict(self) -> dict[str, Any]:
        """Return `label`, its box's five numbers, `visible` and `outline`."""
        return {
            "label": self.label,
            **_rounded(self.box.to_dict()),
            "visible": round(self.visible, 3),
            "outline": [[round(float(v), 1) for v in point] for point in self.outline],
        }

    def mask(self, width_px: int, height_px: int) -> Flags:
        """Return which pixels of the screen lie inside, (H, W)."""
        canvas = np.zeros((height_px, width_px), np.uint8)
        placed = np.rint(self.outline * 16).astype(np.int32)
        cv2.fillPoly(canvas, [placed], (1,), cv2.LINE_8, 4)
        return canvas.astype(bool)


@dataclass(frozen=True)
class FrameTruth:
    """What is true of one picture; `head` is its skull's outer edge, None where there is no vault.

    `structures` are the brain's, in the order in which they are drawn, and so are `findings`: those
    that this very slice shows.
    """

    plane: str
    mm_per_px: float
    head: Ellipse | None
    structures: tuple[TrueStructure, ...]
    findings: tuple[TrueStructure, ...] = ()
    also: tuple[str, ...] = ()
    """What else the picture may be called: at the end of a plane's reach it is that plane as much
    as no standard one."""

    @property
    def atrial_width_mm(self) -> float | None:
        """Return the wider lateral ventricle's width, in the one plane where it is measured."""
        if self.plane != TRANSVENTRICULAR:
            return None
        found = [each for each in self.structures if each.label == LV]
        widths = [each.thickness_px * self.mm_per_px for each in found]
        return max(widths, default=None)

    def shrunk(self, scale: float, shift_px: tuple[float, float]) -> "FrameTruth":
        """Return the truth of the picture made smaller by `scale` and moved, as a spectrum does."""
        move = np.array([[scale, 0, shift_px[0]], [0, scale, shift_px[1]]])
        structures, findings = (
            tuple(
                replace(each, outline=each.outline * scale + np.array(shift_px)) for each in found
            )
            for found in (self.structures, self.findings)
        )
        head = self.head.mapped(move) if self.head else None
        return FrameTruth(self.plane, self.mm_per_px / scale, head, structures, findings, self.also)

    def to_dict(self) -> dict[str, Any]:
        """Return the truth as the phantom's JSON holds it: in pixels of the screen."""
        size = measure_head(self.head, self.mm_per_px) if self.head else None
        return {
            "plane": self.plane,
            "also": list(self.also),
            "mm_per_px": round(self.mm_per_px, 6),
            "head": _rounded(self.head.to_dict()) if self.head else None,
            "hc_mm": round(size.hc, 2) if size else None,
            "bpd_mm": round(size.bpd, 2) if size else None,
            "ofd_mm": round(size.ofd, 2) if size else None,
            "atrial_width_mm": None if (w := self.atrial_width_mm) is None else round(w, 2),
            "structures": [each.to_dict() for each in self.structures],
            "findings": [each.to_dict() for each in self.findings],
        }


def _rounded(found: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 2) for name, value in found.items()}


def name_plane(view: str, plane: str, mode: str, vault: bool) -> str:
    """Return the plane by its public name, of the view that is scanned and the phantom's own name.

    Without a vault there is no standard plane of a head.
    """
    if mode == "nonfetal" or view not in ("head", "face", "spine-sagittal", "spine-axial"):
        return NO_HEAD
    if view.startswith("spine"):
        return SPINE
    found = _PLANES.get(plane, OTHER_HEAD) if view == "head" else OTHER_HEAD
    return found if vault or found not in HEAD_PLANES else OTHER_HEAD


def name_also(plane: str, border: str | None) -> tuple[str, ...]:
    """Return what else a slice of a head may be called, by its plane's public name.

    `border` is the phantom's own name of the plane at the end of whose reach it lies.
    """
    if border is None or plane not in (*HEAD_PLANES, OTHER_HEAD):
        return ()
    return (OTHER_HEAD,) if plane in HEAD_PLANES else (_PLANES[border],)


def tell_truth(
    marks: Sequence[Mark],
    outlines: Sequence[Points],
    plane: str,
    mm_per_px: float,
    inside: Flags,
    region: tuple[int, int, int, int],
) -> FrameTruth:
    """Return the truth of marks whose `outlines` are in pixels of the screen.

    `inside` (h, w) says which pixels of `region` the scan lines reach.
    """
    structures: list[TrueStructure] = []
    findings: list[TrueStructure] = []
    head = None
    for mark, outline in zip(marks, outlines, strict=True):
        if mark.name == HEAD:
            head = fit_ellipse(outline)
            continue
        visible = _share_inside(outline, inside, region)
        kept = findings if mark.name in FINDINGS else structures
        kept.append(TrueStructure(mark.name, outline, visible))
    return FrameTruth(plane, mm_per_px, head, tuple(structures), tuple(findings))


def _share_inside(outline: Points, inside: Flags, region: tuple[int, int, int, int]) -> float:
    """Return the share of the outlined area that the scan lines reach."""
    x, y, w, h = region
    low, high = np.floor(outline.min(0)).astype(int) - 1, np.ceil(outline.max(0)).astype(int) + 2
    patch = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
    cv2.fillPoly(patch, [np.rint((outline - low) * 16).astype(np.int32)], (1,), cv2.LINE_8, 4)
    rows, columns = np.nonzero(patch)
    rows, columns = rows + low[1] - y, columns + low[0] - x
    held = (rows >= 0) & (rows < h) & (columns >= 0) & (columns < w)
    seen = inside[rows[held], columns[held]].sum()
    return float(seen / max(len(rows), 1))
