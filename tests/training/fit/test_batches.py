import numpy as np
import pytest

from neurosono.training.fit.batches import class_weights, shuffle


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
