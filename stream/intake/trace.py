"""Whether a spectral Doppler trace fills the picture: its baseline is drawn from side to side."""

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Floats, Pixels

BASELINE_SHARE = 0.8
"""Of the row: so much of it must be one straight line of one grey, brighter than what lies on both
sides. The phantom's traces reach more; the most level tissue of 33 clips and 434 stills 0.58."""
BASELINE_LEVEL = 60
"""Grey levels: darker lines are not looked at."""
ALIKE_LEVEL = 16
"""Grey levels by which the pixels of one drawn line may differ, after video compression."""
STEP_LEVEL = 25
"""Grey levels by which the line stands out from what lies `STEP_PX` above and below it."""
STEP_PX = 4
TOP_SHARE = 0.15
"""Of the height: above it is the skin line, never a baseline. At the bottom one may be the last
row, where the region ends with the trace."""


def has_trace(grey: Pixels) -> bool:
    """Whether a baseline crosses the region, `(h, w)` uint8 grey at full resolution."""
    return baseline_share(grey) >= BASELINE_SHARE


def baseline_share(grey: Pixels) -> float:
    """Return how much of its row the longest drawn line takes, 0 to 1."""
    top = int(TOP_SHARE * grey.shape[0])
    bottom = grey.shape[0]
    if bottom - top < STEP_PX or top < STEP_PX:
        return 0.0
    grey = cv2.copyMakeBorder(grey, 0, STEP_PX, 0, 0, cv2.BORDER_CONSTANT, value=(0,))
    # Only rows of which a part stands out from a side need the closer look: in tissue few do.
    here = grey[top:bottom]
    beyond = np.maximum(
        _stands_out(here, grey[top - STEP_PX : bottom - STEP_PX]),
        _stands_out(here, grey[top + STEP_PX : bottom + STEP_PX]),
    )
    rows = top + np.flatnonzero(beyond > grey.shape[1] // 4)
    return max((_line_share(grey[[r, r - STEP_PX, r + STEP_PX]]) for r in rows), default=0.0)


def _stands_out(here: Pixels, there: Pixels) -> Floats:
    """Return how many pixels of each row are brighter than those of another by a step."""
    brighter = cv2.threshold(cv2.subtract(here, there), STEP_LEVEL, 1, cv2.THRESH_BINARY)[1]
    return np.asarray(cv2.reduce(brighter, 1, cv2.REDUCE_SUM, dtype=cv2.CV_64F)).ravel()


def _line_share(three: Pixels) -> float:
    """Return how much of a row is a drawn line, given it and one row on either side of it."""
    line, above, below = three.astype(np.int16)
    seen = (line > 0) | (above > 0) | (below > 0)
    count = int(np.count_nonzero(seen))
    level = float(np.median(line[seen])) if count > len(line) // 2 else 0.0
    if level <= BASELINE_LEVEL:
        return 0.0
    alike = seen & (np.abs(line - level) <= ALIKE_LEVEL)
    return np.count_nonzero(alike & (line - np.maximum(above, below) > STEP_LEVEL)) / count
