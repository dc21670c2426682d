"""From phantom pairs and from women with both planes to what the regions' network learns from."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.patterns.names import MEGA_CISTERNA, MILD_WIDTH, SEVERE_WIDTH
from neurosono.engine.regions.names import PLANES
from neurosono.engine.structures.names import CISTERNA_MAGNA, LV, STRUCTURES
from neurosono.stream.phantom.pairs import PairPicture, deal_pairs, shoot_pair
from neurosono.stream.phantom.truth import TrueStructure
from neurosono.training.detect.data import open_real, to_square
from neurosono.training.detect.rows import Labelled, Row
from neurosono.training.detect.tables import RealPicture, read_tables
from neurosono.training.regions.data import Made
from neurosono.training.squares import PHANTOM

LEAST_VISIBLE = 0.6
"""A structure of which the scan lines reach less is not asked for."""
_ALSO = {MEGA_CISTERNA: CISTERNA_MAGNA, MILD_WIDTH: LV, SEVERE_WIDTH: LV}
"""Findings that are a structure, only larger."""


def take_phantom_pairs(
    normal: int, abnormal: int, views: int, seed: int, watch: Callable[[], None]
) -> Iterator[Made]:
    """Yield the pictures of phantom pairs, cut out of the screen where they truly are.

    And one of each head that is of neither plane.
    """
    for pair in deal_pairs(normal, abnormal, seed):
        for picture in shoot_pair(pair, views, others=1):
            x, y, w, h = picture.frame.region
            grey = cv2.cvtColor(picture.frame.pixels[y : y + h, x : x + w], cv2.COLOR_BGR2GRAY)
            square, row = to_square(np.asarray(grey, np.uint8), _row_of(picture))
            yield square, row, picture.plane, pair.abnormal, pair.finding
        watch()


def _row_of(picture: PairPicture) -> Row:
    frame, pair = picture.frame, picture.pair
    truth = frame.truth
    assert truth is not None
    boxes = [Labelled(each.label, each.box) for each in truth.structures if _shows(each)]
    there = {each.label for each in boxes}
    for each in truth.findings:
        label = _ALSO.get(each.label)
        if label is not None and label not in there and _shows(each):
            boxes.append(Labelled(label, each.box))
    row = Row(
        path=f"{pair.patient}/{picture.name}",
        source=PHANTOM,
        patient=pair.patient,
        machine=PHANTOM,
        planes=(picture.plane,),
        known=tuple(STRUCTURES),
        boxes=tuple(boxes),
        head=truth.head,
        head_known=truth.head is not None,
    )
    away = np.array([[1.0, 0, -frame.region[0]], [0, 1.0, -frame.region[1]]])
    return replace(row.mapped(away), mm_per_px=truth.mm_per_px)


def _shows(found: TrueStructure) -> bool:
    return found.visible >= LEAST_VISIBLE


def find_real_pairs(root: Path) -> list[tuple[RealPicture, str]]:
    """Return the pictures of women who have both planes, each with its plane.

    Raises `InputError` where there is nobody.
    """
    of: dict[str, list[tuple[RealPicture, str]]] = {}
    for picture in read_tables(root):
        if picture.row.plane in PLANES:
            of.setdefault(picture.row.patient, []).append((picture, picture.row.plane))
    both = [each for each in of.values() if {plane for _, plane in each} == set(PLANES)]
    if not both:
        raise InputError(f"{root} shows both planes of nobody: name another")
    return [each for some in both for each in some]


def take_real_pairs(
    pictures: list[tuple[RealPicture, str]], watch: Callable[[], None]
) -> Iterator[Made]:
    """Yield the squares of real pictures, their squeeze undone; nobody knows what is wrong."""
    for picture, plane in pictures:
        square, row = open_real(picture)
        yield square, row, plane, None, "unknown"
        watch()
