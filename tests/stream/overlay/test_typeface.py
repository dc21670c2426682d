"""Lettering stays in its room, whichever font OpenCV has."""

import numpy as np
import pytest

from neurosono.stream.overlay.typeface import Typeface
from neurosono.stream.view import palette


@pytest.mark.parametrize("truetype", [None, False])
def test_lettering_fits_its_room_with_either_font(truetype: bool | None) -> None:
    face = Typeface(truetype)
    text = "holoprosencephaly, semilobar or alobar…"
    short = face.shorten(text, 120, 14)
    assert text.startswith(short[:-1])
    assert 0 < face.width(short, 14) <= 120
    assert face.shorten("normal", 120, 14) == "normal"
    canvas = np.zeros((40, 160, 3), dtype=np.uint8)
    face.draw(canvas, short, (10, 25), 14, palette.WHITE)
    columns = np.flatnonzero(canvas.any(axis=(0, 2)))
    assert columns.min() >= 8
    assert columns.max() <= 10 + 120 + 2
