"""From decoded pictures to what travels: the one way in, for replay, live and training alike."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from msgspec import structs

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.errors import SourceBrokenError
from neurosono.engine.contracts.frame import DisplayFrame, Frame, Scaled, SkipReason
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.engine.preprocess import preprocess, to_grey
from neurosono.engine.structures.scale import choose_scale
from neurosono.stream.intake.evidence import EvidenceGate
from neurosono.stream.intake.sampler import Sampler
from neurosono.stream.pictures.picture import UNSCALED, Picture, Source
from neurosono.stream.pictures.region import Region
from neurosono.stream.screen.follow import Screen, Screened
from neurosono.stream.screen.scale import ScaleWatch


@dataclass(frozen=True)
class Taken:
    """One decoded picture, for the screen, and for the engine where it was sampled.

    `region` is where its ultrasound stands, None while that is being looked for.
    """

    display: DisplayFrame
    sampled: Frame | None
    region: Region | None = None
    read: Mapping[str, Frame] = field(default_factory=dict)
    """The sampled frame as each reader would have it, by its name."""


class Intake:
    """Find the region, sample, judge what may add evidence, and bring it to the model's scale."""

    def __init__(
        self,
        source: Source,
        *,
        screen: Screen,
        sampler: Sampler,
        gate: EvidenceGate,
        spec: PreprocessingSpec,
        stream_id: str,
        show_screen: bool = False,
        first_seq: int = 0,
        scale: Scaled = UNSCALED,
        readers: Mapping[str, PreprocessingSpec] = MappingProxyType({}),
        realtime: bool = False,
    ) -> None:
        """`scale` is what the user says of the size of a pixel; it counts before the file's.

        `readers` are others than who judges by `spec`, and how they would have their pictures; for
        them the ruler on the screen is read. `realtime` tells whether age counts, as in `Aside`.
        """
        self._source, self._screen, self._sampler = source, screen, sampler
        self._gate, self._spec, self._stream_id = gate, spec, stream_id
        self._show_screen, self._scale = show_screen, scale
        self._readers = readers
        self._ruler = ScaleWatch(realtime=realtime) if readers else None
        self._seq = first_seq

    def frames(self) -> Iterator[Taken]:
        """Yield every decoded picture, in order.

        Where the source breaks, the pictures that still wait for their region come first, and only
        then is its error raised.
        """
        broken: SourceBrokenError | None = None
        pictures = self._source.pictures()
        while True:
            try:
                picture = next(pictures, None)
            except SourceBrokenError as error:
                broken, picture = error, None
            if picture is None:
                break
            yield from self.take(picture, time.monotonic_ns())
        yield from self.flush()
        if broken is not None:
            raise broken

    def take(self, picture: Picture, captured_ns: int) -> list[Taken]:
        """Take one picture; returns it and those that waited with it, once a region is known.

        Each counts from when it came, where its source says so, else from `captured_ns`.
        """
        begun_ns = time.monotonic_ns()
        screened = self._screen.push(picture)
        screen_ms = _since_ms(begun_ns) / max(1, len(screened))
        return [
            self._take(each, _came_ns(each.picture, captured_ns), screen_ms) for each in screened
        ]

    def flush(self) -> list[Taken]:
        """Return the pictures that still wait for their region."""
        now_ns = time.monotonic_ns()
        return [
            self._take(each, _came_ns(each.picture, now_ns), 0.0) for each in self._screen.flush()
        ]

    def _take(self, screened: Screened, captured_ns: int, screen_ms: float) -> Taken:
        picture = screened.picture
        ruler = None if self._ruler is None else self._ruler.see(picture)
        stage_ms = {"decode": picture.decode_ms, "screen": screen_ms}
        sampled, read = None, {}
        if self._sampler.take(picture.clip, picture.pts_s):
            begun_ns = time.monotonic_ns()
            levels = to_grey(screened.pixels)  # once for all who look at them
            grey = preprocess(levels, self._spec)
            made_ms = stage_ms | {"preprocess": _since_ms(begun_ns)}
            sampled = self._sample(picture, screened, grey, captured_ns, made_ms, ruler)
            read = self._prepare(sampled, levels)
        display = DisplayFrame(
            stream_id=self._stream_id,
            index=picture.index,
            captured_ns=captured_ns,
            pts_s=picture.pts_s,
            pixels=screened.shown,
            region_px=_box(screened) if self._show_screen else None,
            seq=None if sampled is None else sampled.seq,
            skip_reason=None if sampled is None else sampled.skip_reason,
            stage_ms=stage_ms,
        )
        return Taken(display, sampled, None if screened.unsettled else screened.region, read)

    def _sample(
        self,
        picture: Picture,
        screened: Screened,
        grey: Pixels,
        captured_ns: int,
        stage_ms: dict[str, float],
        ruler: float | None,
    ) -> Frame:
        begun_ns = time.monotonic_ns()
        reason: SkipReason | None
        if screened.unsettled:
            reason = SkipReason.LAYOUT_CHANGE
        elif picture.damaged:
            reason = SkipReason.DAMAGED
        else:
            bare, text = _lay_bare(picture, screened.region), screened.region.text
            reason = self._gate.judge(screened.pixels, grey, picture.clip, bare, text)
        scale = choose_scale(self._scale.mm_per_px, picture.scale, ruler)
        stage_ms = stage_ms | {"sample": _since_ms(begun_ns)}
        seq, self._seq = self._seq, self._seq + 1
        return Frame(
            stream_id=self._stream_id,
            seq=seq,
            captured_ns=captured_ns,
            pts_s=picture.pts_s,
            pixels=grey if reason is None else None,
            skip_reason=reason,
            stage_ms=stage_ms,
            region_px=(screened.region.x, screened.region.y, *screened.pixels.shape[1::-1]),
            **structs.asdict(scale),
        )

    def _prepare(self, sampled: Frame, levels: Pixels) -> dict[str, Frame]:
        """Return the frame as each reader would have it: prepared once for each way of doing it."""
        if sampled.pixels is None:
            return dict.fromkeys(self._readers, sampled)
        ways = {self._spec.geometry: sampled.pixels}
        for spec in self._readers.values():
            if spec.geometry not in ways:
                ways[spec.geometry] = preprocess(levels, spec)
        return {
            name: structs.replace(sampled, pixels=ways[spec.geometry])
            for name, spec in self._readers.items()
        }


def _lay_bare(picture: Picture, region: Region) -> Pixels | None:
    """Return the region with its letters, where some were blanked on a picture with colours."""
    if not region.text:
        return None
    if picture.chroma is not None and picture.chroma.is_neutral(region.bare):
        return None
    return picture.crop(region.bare)


def _came_ns(picture: Picture, now_ns: int) -> int:
    return now_ns if picture.received_ns is None else picture.received_ns


def _box(screened: Screened) -> tuple[int, int, int, int]:
    region = screened.region
    return region.x, region.y, region.w, region.h


def _since_ms(begun_ns: int) -> float:
    return (time.monotonic_ns() - begun_ns) / 1e6
