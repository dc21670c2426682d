"""The clip that is measured with: a phantom on a scanner's screen, as a real H.264 file."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import av

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.errors import InputError
from neurosono.stream.bench.glass import COUNT, ROW_PX, draw_number
from neurosono.stream.phantom.cohort import write_clip
from neurosono.stream.phantom.exam import PhantomSpec, exam_frames

LABEL, SEED = "holoprosencephaly", 9
"""A scanner that shows grey, as four in five phantoms and most real ones; seed 7's is tinted, and
its pictures travel in colour."""

WIDTH_PX, HEIGHT_PX, RATE_HZ = 800, 600, 30.0
"""A common size of recordings, and the usual rate of capture cards."""

SHORTEST_S, LONGEST_S = 0.5, 3600.0
LONGEST_RENDERED_S = 10.0
"""A longer clip repeats what was rendered: rendering a picture takes longer than judging it."""

_BMODE_SHARE = 0.4
"""Of a phantom exam, at the very least; the rest is frozen, Doppler and the like, and left out."""

_ROW_AT = 0.78
"""Where the number stands, of the height: inside the sector of every phantom."""


@dataclass(frozen=True)
class BenchClip:
    """A source to measure with.

    Its numbers begin anew after `period` pictures; 0 where its pictures carry none. `seconds` is
    its length where we made it, else None.
    """

    sources: tuple[str, ...]
    period: int
    description: str
    seconds: float | None = None


def render_clip(
    folder: Path,
    seconds: float,
    rate_hz: float = RATE_HZ,
    size_px: tuple[int, int] = (WIDTH_PX, HEIGHT_PX),
) -> BenchClip:
    """Write a numbered phantom clip of `seconds` at `rate_hz` and of this width and height.

    B-mode alone: a frame that is skipped as frozen costs no inference and would flatter the rate.
    Raises `InputError` for a length or rate that makes no clip.
    """
    if not SHORTEST_S <= seconds <= LONGEST_S or not 1 <= rate_hz <= 120:
        raise InputError(
            f"a bench takes {SHORTEST_S:g} to {LONGEST_S:g} s at 1 to 120 Hz, "
            f"found {seconds:g} s at {rate_hz:g} Hz"
        )
    turns = math.ceil(seconds / LONGEST_RENDERED_S)
    pictures = max(2, round(seconds / turns * rate_hz))
    once = folder / "once.mp4"
    write_clip(once, _number(pictures, rate_hz, size_px), size_px, rate_hz)
    path = once if turns == 1 else folder / "clip.mp4"
    if turns > 1:
        repeat_clip(once, path, turns)
    words = f"phantom {LABEL}, H.264 {size_px[0]}x{size_px[1]} at {rate_hz:g} Hz, {seconds:g} s"
    return BenchClip((str(path),), pictures, words, seconds)


def repeat_clip(once: Path, path: Path, turns: int) -> None:
    """Write the whole of `once` `turns` times, end to end, without encoding anew."""
    with av.open(str(once.absolute())) as source, av.open(str(path.absolute()), "w") as target:
        video = source.streams.video[0]
        stream = target.add_stream_from_template(video)
        packets = [packet for packet in source.demux(video) if packet.size]
        turn_ticks = sum(packet.duration or 0 for packet in packets)
        for turn in range(turns):
            for each in packets:
                assert each.pts is not None
                assert each.dts is not None
                packet = av.Packet(bytes(each))
                packet.pts = each.pts + turn * turn_ticks
                packet.dts = each.dts + turn * turn_ticks
                packet.duration, packet.time_base = each.duration, each.time_base
                packet.is_keyframe = each.is_keyframe
                packet.stream = stream
                target.mux(packet)


def _number(pictures: int, rate_hz: float, size_px: tuple[int, int]) -> Iterator[Pixels]:
    width, height = size_px
    at = ((width - ROW_PX[1]) // 2, round(_ROW_AT * height))
    spec = PhantomSpec(
        label=LABEL,
        seed=SEED,
        seconds=pictures / rate_hz / _BMODE_SHARE,
        fps=rate_hz,
        width_px=width,
        height_px=height,
    )
    bmode = (frame for frame in exam_frames(spec) if frame.kind == "bmode")
    for index, frame in enumerate(islice(bmode, pictures)):
        pixels = frame.pixels.copy()
        draw_number(pixels, index % COUNT, at)
        yield pixels
