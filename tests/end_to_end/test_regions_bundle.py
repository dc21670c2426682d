"""The shipped bundle of regions: small, honest about what it is, and silent without two planes."""

import numpy as np
import pytest

from neurosono.engine.bundle import SHIPPED, Bundle
from neurosono.engine.contracts.frame import Frame
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.kinds import Reader, find_kind
from neurosono.engine.preprocess import preprocess
from neurosono.stream.phantom.exam import gestational_weeks
from neurosono.stream.phantom.pairs import PAIR_WEEKS, deal_pairs, shoot_pair
from neurosono.training.regions.ship import LEARNT_WEEKS

LARGEST_BYTES = 3_000_000


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.load("regions", kind="regions")


@pytest.fixture(scope="module")
def reader(bundle: Bundle) -> Reader:
    return find_kind(bundle).open(bundle, 1)


def test_it_is_small_and_says_what_it_is(bundle: Bundle) -> None:
    root = SHIPPED["regions"]
    assert sum(each.stat().st_size for each in root.rglob("*") if each.is_file()) < LARGEST_BYTES
    assert "phantom pairs alone" in bundle.manifest.card["intended_use"]
    assert any("no sensitivity" in each for each in bundle.manifest.card["limits"])
    assert tuple(bundle.manifest.card["weeks"]) == LEARNT_WEEKS == PAIR_WEEKS


def test_a_pair_is_judged_and_one_plane_of_it_is_not(bundle: Bundle, reader: Reader) -> None:
    """That a pair is judged at all; how well is for the evidence, and for more than one pair."""
    spec = bundle.manifest.preprocessing
    states = []
    for pair in deal_pairs(4, 0, 77):
        exam = find_kind(bundle).begin(bundle)
        for seq, picture in enumerate(shoot_pair(pair)):
            x, y, w, h = picture.frame.region
            pixels = preprocess(picture.frame.pixels[y : y + h, x : x + w], spec)
            frame = Frame("s", seq, seq, seq / 25, pixels, region_px=(x, y, w, h))
            said = reader.read(frame, gestational_weeks(pair.spec)).said
            exam.update(ReaderResult.of(frame, "regions", said=said))
            states.append((seq, exam.snapshot()["state"], exam.snapshot()["verdict"]))
    assert all(verdict is None for seq, _, verdict in states if seq == 0)
    assert any(state == "judged" for seq, state, _ in states if seq == 1)


def test_nothing_is_read_into_a_dark_picture(reader: Reader) -> None:
    side = 320
    frame = Frame("s", 0, 0, 0.0, np.zeros((side, side), np.uint8), region_px=(0, 0, side, side))
    said = reader.read(frame).to_dict()
    assert said["plane"] is None
    assert said["regions"] == {}
