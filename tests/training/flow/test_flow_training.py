"""What teaches the flow finder: painted flow, and trees that are read back as they were grown."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurosono.scripts.train.flow_sheets import describe, draw_sheets
from neurosono.stream.pictures.flow import Forest
from neurosono.stream.pictures.pieces import FEATURES
from neurosono.training.flow.forest import teach, write_trees
from neurosono.training.letters.typefaces import find_typefaces


def draw_pieces(count: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    rng = np.random.default_rng(seed)
    features = rng.normal(0, 1, (count, len(FEATURES)))
    return features, (features[:, 3] > 0.2) ^ (features[:, 7] > 0)


def test_trees_are_read_back_as_they_were_grown(tmp_path: Path) -> None:
    features, flow = draw_pieces(3000, 0)
    write_trees(
        teach(features, flow.astype(np.float64), np.full(len(flow), 50.0)), tmp_path / "f.npz"
    )
    unseen, truth = draw_pieces(1000, 1)
    chances = Forest(tmp_path / "f.npz").judge(unseen)
    assert chances.min() >= 0
    assert chances.max() <= 1
    assert np.mean((chances > 0.5) == truth) > 0.95


def test_sheets_know_where_their_flow_is() -> None:
    import matplotlib

    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    faces = [face for face in find_typefaces([fonts]) if "LATIN" in face.letters]
    rng = np.random.default_rng(3)
    ground = rng.integers(10, 120, (300, 400), dtype=np.uint8)
    shares: dict[str, list[float]] = {}
    for sheet in draw_sheets([ground], faces, 6, rng):
        described, lit = describe(sheet, rng)
        assert described.features.shape == (len(described.sizes), len(FEATURES))
        assert lit > 0
        flowing = float(described.sizes[described.shares > 0.5].sum())
        shares.setdefault(sheet.kind, []).append(flowing / max(1.0, float(described.sizes.sum())))
    assert max(shares["written"]) == 0
    assert np.median(shares["flow"]) > 0.9
    assert set(shares) == {"written", "flow", "flow, written"}
