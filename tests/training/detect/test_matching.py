"""Average precision: pycocotools' own, and with weights what drawing patients again would give."""

import io
from contextlib import redirect_stdout

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from neurosono.engine.structures.boxes import RotatedBox
from neurosono.training.detect.matching import (
    THRESHOLDS,
    Shown,
    _as_coco,
    average_precision,
    match,
)

SIZE_PX = 128


def _draw(seed: int, count: int = 30) -> list[Shown]:
    rng = np.random.default_rng(seed)
    pictures = []
    for _ in range(count):
        true = [
            RotatedBox(*rng.uniform(30, 98, 2), *rng.uniform(10, 40, 2), rng.uniform(0, 180))
            for _ in range(rng.integers(0, 3))
        ]
        found = [
            RotatedBox(
                box.cx + rng.normal(0, 3),
                box.cy + rng.normal(0, 3),
                box.w * np.exp(rng.normal(0, 0.1)),
                box.h * np.exp(rng.normal(0, 0.1)),
                box.angle_deg + rng.normal(0, 6),
            )
            for box in true
            if rng.random() < 0.8
        ]
        found += [RotatedBox(*rng.uniform(30, 98, 2), 20, 10, 0) for _ in range(rng.integers(0, 2))]
        pictures.append(
            Shown(
                tuple(box.corners() for box in true),
                tuple((float(rng.random()), box.corners()) for box in found),
            )
        )
    return pictures


@pytest.mark.parametrize("seed", range(3))
def test_average_precision_is_pycocotools(seed: int) -> None:
    pictures = _draw(seed)
    ours = average_precision(match(pictures, SIZE_PX))
    truth, found = _as_coco(pictures, SIZE_PX)
    with redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        judge = COCOeval(coco, coco.loadRes(found), "segm")
        judge.params.areaRng, judge.params.areaRngLbl = [[0, 1e10]], ["all"]
        judge.evaluate()
        judge.accumulate()
    theirs = judge.eval["precision"][:, :, 0, 0, -1].mean(1)
    assert len(ours) == len(THRESHOLDS)
    assert 0.1 < ours[0] < 0.95
    np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_a_weight_of_two_is_a_picture_twice() -> None:
    pictures = _draw(5)
    weights = np.ones(len(pictures))
    weights[:10], weights[10:14] = 2, 0
    twice = [each for each, w in zip(pictures, weights, strict=True) for _ in range(int(w))]
    weighted = average_precision(match(pictures, SIZE_PX), weights)
    np.testing.assert_allclose(weighted, average_precision(match(twice, SIZE_PX)), atol=1e-9)


def test_nothing_true_is_undefined_and_nothing_found_is_none() -> None:
    box = RotatedBox(50, 50, 20, 10).corners()
    assert np.isnan(average_precision(match([Shown((), ((0.9, box),))], SIZE_PX))).all()
    assert (average_precision(match([Shown((box,), ())], SIZE_PX)) == 0).all()
    whole = average_precision(match([Shown((box,), ((0.9, box),))], SIZE_PX))
    np.testing.assert_allclose(whole, 1, atol=1e-9)
