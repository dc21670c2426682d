"""One picture, judged by an open bundle."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import neurosono
from neurosono.engine.bundle import Bundle


def test_it_says_what_it_is(opened: neurosono.OpenBundle, bundle_root: Path) -> None:
    manifest = Bundle.load(bundle_root).manifest
    assert opened.labels == manifest.labels
    assert opened.digest == manifest.digest
    assert opened.intended_use == "tests"
    assert "diagnosis" in " ".join(neurosono.open_bundle("demo").limits)


def test_a_picture_has_the_answer_that_an_exam_gives_it(
    opened: neurosono.OpenBundle, region: NDArray[np.uint8]
) -> None:
    answer = opened.judge(region)
    height, width = region.shape
    pairs = neurosono.judge([region], opened, region=f"0,0,{width},{height}")
    (_, judged) = next(iter(pairs))
    assert answer.probabilities is not None
    assert answer.probabilities == judged.probabilities
    assert sum(answer.probabilities.values()) == pytest.approx(1)
    assert list(answer.probabilities) == list(opened.labels)
    assert answer.class_maps is not None
    assert judged.class_maps is not None
    for label, class_map in answer.class_maps.items():
        assert class_map.ndim == 2
        assert class_map.dtype == np.float32
        assert 0 <= class_map.min() <= class_map.max() <= 1
        assert np.array_equal(class_map, judged.class_maps[label])


def test_what_is_no_ultrasound_gets_no_probabilities(opened: neurosono.OpenBundle) -> None:
    answer = opened.judge(np.zeros((200, 200), np.uint8))
    assert (answer.used, answer.probabilities, answer.class_maps) == (False, None, None)
    assert answer.skip_reason is neurosono.SkipReason.NOT_ULTRASOUND
    assert answer.exam.skipped == {"not-ultrasound": 1}


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((200, 200, 3), np.uint8),
        np.zeros((200, 200), np.float64),
        np.zeros((0, 200), np.uint8),
        np.zeros(200, np.uint8),
        None,
    ],
)
def test_what_is_no_picture_is_refused(bad: Any, opened: neurosono.OpenBundle) -> None:
    with pytest.raises(neurosono.InputError, match=r"must be \(H, W\) uint8, found"):
        opened.judge(bad)


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(neurosono.BundleError, match="is no bundle"):
        neurosono.open_bundle(tmp_path)


def test_an_exam_has_no_class_but_its_own(
    opened: neurosono.OpenBundle, region: NDArray[np.uint8]
) -> None:
    exam = opened.judge(region).exam
    with pytest.raises(KeyError, match="the bundle has anencephaly"):
        exam["norml"]
    low, high = exam.interval("normal")
    assert low <= exam["normal"] <= high
    assert exam.state is neurosono.ExamState.COLLECTING
