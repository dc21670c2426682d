"""The clip that is measured with."""

from pathlib import Path

import pytest

from neurosono.engine.contracts.errors import InputError
from neurosono.stream.bench.clip import render_clip
from neurosono.stream.bench.glass import GlassLog
from neurosono.stream.sources import open_source


def test_every_picture_carries_its_number_at_its_time(tmp_path: Path) -> None:
    clip = render_clip(tmp_path, 0.8, rate_hz=25.0, size_px=(640, 480))
    source = open_source(clip.sources)
    log, times = GlassLog(clip.period), []
    for picture in source.pictures():
        assert log.look(picture.pixels, picture.index) == picture.index
        times.append(picture.pts_s)
    assert clip.period == log.shown == 20
    assert source.nominal_rate_hz == pytest.approx(25.0)
    assert times == pytest.approx([index / 25 for index in range(20)])


def test_a_long_clip_repeats_a_short_one_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neurosono.stream.bench.clip.LONGEST_RENDERED_S", 0.5)
    clip = render_clip(tmp_path, 1.5, rate_hz=20.0, size_px=(640, 480))
    log, times = GlassLog(clip.period), []
    for picture in open_source(clip.sources).pictures():
        log.look(picture.pixels, picture.index)
        times.append(picture.pts_s)
    assert clip.period == 10
    assert log.describe() == {
        "shown": 30,
        "unreadable": 0,
        "not_the_picture_it_claims": 0,
        "shown_twice": 0,
        "out_of_order": 0,
    }
    assert times == pytest.approx([index / 20 for index in range(30)])


@pytest.mark.parametrize(("seconds", "rate_hz"), [(0.1, 30.0), (4000.0, 30.0), (5.0, 0.0)])
def test_what_makes_no_clip_is_refused(seconds: float, rate_hz: float, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a bench takes"):
        render_clip(tmp_path, seconds, rate_hz)
