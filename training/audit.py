"""No picture may stand under two patients: it would be learnt from one and judged on the other.

Two steps. A perceptual hash finds pairs that may be copies, also of slightly cropped or mirrored
pictures; aligning the two and comparing their fine texture, speckle by speckle, tells which are.

Measured on what the intake gives at 224 px. No copies: 4,508 frames of 420 phantoms, 1,267 of 120
others, 1,166 real pictures (fetal heads, abdomen, femur, thorax): the most alike of two patients
had a likeness of 0.75, of real ones 0.65. Copies of 85 real heads, changed as files and taken in
anew (JPEG at quality 40; half and 1.3 times the size; brighter; more and less contrast; mirrored; 3
or 5 % cut off all sides, 6 % off two, 8 % off one; several of these at once): 1,016 of 1,019 were
found, and with 8 % cut off all sides 60 of 85. The least alike of those compared had 0.91.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Integers, Pixels, Singles
from neurosono.engine.contracts.cache import Cache
from neurosono.engine.contracts.errors import InputError

ALLOWED_KEY = "copies_allowed"
"""In `cache.json`: true where who made the cache allowed copies across patients by name."""
COPIES_KEY = "copies"
"""In `cache.json` once a cache was audited as it was made: the rows of the copies allowed."""

NAMED_PAIRS = 10
"""How many pairs of files one sentence names; the others are counted."""

LOOK_PX = 112
"""Side of the square in which two pictures are compared: half of a cache's usual one."""
HASH_PX = 48
HASH_BITS = 12
"""Side of the hash. 8 (the usual) cannot tell one phantom's head from another's; 16 loses pictures
that were cropped by 2 % already."""
HASH_LIMIT = 28
"""Bits of 144 that may differ. Copies as above: 26 and less in 95 % of each kind of change."""
SAME_LIKENESS = 0.85
"""Likeness from which two pictures are one; see the figures at the top of this file."""

CROP_SHARE = 0.05
"""Each side is tried whole and with this share cut off: the hash reaches what lies between."""
_CROPS = tuple(product((0.0, CROP_SHARE), repeat=4))
_FLIPS = (1, 0, -1)
"""OpenCV's codes: left to right, top to bottom, both."""

_BLOCK = 1024
_TRIES = 5
"""Pairs of frames compared for each pair of files: a copy of a clip is found by its first ones."""


@dataclass(frozen=True)
class Copy:
    """Two frames of two patients that are one picture: row numbers, and how alike, up to 1."""

    first: int
    second: int
    likeness: float


def audit(cache: Cache) -> None:
    """Raise `InputError`, naming the files, if a picture stands under two patients.

    A cache that says that it was audited when it was made, or made with copies allowed by name,
    passes at once. (That no patient stands under two labels is checked whenever it is opened.)
    """
    if COPIES_KEY in cache.summary or cache.summary.get(ALLOWED_KEY) is True:
        return
    copies = find_copies(cache)
    if copies:
        raise InputError(tell_copies(cache, copies))


def tell_copies(cache: Cache, copies: list[Copy]) -> str:
    """Return the one sentence that stops a run over copies."""
    named = "; ".join(
        f"{_name(cache, each.first)} and {_name(cache, each.second)} ({each.likeness:.0%} alike)"
        for each in copies[:NAMED_PAIRS]
    )
    more = f"; and {len(copies) - NAMED_PAIRS} more" if len(copies) > NAMED_PAIRS else ""
    pairs = "pair of files shows" if len(copies) == 1 else "pairs of files show"
    return (
        f"{len(copies)} {pairs} the same picture under two patients: {named}{more}. Leave one of "
        "each out, or put both under one patient; `neurosono train prepare --allow-copies` lets "
        "them pass"
    )


def _name(cache: Cache, row: int) -> str:
    return f"{cache.rows[row].path} frame {cache.rows[row].frame}"


def find_copies(cache: Cache) -> list[Copy]:
    """Return the pictures that stand under two patients, the most alike pair of files first.

    Of two files only the most alike frames are named.
    """
    looks = np.stack([_look(frame) for frame in cache.frames])  # (N, LOOK_PX, LOOK_PX) uint8
    best: dict[tuple[str, str], Copy] = {}
    tries: Counter[tuple[str, str]] = Counter()
    for first, second, view in _find_candidates(cache, looks):
        files = min(first, second), max(first, second)
        key = cache.rows[files[0]].path, cache.rows[files[1]].path
        if tries[key] == _TRIES or key in best:
            continue
        tries[key] += 1
        likeness = measure_likeness(_change(looks[first], view), looks[second])
        if likeness >= SAME_LIKENESS:
            best[key] = Copy(*files, likeness)
    return sorted(best.values(), key=lambda each: -each.likeness)


def _find_candidates(cache: Cache, looks: Pixels) -> list[tuple[int, int, int]]:
    """Return (first, second, view): `second` may be the first's `view`; nearest hashes first."""
    names = {patient: number for number, patient in enumerate(cache.label_of_patient)}
    patients = np.array([names[row.patient] for row in cache.rows])
    hashes = perceptual_hash(looks)
    found: dict[tuple[int, int], tuple[int, int, int, int]] = {}
    for view in range(_VIEWS):
        for at in range(0, len(looks), _BLOCK):
            some = np.stack([_change(look, view) for look in looks[at : at + _BLOCK]])
            for distance, first, second in _match(perceptual_hash(some), hashes, patients, at):
                pair = min(first, second), max(first, second)
                candidate = (distance, first, second, view)
                found[pair] = min(found.get(pair, candidate), candidate)
    return [candidate[1:] for candidate in sorted(found.values())]


