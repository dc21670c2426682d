"""Another picture's look: its grey levels and glow, and the anatomy that was there before."""

import numpy as np

from neurosono.training.gate.augmentation import LIT_LEVEL
from neurosono.training.gate.borrowing import borrow_greys, borrow_spectrum
from tests.training.gate.gate_pictures import draw


def test_grey_levels_are_the_others_and_their_order_ones_own() -> None:
    rng = np.random.default_rng(3)
    view, other = draw("head", rng), draw("other", rng) // 3 + 20
    found = borrow_greys(view, other)
    lit = view > LIT_LEVEL
    assert abs(np.median(found[lit]) - np.median(other[other > LIT_LEVEL])) < 12
    order = np.argsort(view[lit].astype(int), kind="stable")
    assert (np.diff(found[lit][order].astype(int)) >= 0).all()


def test_ones_own_look_changes_nothing() -> None:
    view = draw("head", np.random.default_rng(3))
    found = borrow_spectrum(view, view, np.random.default_rng(4))
    assert np.abs(found.astype(int) - view).max() <= 1


def test_a_borrowed_spectrum_keeps_what_is_where() -> None:
    rng = np.random.default_rng(5)
    view, other = draw("head", rng), draw("other", rng)
    found = borrow_spectrum(view, other, rng)
    assert (found != view).any()
    assert np.corrcoef(found.ravel(), view.ravel())[0, 1] > 0.5
