"""Whatever a caller calls pictures, as one source."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from neurosono.engine.contracts.errors import InputError, SourceBrokenError
from neurosono.stream.pictures.picture import Picture, Source
from neurosono.stream.sources import ExamSource, open_source

Given: TypeAlias = (
    str | Path | Sequence[str | Path] | Source | Iterable[NDArray[np.uint8] | Picture]
)
"""Files, folders and phantoms by name, one or several; a `Source`; or pictures of one's own."""


def open_pictures(given: Given, pictures_hz: float) -> tuple[Source, bool]:
    """Return what was given as a source, and whether it may be read ahead, as files may.

    Pictures without a time of their own come `pictures_hz` times a second. Raises `SourceError`
    where a name cannot be opened, `InputError` where what was given is no pictures.
    """
    if isinstance(given, str | Path):
        return open_source([str(given)]), True
    if isinstance(given, Source):
        return given, isinstance(given, ExamSource)
    if isinstance(given, list | tuple):
        names = [str(each) for each in given if isinstance(each, str | Path)]
        if len(names) == len(given):
            return open_source(names), True
        if names:
            raise InputError("names and pictures were given in one list: give one kind of them")
    if isinstance(given, np.ndarray) and (given.ndim != 4 and not _is_cine(given)):
        raise InputError(
            f"one array of {given.shape} is not a sequence of pictures: give a list of (H, W) or "
            "(H, W, 3) arrays, or judge one region with `open_bundle(…).judge(array)`"
        )
    if not isinstance(given, Iterable):
        raise InputError(f"pictures must be a path, a source or an iterable, found {given!r:.80}")
    if not (math.isfinite(pictures_hz) and pictures_hz > 0):
        raise InputError(f"pictures_hz must be above 0, found {pictures_hz}")
    return OwnPictures(given, pictures_hz), False


def _is_cine(given: NDArray[np.uint8]) -> bool:
    return given.ndim == 3 and given.shape[-1] > 4  # not the colours of a single picture


class OwnPictures:
    """A `Source` of whatever yields pictures: arrays, or `Picture`s with their own times.

    All are one clip unless a `Picture` says another. Each is checked when its turn comes.
    """

    description = "pictures from a program"

    def __init__(self, given: Iterable[object], pictures_hz: float) -> None:
        self._given, self._pictures_hz = given, pictures_hz

    def pictures(self) -> Iterator[Picture]:
        """Yield each as a `Picture`, numbered anew; raises `SourceBrokenError` at what is none."""
        last_s = -math.inf
        for index, each in enumerate(self._given):
            if isinstance(each, Picture):
                picture = replace(each, index=index)
            else:
                pixels = np.asarray(each)
                picture = Picture(index, 0, index / self._pictures_hz, pixels)
            _check_pixels(picture.decoded, index)
            if not last_s < picture.pts_s < math.inf:
                raise SourceBrokenError(
                    f"picture {index} is at {picture.pts_s} s, the one before at {last_s} s: times "
                    "must rise",
                    index,
                )
            last_s = picture.pts_s
            yield picture


def _check_pixels(pixels: NDArray[np.uint8], index: int) -> None:
    grey_or_bgr = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)
    if not grey_or_bgr or pixels.dtype != np.uint8 or min(pixels.shape) < 1:
        raise SourceBrokenError(
            f"picture {index} must be (H, W) grey or (H, W, 3) BGR, uint8, "
            f"found {pixels.shape} {pixels.dtype}",
            index,
        )
