"""What a converted picture leaves behind: nothing."""

import gc
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from stream.sources.upright import FrameConverter
from tests.stream.sources.conftest import write_clip


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Keep the garbage collector away, as a session of an hour does for minutes at a time."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("degrees", [0, 90])
def test_no_decoded_picture_outlives_its_conversion(
    degrees: int, tmp_path: Path, no_collector: None
) -> None:
    clip = write_clip(
        tmp_path / "clip.mkv",
        pictures=12,
        prepare=lambda stream: stream.set_display_rotation(degrees) if degrees else None,
    )
    converter = FrameConverter()
    with av.open(str(clip)) as container:
        shapes = {converter.convert(frame, None).shape[:2] for frame in container.decode(video=0)}
        left = [each for each in gc.get_objects() if type(each) is av.VideoFrame]
    assert shapes == ({(64, 48)} if degrees else {(48, 64)})
    assert len(left) <= 1, "the decoder itself may hold the latest"
