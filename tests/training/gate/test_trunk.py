"""The trunk reads its authors' file and no other, and sees a picture whatever frames it."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from neurosono.engine.builders.openvino import quantise
from neurosono.engine.contracts.errors import InputError
from neurosono.training.gate.trunk import FRONT, LOOKS, SHAPE, Eye, Trunk, build_trunk
from tests.support.gates import write_trunk

SIDE_PX = 224


@pytest.fixture(scope="module")
def eye(tmp_path_factory: pytest.TempPathFactory) -> Eye:
    path = write_trunk(tmp_path_factory.mktemp("trunk") / "weights.npz")
    return Eye(build_trunk(Trunk.load(path), SIDE_PX))


def draw(height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(4)
    small = rng.integers(30, 256, (17, 22)).astype(np.uint8)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC))


def put(picture: np.ndarray, top: int, left: int) -> np.ndarray:
    square = np.zeros((SIDE_PX, SIDE_PX), dtype=np.uint8)
    square[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return square


def test_bars_gain_and_squeeze_change_little_of_what_is_seen(eye: Eye) -> None:
    seen = eye.look(put(draw(*SHAPE), 44, 24))
    assert seen.shape == (LOOKS,)
    assert np.isfinite(seen).all()
    moved = eye.look(put(draw(*SHAPE), 0, 0))
    np.testing.assert_allclose(moved, seen, rtol=1e-3, atol=1e-3)
    dimmer = eye.look(put((draw(*SHAPE) * 0.6).astype(np.uint8), 44, 24))
    squeezed = eye.look(put(draw(SHAPE[0], SHAPE[0]), 10, 60))
    size = np.linalg.norm(seen)
    assert np.linalg.norm(dimmer - seen) < 0.1 * size
    assert np.linalg.norm(squeezed - seen) < 0.15 * size


def test_nothing_and_flat_grey_are_seen_as_finite(eye: Eye) -> None:
    for level in (0, 5, 128, 255):
        assert np.isfinite(eye.look(np.full((SIDE_PX, SIDE_PX), level, dtype=np.uint8))).all()


def test_height_and_width_are_undone_each_by_itself(eye: Eye) -> None:
    picture = np.random.default_rng(0).integers(40, 256, (68, 88)).astype(np.uint8)
    taller = np.repeat(picture, 2, axis=0)
    seen, again = eye.look(put(picture, 60, 40)), eye.look(put(taller, 3, 9))
    np.testing.assert_allclose(again, seen, rtol=1e-3, atol=1e-3)


def test_int8_sees_what_float32_sees(tmp_path: Path) -> None:
    exact = build_trunk(Trunk.load(write_trunk(tmp_path / "weights.npz")), SIDE_PX)
    squares = [put(draw(100 + 10 * n, 200 - 12 * n), 3 * n, 5 * n) for n in range(8)]
    graph = quantise(exact, np.stack(squares), correct=False, exact=f"{FRONT}/.*")
    for square in squares[::3]:
        seen, wanted = Eye(graph).look(square), Eye(exact).look(square)
        assert np.linalg.norm(seen - wanted) < 0.05 * np.linalg.norm(wanted)


def test_another_file_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", arr_0=np.zeros(3))
    with pytest.raises(InputError, match="holds no SonoNet-16"):
        Trunk.load(tmp_path / "other.npz")
    with pytest.raises(InputError, match="holds no SonoNet-16"):
        Trunk.load(tmp_path / "missing.npz")
    arrays = dict(np.load(write_trunk(tmp_path / "trunk.npz")))
    np.savez(tmp_path / "wrong.npz", **(arrays | {"arr_5": np.zeros((2, 2, 3, 3))}))
    with pytest.raises(InputError, match=r"layer 1 is \(2, 2, 3, 3\)"):
        Trunk.load(tmp_path / "wrong.npz")