def _match(
    some: Singles, hashes: Singles, patients: Integers, at: int
) -> Iterator[tuple[int, int, int]]:
    """Yield (distance, row, row) of the hashes within reach of each other, across patients."""
    agreement = some @ hashes.T  # (b, N): of bits as -1 and 1, 144 - 2 x the Hamming distance
    rows, others = np.nonzero(agreement >= HASH_BITS**2 - 2 * HASH_LIMIT)
    apart = patients[rows + at] != patients[others]
    rows, others = rows[apart], others[apart]
    distances = (HASH_BITS**2 - agreement[rows, others]) // 2
    yield from zip(
        distances.astype(int).tolist(), (rows + at).tolist(), others.tolist(), strict=True
    )


_VIEWS = len(_CROPS) + len(_FLIPS)


def _change(look: Pixels, view: int) -> Pixels:
    """Return a picture mirrored or with its sides cut off, at its size; view 0 is the picture."""
    if view == 0:
        return look
    if view >= len(_CROPS):
        return np.asarray(cv2.flip(look, _FLIPS[view - len(_CROPS)]), dtype=np.uint8)
    left, top, right, bottom = (round(share * LOOK_PX) for share in _CROPS[view])
    return _resize(look[top : LOOK_PX - bottom, left : LOOK_PX - right], LOOK_PX)


def _look(frame: Pixels) -> Pixels:
    """Return what a picture shows, without the black around it, as a square of LOOK_PX."""
    shows = _find_content(frame)
    rows = np.flatnonzero(shows.mean(axis=1) > _STRAY_SHARE)
    columns = np.flatnonzero(shows.mean(axis=0) > _STRAY_SHARE)
    if min(len(rows), len(columns)) < len(frame) // 7:
        return _resize(frame, LOOK_PX)
    return _resize(frame[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], LOOK_PX)


_STRAY_SHARE = 0.03
"""Of a row or column: specks left over where a region was found too large fill less."""


def _find_content(picture: Pixels) -> Pixels:
    """Return 1 where there are echoes and 0 on the black of bars, masks and outside the sector.

    Their edges stay in place however the picture moves, so no comparison may see them.
    """
    side = max(3, len(picture) // 25 | 1)
    lit = (picture > 2).astype(np.uint8)
    whole = cv2.morphologyEx(
        lit, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8), borderType=cv2.BORDER_REPLICATE
    )
    half = side // 2 + 1
    kernel = np.ones((half | 1, half | 1), np.uint8)
    inner = cv2.erode(whole, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(inner, dtype=np.uint8)


def _resize(picture: Pixels, side: int) -> Pixels:
    way = cv2.INTER_AREA if min(picture.shape) >= side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (side, side), interpolation=way), dtype=np.uint8)


def perceptual_hash(looks: Pixels) -> Singles:
    """Return `(N, 144)` of -1 and 1: `imagehash.phash`, for many pictures at a time.

    The lowest 12 x 12 frequencies of a 48 x 48 picture against their median.
    """
    small = np.stack([_resize(look, HASH_PX) for look in looks]).astype(np.float32)
    low = (_COSINES @ small @ _COSINES.T).reshape(len(small), -1)
    return np.where(low > np.median(low, axis=1, keepdims=True), 1, -1).astype(np.float32)


_COSINES = np.cos(
    np.pi * np.outer(np.arange(HASH_BITS), 2 * np.arange(HASH_PX) + 1) / (2 * HASH_PX)
).astype(np.float32)
"""`(12, 48)`: the lowest frequencies of the discrete cosine transform (type 2)."""


def measure_likeness(one: Pixels, other: Pixels) -> float:
    """Return how alike the texture of two pictures is, once the second lies on the first: up to 1.

    Both are `(LOOK_PX, LOOK_PX)` uint8. 0 where they cannot be aligned or share too little.
    """
    if np.array_equal(one, other):
        return 1.0
    inside = _find_content(other)
    way = np.eye(2, 3, dtype=np.float32)
    until = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 60, 1e-6)
    goal, moving = (cv2.GaussianBlur(each, (0, 0), 1.5) for each in (one, other))
    try:
        _, way = cv2.findTransformECC(goal, moving, way, cv2.MOTION_AFFINE, until, inside * 255, 1)
    except cv2.error:  # it did not converge: nothing in one is like the other
        return 0.0
    size = (LOOK_PX, LOOK_PX)
    moved = cv2.warpAffine(other, way, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    moved_inside = cv2.warpAffine(inside, way, size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)
    shared = (moved_inside & _find_content(one)) > 0
    if shared.mean() < _SHARED_SHARE:
        return 0.0
    a, b = (_texture(np.asarray(each, dtype=np.uint8))[shared] for each in (one, moved))
    return float(a @ b / np.sqrt((a @ a) * (b @ b) + 1e-9))


_SHARED_SHARE = 0.1
"""Of the square: on less, any two pictures may agree by chance."""


def _texture(picture: Pixels) -> Singles:
    """Return the detail between 1 and 4 px, brought to one contrast everywhere.

    So a bright skull counts no more than the speckle beside it; 3 grey levels keep noise down.
    """
    levels = picture.astype(np.float32)
    detail = cv2.GaussianBlur(levels, (0, 0), 1.0) - cv2.GaussianBlur(levels, (0, 0), 4.0)
    contrast = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), 5.0))
    return np.asarray(detail / (contrast + 3.0), dtype=np.float32)
