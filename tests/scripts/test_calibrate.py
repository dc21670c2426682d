"""`calibrate --unlike`: which pictures are of another kind, at the bundle's size."""

from pathlib import Path

import numpy as np
import pytest

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import InputError
from neurosono.scripts.calibrate import read_unlike
from neurosono.training.gate.data import GateRow, write_gate_data
from neurosono.training.squares import PHANTOM


@pytest.fixture
def unlike(tmp_path: Path) -> Path:
    rows = [
        GateRow("a.png", "women", "one", "head"),
        GateRow("b", PHANTOM, "two", "head", "transventricular"),
        GateRow("c", PHANTOM, "three", "head", "transcerebellar"),
    ]
    pixels = [np.full((224, 224), 40 * number, np.uint8) for number in range(3)]
    write_gate_data(tmp_path / "unlike", zip(pixels, rows, strict=True), ["nobody"])
    return tmp_path / "unlike"


def test_all_pictures_are_unlike_at_the_bundles_size(unlike: Path, bundle_root: Path) -> None:
    found = read_unlike(unlike, None, Bundle.load(bundle_root))
    assert found.frames.shape == (3, 64, 64)
    assert list(found.owners) == ["one", "two", "three"]


def test_generated_pictures_of_the_bundles_own_plane_are_not(
    unlike: Path, bundle_root: Path
) -> None:
    bundle = Bundle.load(bundle_root)
    found = read_unlike(unlike, "transventricular", bundle)
    assert list(found.owners) == ["one", "three"]
    assert [int(frame.mean()) for frame in found.frames] == [0, 80]
    with pytest.raises(InputError, match="no generated pictures of the plane 'coronal'"):
        read_unlike(unlike, "coronal", bundle)
