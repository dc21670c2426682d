"""Which found structures are true: pycocotools' matching, and average precision from it.

Boxes lie at angles, so what is compared are their outlines, as polygons (`segm`). Average precision
with weights is ours, for a bootstrap over patients; a test holds it to pycocotools' own.
"""

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosono.engine.contracts.arrays import Flags, Floats, Integers

THRESHOLDS = tuple(float(t) for t in np.linspace(0.5, 0.95, 10))
_FINE = 4
"""Fine pixels to a pixel of the square: a ventricle eight pixels wide is too coarse to compare."""
_RECALLS = np.linspace(0, 1, 101)

Points = Floats


@dataclass(frozen=True)
class Shown:
    """One picture and one kind of structure: true outlines, found ones with their scores."""

    true: tuple[Points, ...]
    found: tuple[tuple[float, Points], ...]


@dataclass(frozen=True)
class Matches:
    """Of F found structures over all pictures: picture, score, and whether true at each threshold.

    `picture` (F,), `score` (F,), `hit` (F, T); `positives` (N,) true ones of each picture.
    """

    picture: Integers
    score: Floats
    hit: Flags
    positives: Integers


def match(pictures: Sequence[Shown], size_px: int) -> Matches:
    """Return which found structures are true, by pycocotools."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth, found = _as_coco(pictures, size_px)
    positives = np.array([len(each.true) for each in pictures], np.int64)
    if not found:
        return Matches(
            np.zeros(0, np.int64), np.zeros(0), np.zeros((0, len(THRESHOLDS)), bool), positives
        )
    with redirect_stdout(io.StringIO()):  # pycocotools prints what it does
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        judge = COCOeval(coco, coco.loadRes(found), "segm")
        judge.params.areaRng, judge.params.areaRngLbl = [[0, 1e10]], ["all"]
        judge.evaluate()
    at, scores, hits = [], [], []
    for number, each in enumerate(judge.evalImgs):
        if each is None or not len(each["dtScores"]):
            continue
        at.append(np.full(len(each["dtScores"]), number))
        scores.append(np.asarray(each["dtScores"]))
        hits.append(np.asarray(each["dtMatches"]).T > 0)
    return Matches(np.concatenate(at), np.concatenate(scores), np.concatenate(hits), positives)


def _as_coco(pictures: Sequence[Shown], size_px: int) -> tuple[dict[str, Any], list[Any]]:
    side = size_px * _FINE
    images = [{"id": k, "width": side, "height": side} for k in range(len(pictures))]
    marks: list[Any] = []
    found: list[Any] = []
    for number, each in enumerate(pictures):
        for outline in each.true:
            polygon = _polygon(outline)
            marks.append(
                {
                    "id": len(marks) + 1,
                    "image_id": number,
                    "category_id": 1,
                    "segmentation": polygon,
                    "area": 1.0,
                    "iscrowd": 0,
                    "bbox": [0, 0, 1, 1],
                }
            )
        found.extend(
            {
                "image_id": number,
                "category_id": 1,
                "segmentation": _as_mask(outline, side),
                "score": score,
            }
            for score, outline in each.found
        )
    truth = {
        "info": {},
        "images": images,
        "annotations": marks,
        "categories": [{"id": 1, "name": "it"}],
    }
    return truth, found


def _as_mask(outline: Points, side: int) -> Any:
    from pycocotools.mask import frPyObjects, merge

    return merge(frPyObjects(_polygon(outline), side, side))


def _polygon(outline: Points) -> list[list[float]]:
    return [((outline + 0.5) * _FINE).ravel().tolist()]


def average_precision(matches: Matches, weights: Floats | None = None) -> Floats:
    """Return average precision at each of `THRESHOLDS`, NaN without a true one.

    `weights` (N,) say how often each picture counts. As COCO: precision is made to fall with
    recall, and averaged over 101 recalls.
    """
    weight = np.ones(len(matches.positives)) if weights is None else weights
    total = float((matches.positives * weight).sum())
    if total == 0:
        return np.full(len(THRESHOLDS), np.nan)
    order = np.argsort(-matches.score, kind="mergesort")
    each = weight[matches.picture[order]][:, None]
    hit = matches.hit[order]
    right, wrong = np.cumsum(hit * each, 0), np.cumsum(~hit * each, 0)
    found = np.zeros(len(THRESHOLDS))
    for k in range(len(THRESHOLDS)):
        recall = right[:, k] / total
        precision = right[:, k] / np.maximum(right[:, k] + wrong[:, k], 1e-12)
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        place = np.searchsorted(recall, _RECALLS - 1e-12, side="left")
        inside = place < len(precision)
        found[k] = precision[place[inside]].sum() / len(_RECALLS)
    return found
