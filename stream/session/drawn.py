"""What a reader says of places, as screens and films draw it: held against its form before that."""

import math
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from neurosono.engine.contracts.errors import WireError

MOST_BOXES = 200
FURTHEST, LARGEST = 1e6, 1e9
"""No place on a picture, in pixels, comes near the one, no other number near the other."""
DEEPEST = 5

Near = Annotated[float, msgspec.Meta(ge=-FURTHEST, le=FURTHEST)]


class _Place(msgspec.Struct):
    cx: Near
    cy: Near
    angle_deg: Near


class _Box(_Place, kw_only=True):
    label: str
    score: float
    w: Near
    h: Near
    unproven: bool


class _Head(_Place, kw_only=True):
    a: Near
    b: Near


class _Said(msgspec.Struct):
    plane: str | None = None
    boxes: list[_Box] = []
    head: _Head | None = None


def check_drawn(said: Mapping[str, Any]) -> None:
    """Raise `WireError` where a box or a head is none, or where any number is."""
    try:
        found = msgspec.convert(said, _Said)
    except msgspec.ValidationError as error:
        raise WireError(f"a reader says what cannot be drawn: {error}") from error
    if len(found.boxes) > MOST_BOXES:
        raise WireError(f"a reader found {len(found.boxes)} boxes on one frame")
    _check_numbers(said, DEEPEST)


def _check_numbers(said: Any, left: int) -> None:
    if left == 0:
        raise WireError("what a reader says lies too deep")
    if isinstance(said, Mapping):
        for each in said.values():
            _check_numbers(each, left - 1)
    elif isinstance(said, list | tuple):
        for each in said:
            _check_numbers(each, left - 1)
    elif isinstance(said, int | float) and not (math.isfinite(said) and abs(said) < LARGEST):
        raise WireError("a number that a reader says is none")
