"""Which of the lit patches of a screen are the ultrasound picture."""

import cv2
import numpy as np
from numpy.typing import NDArray

from neurosono.engine.contracts.arrays import Flags, Pixels
from neurosono.stream.screen.outline import MIRROR_SLOPE, fill_hull, fit_sides

OPENING_SHARE = 1 / 36
"""Of the shorter side: thinner things (lines of text, rulers, colour bars) are opened away. The
text of the scanners seen is 1/50 of the screen high, their grey bars 1/60 wide."""
SMALLEST_SHARE = 0.02
"""Of the screen: what is smaller is no ultrasound picture."""
ASIDE_SHARE = 0.3
"""Of the screen's width: what stands wholly within so much of its left or right is a column of
thumbnails, even where it is the largest thing on a dark screen."""
PIECE_SHARE = 0.004
"""Of the screen: a piece that is cut off by a shadow or fluid counts from this size on."""
PARTNER_SHARE = 0.12
"""Of the main patch: a piece that is the other half of a sector is at least this large."""
HULL_GAIN = 4.0
"""A piece belongs to the main patch where the common hull grows by no more than this many times the
piece's area: less than that of what lies between is dark."""
TOUCHING_SHARE = 0.015
"""Of the screen's width: a piece beside the main patch lies no further off than this, behind a thin
shadow. Thumbnails of earlier pictures stand 0.024 and more away on the screens seen."""
STACKED_SHARE = 0.4
"""Of the main patch's width: a piece above or below it that is as wide as this lies behind fluid or
a shadow; buttons under the picture are narrower."""
STACKED_SIZE = 0.012
"""Of the screen: or as large as this. The buttons seen take 0.005."""
CLUTTER_SHARE = 0.02
"""Of what lies between two pieces: more of it lit, and a ruler or a grey bar parts them."""
SECTOR_SLOPE = 0.1
"""Columns a row: a side that leans outwards by less may be that of a column of thumbnails."""
PANEL_SHARE = 0.35
"""Of a patch: more of it drawn, and it is a menu or a panel. Sectors have 0.1 at most."""


def pick_patch(dense: Pixels, drawn: Pixels, bright: Pixels) -> Pixels | None:
    """Return the ultrasound's own patch, or None where there is none.

    `dense` and `drawn` are `(h, w)` uint8, 0 or 255: what is densely lit, and what was drawn as a
    panel or letters; `bright` the share of clearly lit pixels. Returns `(h, w)` uint8, 255 inside.
    """
    side = max(3, 2 * round(min(dense.shape) * OPENING_SHARE / 2) + 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    may_be = np.where(drawn > 0, 0, dense).astype(np.uint8)
    live = np.asarray(cv2.morphologyEx(may_be, cv2.MORPH_OPEN, kernel), dtype=np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(live, connectivity=4)
    order = [int(i) + 1 for i in np.argsort(-stats[1:, cv2.CC_STAT_AREA])]
    first = next((k for k in order if _is_central(stats[k], live.shape[1])), None)
    if first is None or stats[first, cv2.CC_STAT_AREA] < SMALLEST_SHARE * live.size:
        return None
    clutter = (bright > 64) & (cv2.dilate(live, kernel) == 0)
    rest = [
        k for k in order if k != first and stats[k, cv2.CC_STAT_AREA] >= PIECE_SHARE * live.size
    ]
    patch = join(np.where(labels == first, 255, 0).astype(np.uint8), labels, rest, clutter)
    hull = fill_hull(patch)
    if np.count_nonzero(hull & drawn) > PANEL_SHARE * np.count_nonzero(hull):
        return None
    # The opening rounded the corners off: they come back.
    return np.asarray(cv2.dilate(patch, kernel) & may_be, dtype=np.uint8)


def _is_central(stats: NDArray[np.int32], width: int) -> bool:
    """Whether a piece reaches into the middle of the screen, where scanners put the picture."""
    x, w = int(stats[cv2.CC_STAT_LEFT]), int(stats[cv2.CC_STAT_WIDTH])
    return x < (1 - ASIDE_SHARE) * width and x + w > ASIDE_SHARE * width


def join(
    patch: Pixels,
    labels: NDArray[np.int32],
    rest: list[int],
    clutter: Flags,
) -> Pixels:
    """Return the patch with those of the other pieces that belong to it, the largest first.

    A piece that did not belong is tried once more after others came: they may have closed the gap.
    """
    for label in [*rest, *rest]:
        piece = (labels == label) & (patch == 0)
        if piece.any() and belongs(patch, piece, clutter):
            patch = np.where(piece, 255, patch).astype(np.uint8)
    return patch


def belongs(patch: Pixels, piece: Flags, clutter: Flags) -> bool:
    """Whether a piece is part of the picture that the main patch shows."""
    both = np.where(piece, 255, patch).astype(np.uint8)
    hull = fill_hull(both)
    between = (hull > 0) & (both == 0)
    if np.count_nonzero(between & clutter) > CLUTTER_SHARE * np.count_nonzero(between):
        return False
    main_x, _, main_w, _ = cv2.boundingRect(patch)
    x, _, w, _ = cv2.boundingRect(piece.astype(np.uint8))
    common = min(x + w, main_x + main_w) - max(x, main_x)
    size = int(np.count_nonzero(piece))
    if common == w and (w > STACKED_SHARE * main_w or size > STACKED_SIZE * patch.size):
        return True
    gain = int(np.count_nonzero(hull)) - int(np.count_nonzero(fill_hull(patch)))
    if gain <= HULL_GAIN * size and (common > w / 2 or touches(patch, piece)):
        return True
    return size > PARTNER_SHARE * int(np.count_nonzero(patch)) and _completes(patch, both)


def touches(patch: Pixels, piece: Flags) -> bool:
    """Whether a piece lies beside the main patch, no more than a thin shadow away."""
    away = np.asarray(cv2.distanceTransform(cv2.bitwise_not(patch), cv2.DIST_L2, 3))
    nearest = float(np.min(away[piece]))
    return bool(nearest < TOUCHING_SHARE * patch.shape[1])


def _completes(patch: Pixels, both: Pixels) -> bool:
    """Whether the two straight, alike sides of a sector are only there with the piece."""
    alone, together = _spread(patch), _spread(both)
    return alone is None and together is not None and together > SECTOR_SLOPE


def _spread(patch: Pixels) -> float | None:
    """Return how far the sides lean outwards, columns a row; None where they are not alike."""
    left, right = fit_sides(patch)
    if left is None or right is None or abs(left.slope + right.slope) > MIRROR_SLOPE:
        return None
    return (right.slope - left.slope) / 2
