"""Pairs of planes: as many as asked for, of the same weeks, each abnormal one with its finding."""

from collections import Counter

import numpy as np
import pytest

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.patterns.names import MEGA_CISTERNA, NO_CSP
from neurosono.engine.structures.names import (
    CEREBELLUM,
    CSP,
    LV,
    OTHER_HEAD,
    TRANSCEREBELLAR,
    TRANSVENTRICULAR,
)
from neurosono.stream.phantom.exam import gestational_weeks
from neurosono.stream.phantom.pairs import (
    ABNORMAL_TURNS,
    PAIR_WEEKS,
    PAPER_ABNORMAL,
    PAPER_NORMAL,
    deal_pairs,
    shoot_pair,
)


def test_the_papers_counts_are_dealt() -> None:
    pairs = deal_pairs(PAPER_NORMAL, PAPER_ABNORMAL, 5)
    assert Counter(each.label for each in pairs) == {"normal": 218, "abnormal": 101}
    assert len({each.patient for each in pairs}) == 319
    counts = Counter(each.finding for each in pairs if each.abnormal)
    assert set(counts) == set(ABNORMAL_TURNS)
    assert max(counts.values()) - min(counts.values()) <= 1
    weeks = [gestational_weeks(each.spec) for each in pairs]
    assert PAIR_WEEKS[0] <= min(weeks)
    assert max(weeks) < PAIR_WEEKS[1]
    order = [each.abnormal for each in pairs]
    assert any(order[:50])
    assert not all(order[-50:])


def test_the_same_seed_gives_the_same_pixels_and_another_does_not() -> None:
    first, again, other = (next(shoot_pair(deal_pairs(1, 0, s)[0])) for s in (1, 1, 2))
    assert np.array_equal(first.frame.pixels, again.frame.pixels)
    assert first.pair == again.pair
    assert not np.array_equal(first.frame.pixels, other.frame.pixels)


def test_each_picture_shows_what_its_truth_says() -> None:
    pairs = {each.finding: each for each in deal_pairs(1, len(ABNORMAL_TURNS), 4)}
    for finding in ("none", NO_CSP, MEGA_CISTERNA):
        pictures = list(shoot_pair(pairs[finding], views=2))
        assert len(pictures) == 4
        for picture in pictures:
            truth = picture.frame.truth
            assert truth is not None
            assert truth.plane == picture.plane
            labels = {each.label for each in truth.structures}
            found = {each.label for each in truth.findings}
            if picture.plane == TRANSVENTRICULAR:
                assert LV in labels
                assert (CSP in labels) == (finding != NO_CSP)
                assert (NO_CSP in found) <= (finding == NO_CSP)
            else:
                assert CEREBELLUM in labels
                assert (MEGA_CISTERNA in found) <= (finding == MEGA_CISTERNA)


def test_others_of_the_same_head_are_of_neither_plane() -> None:
    pictures = list(shoot_pair(deal_pairs(1, 0, 8)[0], others=4))
    assert len(pictures) == 6
    for picture in pictures[2:]:
        assert picture.frame.truth is not None
        assert picture.plane == OTHER_HEAD
        assert picture.frame.truth.plane not in (TRANSVENTRICULAR, TRANSCEREBELLAR)


@pytest.mark.parametrize("counts", [(0, 0), (-1, 3), (3, -1)])
def test_numbers_that_make_no_pairs_are_refused(counts: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="pairs are"):
        deal_pairs(*counts, 0)
