"""Views that are no head or spine: each draws something, no two alike, and all the same again."""

import numpy as np
import pytest

from neurosono.engine.contracts.arrays import Pixels
from neurosono.stream.phantom.canvas import Canvas
from neurosono.stream.phantom.organs import ORGANS, Sheet
from neurosono.stream.phantom.patient import draw_patient
from neurosono.stream.phantom.spec import PhantomSpec
from neurosono.stream.phantom.studio import Studio
from neurosono.stream.phantom.sweep import Stretch


def _draw(view: str, seed: int) -> Pixels:
    canvas = Canvas((0.0, -3.0))
    ORGANS[view](Sheet(canvas, draw_patient("train", 1, 1), np.random.default_rng(seed)))
    return canvas.pixels


@pytest.mark.parametrize("view", ORGANS)
def test_an_organ_is_drawn_anew_for_each_seed(view: str) -> None:
    one, again, other = _draw(view, 1), _draw(view, 1), _draw(view, 2)
    assert np.array_equal(one, again)
    assert (one[..., 1] > 0).mean() > 0.005  # it covers some of the mother
    assert (one != other).any(-1).mean() > 0.005


def test_a_studio_shoots_an_organ_and_marks_no_structure() -> None:
    studio = Studio(PhantomSpec("normal", seconds=1.0, fps=2.0), structures=True)
    stretch = Stretch(0.0, 1.0, "thorax", "nonfetal", (0.0, 1.0), (-0.5, 0.5), 0.0, 1.0, 3)
    frame = studio.shoot(0, 0.0, stretch)
    assert (frame.plane, frame.kind) == ("other", "nonfetal")
    assert frame.truth is not None
    assert frame.truth.head is None
