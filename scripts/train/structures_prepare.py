"""What the structures' detector learns from: phantoms with their truth, and rulers' scales."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.labels import DEFAULT_LABELS
from neurosono.engine.patterns.names import MILD_WIDTH, SEVERE_WIDTH
from neurosono.engine.structures.boxes import RotatedBox
from neurosono.engine.structures.names import LV, NO_HEAD, SPINE, STRUCTURES
from neurosono.stream.phantom.cohort import SCREENS_PX
from neurosono.stream.phantom.exam import PhantomFrame, PhantomSpec, exam_frames
from neurosono.stream.phantom.head import widest_ventricle_mm
from neurosono.stream.phantom.patient import draw_patient, random_stream
from neurosono.stream.phantom.spec import VENTRICLE_RANGE_MM
from neurosono.stream.phantom.truth import FrameTruth, TrueStructure
from neurosono.stream.screen.ruler import read_ruler
from neurosono.training.detect.data import to_square
from neurosono.training.detect.rows import Labelled, Row
from neurosono.training.squares import PHANTOM

Marks = tuple[tuple[Labelled, ...], tuple[str, ...]]
"""The boxes of one picture, and the labels of which they are complete."""

FPS = 1.0
SECONDS = 10.0
"""Ten pictures an exam, a second apart: each of another level or view."""
LEAST_VISIBLE = 0.6
"""A structure of which the scan lines reach less is not asked for."""
_NORMAL = 4
"""Of eight exams this many are normal: the planes and widths of the rest are not what is sought."""


def find_scale(grey: Pixels) -> float | None:
    """Return the millimetres per pixel of the ruler on a scanner's picture, None without one."""
    ruler = read_ruler(grey)
    return None if ruler is None else ruler.mm_per_px


def take_phantoms(exams: int, seed: int, watch: Callable[[], None]) -> Iterator[tuple[Pixels, Row]]:
    """Yield squares of generated exams with their truth.

    Half of the exams are normal, the other classes in turn; in half of all, the ventricles are
    drawn from 5 to 20 mm. Spectra and colour Doppler are left out, as a replay leaves them out.
    """
    others = [label for label in DEFAULT_LABELS if label != "normal"]
    for number in range(exams):
        width, height = SCREENS_PX[number % len(SCREENS_PX)]
        abnormal = others[number // 2 % len(others)]
        spec = PhantomSpec(
            label="normal" if number % 8 < _NORMAL else abnormal,
            seed=seed,
            seconds=SECONDS,
            fps=FPS,
            width_px=width,
            height_px=height,
            patient=number,
            namespace="cohort",
        )
        if number % 2:
            rng = random_stream(spec.namespace, seed, number, "ventricles")
            room = widest_ventricle_mm(draw_patient(spec.namespace, seed, number))
            width_mm = min(float(rng.uniform(*VENTRICLE_RANGE_MM)), room)
            spec = replace(spec, ventricle_mm=max(width_mm, VENTRICLE_RANGE_MM[0]))
        yield from take_phantom(spec)
        watch()


def tell_structures(spec: PhantomSpec, truth: FrameTruth) -> Marks:
    """Return the structures of a picture that its scan lines reach."""
    del spec
    seen = [each for each in truth.structures if each.visible >= LEAST_VISIBLE]
    hidden = {each.label for each in truth.structures} - {each.label for each in seen}
    known = tuple(name for name in STRUCTURES if name not in hidden)
    return tuple(Labelled(each.label, box_of(each)) for each in seen), known


def take_phantom(
    spec: PhantomSpec, tell: Callable[[PhantomSpec, FrameTruth], Marks] = tell_structures
) -> Iterator[tuple[Pixels, Row]]:
    """Yield the squares of one generated exam, cut out of the screen where the picture truly is.

    `tell` says what is asked of a picture.
    """
    for frame in exam_frames(spec, structures=True):
        if frame.kind not in ("bmode", "nonfetal"):
            continue
        x, y, w, h = frame.region
        grey = cv2.cvtColor(frame.pixels[y : y + h, x : x + w], cv2.COLOR_BGR2GRAY)
        yield to_square(np.asarray(grey, np.uint8), _row_of(spec, frame, tell))


def box_of(found: TrueStructure) -> RotatedBox:
    """Return a structure's box; of a ventricle, only as wide as it is across.

    A bent ventricle's box is wider than the ventricle, and its short side is what is read as the
    atrial width.
    """
    if found.label not in (LV, MILD_WIDTH, SEVERE_WIDTH):
        return found.box
    return replace(found.box, h=min(found.thickness_px, found.box.h))


def _row_of(
    spec: PhantomSpec, frame: PhantomFrame, tell: Callable[[PhantomSpec, FrameTruth], Marks]
) -> Row:
    truth = frame.truth
    assert truth is not None
    boxes, known = tell(spec, truth)
    # one number is another fetus in each namespace
    who = f"{PHANTOM}-{spec.seed}-{spec.patient}" + ("" if spec.namespace == "cohort" else "s")
    row = Row(
        path=f"{spec.finding or spec.label}/{spec.seed}-{spec.patient}/{frame.index}",
        source=PHANTOM,
        patient=who,
        machine=PHANTOM,
        planes=(truth.plane, *truth.also),
        known=known,
        boxes=boxes,
        head=truth.head,
        head_known=truth.head is not None or truth.plane in (NO_HEAD, SPINE),
    )
    away = np.array([[1.0, 0, -frame.region[0]], [0, 1.0, -frame.region[1]]])
    return replace(row.mapped(away), mm_per_px=truth.mm_per_px)
