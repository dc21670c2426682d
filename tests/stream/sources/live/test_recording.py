"""A recording that plays once at its own pace: each picture when it is due, and then an end."""

import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

from neurosono.engine.contracts.errors import SourceBrokenError
from neurosono.engine.contracts.frame import Scaled, ScaleSource
from neurosono.stream.pictures.picture import Picture
from neurosono.stream.sources import open_source
from neurosono.stream.sources.exam_source import ExamSource
from neurosono.stream.sources.live.recording import play
from neurosono.stream.sources.live.source import LiveOptions, LiveSource
from tests.support.clips import write_clip
from tests.support.commands import wait_until


def take_all(source: LiveSource) -> list[Picture]:
    taken = []
    while not source.is_over:
        if (picture := source.take(0.05)) is not None:
            taken.append(picture)
    return taken


def test_it_ends_after_its_last_picture_and_counts_what_was_overrun(tmp_path: Path) -> None:
    recording = open_source([str(write_clip(tmp_path / "clip.mp4", pictures=10, rate_hz=50))])
    with play(recording, LiveOptions()) as source:
        taken = take_all(source)
        counts = source.counts
    assert taken[-1].index == 9, "the newest wins, so the last is never lost"
    assert counts.received == 10 == counts.taken + counts.overrun
    assert counts.connections == 1


def test_a_picture_is_received_when_it_is_due_and_decoded_no_earlier(tmp_path: Path) -> None:
    recording = open_source([str(write_clip(tmp_path / "clip.mp4", pictures=6, rate_hz=20))])
    with play(recording, LiveOptions()) as source:
        while (first := source.take(0.05)) is None or first.received_ns is None:
            pass
        begun_ns = first.received_ns - int(first.pts_s * 1e9)
        for picture in take_all(source):
            assert picture.received_ns is not None
            assert picture.received_ns <= time.monotonic_ns()
            assert picture.received_ns >= begun_ns + int(picture.pts_s * 1e9) - 1


def test_what_a_file_says_of_its_pixels_comes_along(tmp_path: Path) -> None:
    recording = open_source([str(write_clip(tmp_path / "clip.mp4", pictures=3, rate_hz=50))])
    scale = Scaled(mm_per_px=0.2, mm_per_px_from=ScaleSource.DICOM)

    class Measured(ExamSource):
        def pictures(self) -> Generator[Picture]:
            for picture in recording.pictures():
                yield replace(picture, scale=scale)

    with play(Measured(recording._clips), LiveOptions()) as source:
        taken = take_all(source)
    assert taken
    assert all(picture.scale == scale for picture in taken)


def test_a_recording_that_breaks_says_where(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mkv", pictures=30, rate_hz=50)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    with play(open_source([str(path)]), LiveOptions()) as source:
        heard: list[SourceBrokenError] = []

        def is_broken() -> bool:
            try:
                source.take(0.01)
            except SourceBrokenError as error:
                heard.append(error)
            return bool(heard)

        wait_until(is_broken)
        assert "what came before is kept" in str(heard[0])
        assert 0 < heard[0].frame == source.counts.received < 30
