"""Clips that the tests make themselves."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def make_picture(index: int, width: int = 64, height: int = 48) -> Pixels:
    """Return a picture whose mean tells its index, and whose bright corner is at the top left."""
    picture = np.full((height, width, 3), 8 + 4 * index, np.uint8)
    picture[: height // 3, : width // 4] = 250
    return picture


def write_clip(
    path: Path,
    codec: str = "ffv1",
    pixel_format: str = "bgr0",
    *,
    pictures: Sequence[Pixels] | int = 12,
    pts_ms: Sequence[int] | None = None,
    source_format: str = "bgr24",
    prepare: Callable[[Any], None] = lambda _stream: None,
    codec_options: dict[str, str] | None = None,
    **open_options: Any,
) -> Path:
    """Write a clip of 25 Hz, or with the timestamps given."""
    if isinstance(pictures, int):
        pictures = [make_picture(index) for index in range(pictures)]
    height, width = pictures[0].shape[:2]
    with av.open(str(path), "w", **open_options) as container:
        stream = container.add_stream(codec, rate=25, options=codec_options or {})
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        if pts_ms is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        prepare(stream)
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format=source_format)
            if pts_ms is not None:
                frame.pts, frame.time_base = pts_ms[index], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def mux_jpegs(path: Path, times: Sequence[tuple[int, int]], rate: int = 25) -> Path:
    """Write single pictures as packets with the timestamps (pts, dts) given, in intervals."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for index, (pts, dts) in enumerate(times):
            frame = av.VideoFrame.from_ndarray(make_picture(index), format="bgr24")
            for packet in stream.encode(frame.reformat(format="yuvj420p")):
                packet.time_base = Fraction(1, rate)
                packet.pts, packet.dts = pts, dts
                container.mux(packet)
    return path


@pytest.fixture
def noisy_pictures() -> list[Pixels]:
    """Fifty pictures that do not compress to nothing, so that a cut goes through a picture."""
    rng = np.random.default_rng(7)
    return [
        np.clip(make_picture(index) // 2 + rng.integers(0, 90, (48, 64, 3)), 0, 255).astype(
            np.uint8
        )
        for index in range(50)
    ]
