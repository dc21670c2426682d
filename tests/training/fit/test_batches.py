from collections.abc import Callable

import numpy as np
import pytest
import torch

from neurosono.engine.contracts.cache import Cache
from neurosono.training.fit.batches import Shelf, class_weights, shuffle


def test_weights_are_n_over_c_times_n_c() -> None:
    targets = np.array([0] * 6 + [1] * 3 + [2] * 1)
    found = class_weights(targets, 3).tolist()
    assert found == pytest.approx([10 / 18, 10 / 9, 10 / 3])


def test_each_frame_is_seen_once_in_an_order_that_follows_from_the_key() -> None:
    rows = np.arange(100, 117)
    batches = shuffle(rows, 4, [1, 2])
    seen = np.concatenate(batches)
    assert len(seen) == 16, "a lone last frame is left out"
    assert len(set(seen)) == 16
    assert set(seen) <= set(rows)
    assert np.array_equal(seen, np.concatenate(shuffle(rows, 4, [1, 2])))
    assert not np.array_equal(seen, np.concatenate(shuffle(rows, 4, [1, 3])))


@pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param(
            "cuda",
            marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"),
        ),
    ],
)
def test_a_shelf_hands_out_the_frames_and_classes_of_the_rows_asked_for(
    make_cohort: Callable[..., Cache], device: str
) -> None:
    cache = make_cohort()
    shelf = Shelf(cache, torch.device(device))
    rows = np.array([7, 0, 11], dtype=np.int64)
    frames, targets = shelf.read(rows)
    assert frames.device.type == targets.device.type == device
    assert frames.shape == (3, 1, 64, 64)
    assert np.array_equal(frames[:, 0].cpu(), cache.frames[rows])
    assert targets.tolist() == cache.targets[rows].tolist()
