"""What members were trained on is familiar, what is unlike it is refused, and damage is told."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neurosono.engine.contracts.errors import BundleError, EngineFailedError, InputError
from neurosono.engine.familiarity import Familiarity, place

MEMBERS, FEATURES, EARLY = 3, 176, 112


def known(count: int, shift: float = 0.0) -> np.ndarray:
    levels = np.linspace(0.5, 3, FEATURES) * np.exp(shift)
    noise = np.random.default_rng(count).normal(0, 0.1, (count, MEMBERS, FEATURES))
    return (levels * np.exp(noise)).astype(np.float32)


@pytest.fixture
def familiarity() -> Familiarity:
    placed = place(known(400), EARLY)
    return Familiarity(
        placed.mean(0),
        placed.std(0),
        np.zeros(placed.shape[1:]),
        np.tile([1.0, 0.0], (MEMBERS, 1)),
        np.tile([2.0, 1.0], (MEMBERS, 1)),
    )


def test_the_typical_frame_is_near_0_and_what_departs_is_stranger_step_by_step(
    familiarity: Familiarity,
) -> None:
    found = [float(familiarity.measure(known(50, shift)).mean()) for shift in (0, 0.3, 0.6, 1.2)]
    assert abs(found[0]) < 0.3
    assert found == sorted(found)
    assert found[-1] > 5


def test_only_the_first_stages_are_asked_and_darker_counts_as_brighter_does(
    familiarity: Familiarity,
) -> None:
    frames = known(20)
    late = frames.copy()
    late[..., EARLY:] *= 50
    np.testing.assert_array_equal(familiarity.measure(late), familiarity.measure(frames))
    assert (familiarity.measure(known(20, -1.0)) > 1).all()


def test_the_plane_parts_what_distance_does_not(familiarity: Familiarity) -> None:
    plane = np.zeros_like(familiarity.centre)
    plane[:, 0] = 1.0
    with_plane = replace(familiarity, plane=plane)
    frames = known(20)
    frames[..., 0] *= np.float32(np.exp(0.5))
    assert (familiarity.measure(frames) < 1).all()
    assert (with_plane.measure(frames) > 1).all()


def test_fewer_members_have_limits_of_their_own(familiarity: Familiarity) -> None:
    limits = familiarity.limits.copy()
    limits[0] = 100.0
    lenient = replace(familiarity, limits=limits)
    strange = known(5, 0.6)
    assert (lenient.measure(strange) > 1).all()
    assert (lenient.measure(strange[:, :1]) < 1).all()


def test_it_is_kept_in_a_file_without_pickle(familiarity: Familiarity, tmp_path: Path) -> None:
    path = tmp_path / "familiarity.npz"
    familiarity.save(path)
    frames = known(10)
    np.testing.assert_allclose(
        Familiarity.load(path).measure(frames), familiarity.measure(frames), rtol=1e-4, atol=1e-4
    )
    path.write_bytes(b"nothing")
    with pytest.raises(BundleError, match="neurosono calibrate"):
        Familiarity.load(path)
    with path.open("wb") as file:
        np.savez(file, centre=familiarity.centre)
    with pytest.raises(BundleError, match="no statistics of familiarity"):
        Familiarity.load(path)


def test_features_of_another_network_or_no_numbers_are_refused(familiarity: Familiarity) -> None:
    frame = known(1)[0]
    assert familiarity.check(frame) == pytest.approx(float(familiarity.measure(frame)))
    for wrong in (frame[:, :64], np.repeat(frame, 2, axis=0)):
        with pytest.raises(EngineFailedError, match="run `neurosono calibrate` again"):
            familiarity.check(wrong)
    frame[0, 0] = np.nan
    with pytest.raises(EngineFailedError, match="strangeness nan"):
        familiarity.check(frame)


def test_statistics_that_do_not_fit_together_are_refused(familiarity: Familiarity) -> None:
    for changes in (
        {"centre": familiarity.centre[:2]},
        {"scale": -familiarity.scale},
        {"limits": familiarity.typical},
        {"typical": familiarity.typical[:, 0]},
    ):
        with pytest.raises(InputError, match="statistics of familiarity"):
            replace(familiarity, **changes)
