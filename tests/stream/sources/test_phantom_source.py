import numpy as np
import pytest

from neurosono.engine.contracts.errors import SourceError
from neurosono.stream.sources import open_source

SHORT = "phantom:normal?seed=7&seconds=0.4&fps=10&width=400&height=300"


def test_a_phantom_is_a_source():
    source = open_source([SHORT])
    pictures = list(source.pictures())
    assert [picture.index for picture in pictures] == [0, 1, 2, 3]
    assert [picture.pts_s for picture in pictures] == pytest.approx([0, 0.1, 0.2, 0.3])
    assert pictures[0].pixels.shape == (300, 400, 3)
    assert pictures[0].pixels.dtype == np.uint8
    assert source.description == SHORT
    assert source.nominal_rate_hz == 10
    assert source.repaired_timestamps == 0


def test_a_phantom_is_the_same_every_time():
    first, second = (list(open_source([SHORT]).pictures()) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)


def test_two_phantoms_are_one_exam():
    pictures = list(open_source([SHORT, SHORT.replace("seed=7", "seed=8")]).pictures())
    assert [picture.clip for picture in pictures] == [0] * 4 + [1] * 4
    assert np.diff([picture.pts_s for picture in pictures]).min() > 0
    assert not np.array_equal(pictures[0].pixels, pictures[4].pixels)


def test_defaults():
    source = open_source(["phantom:anencephaly"])
    assert source.description == "phantom:anencephaly"
    assert source.nominal_rate_hz == 25


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("phantom:normall", "did you mean 'normal'"),
        ("phantom:", "expected one of anencephaly"),
        ("phantom:normal?sed=1", "did you mean 'seed'"),
        ("phantom:normal?seconds=0", "seconds cannot be '0'"),
        ("phantom:normal?seconds=-3", "seconds cannot be"),
        ("phantom:normal?seconds=inf", "seconds cannot be"),
        ("phantom:normal?seconds=", "seconds cannot be"),
        ("phantom:normal?seed=1.5", "whole number"),
        ("phantom:normal?seed=-1", "seed cannot be"),
        ("phantom:normal?width=3", "cannot make this phantom"),
        ("phantom:normal?ventricle_mm=40", "ventricles are 5 to 20 mm wide"),
        ("phantom:normal?ventricle_mm=wide", "ventricle_mm cannot be"),
        ("phantom:normal?seed=6&ventricle_mm=20", "holds ventricles up to"),
        ("phantom:normal?finding=cyst", "finding 'cyst' is unknown"),
        ("phantom:normal?seed=5&finding=other-cyst", "18 to 26 weeks"),
        ("phantom:normal?seed", "parameters"),
    ],
)
def test_what_cannot_be_made_is_refused(spec, why):
    with pytest.raises(SourceError, match=why) as refused:
        open_source([spec])
    assert refused.value.exit_code == 2
