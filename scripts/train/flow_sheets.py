"""Pictures with flow painted and coloured words and marks written on them, piece by piece."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Flags, Floats, Pixels
from neurosono.engine.contracts.labels import DEFAULT_LABELS
from neurosono.stream.phantom.notes import Notes
from neurosono.stream.phantom.spec import PhantomSpec
from neurosono.stream.phantom.studio import Studio
from neurosono.stream.phantom.sweep import Stretch, plan_exam
from neurosono.stream.pictures.colour import find_coloured
from neurosono.stream.pictures.flow import mark_text
from neurosono.stream.pictures.pieces import FEATURES, describe_pieces
from neurosono.stream.screen.letters import find_letters
from neurosono.training.flow.lettering import write_words
from neurosono.training.flow.painting import paint_flow
from neurosono.training.letters.typefaces import Typeface

MOST_NOTES = 15
TINTS = ((1.0, 1.0, 1.0),) * 16 + (
    (0.78, 0.93, 1.0), (1.0, 0.95, 0.86), (0.6, 0.85, 1.0), (1.0, 0.8, 0.75)
)  # fmt: skip
"""Gains of blue, green and red: some screens show grey as sepia or steel."""
PHANTOM_SIZES_PX = ((800, 600), (1024, 768), (1280, 960))
MOMENTS = 4
"""Of each stretch with flow of a generated exam."""
BOX_BGR = (90, 220, 220)
"""The line about a generated flow box, which is no flow."""
FLOW_LEVEL = 50
"""Levels by which two channels of a generated frame differ where flow is shown."""


@dataclass(frozen=True, eq=False)
class Sheet:
    """A picture, `(h, w, 3)` BGR, where flow is to be seen on it, and what it is one of."""

    pixels: Pixels
    flow: Flags
    kind: str


@dataclass(frozen=True, eq=False)
class Described:
    """The coloured pieces of a sheet: what they look like, their pixels, their share of flow."""

    features: Floats
    sizes: Floats
    shares: Floats


def draw_sheets(
    grounds: Sequence[Pixels], faces: Sequence[Typeface], count: int, rng: np.random.Generator
) -> Iterator[Sheet]:
    """Yield three sheets each of `count` grey pictures: written on, with flow, and with both."""
    for _ in range(count):
        ground = _tint(grounds[int(rng.integers(len(grounds)))], rng)
        written = ground.copy()
        _write(written, faces, rng)
        yield Sheet(written, np.zeros(ground.shape[:2], np.bool_), "written")
        flowing = ground.copy()
        flow = paint_flow(flowing, rng)
        yield Sheet(flowing.copy(), flow, "flow")
        yield _annotate(flowing, flow, faces, rng, "flow, written")


def draw_phantoms(
    seeds: Sequence[int], faces: Sequence[Typeface], rng: np.random.Generator
) -> Iterator[Sheet]:
    """Yield pictures of generated exams, most of them with coloured words and marks."""
    for seed in seeds:
        label = DEFAULT_LABELS[seed % len(DEFAULT_LABELS)]
        width, height = PHANTOM_SIZES_PX[seed % len(PHANTOM_SIZES_PX)]
        spec = PhantomSpec(label, seed=seed, width_px=width, height_px=height)
        studio = Studio(spec)
        plan = plan_exam(label, spec.namespace, seed, spec.patient, spec.seconds)
        flowing = [stretch for stretch in plan if stretch.mode == "doppler"]
        for stretch in flowing * MOMENTS:
            bare = _shoot(studio, stretch, rng)
            if rng.random() < 0.4:
                yield Sheet(bare, _see_flow(bare), "phantom flow")
            yield _annotate(bare, _see_flow(bare), faces, rng, "phantom flow, written")
        for stretch in [stretch for stretch in plan if stretch.mode == "bmode"][seed % 2 :: 4][:2]:
            bare = _shoot(studio, stretch, rng)
            for _ in range(2):
                none = np.zeros(bare.shape[:2], np.bool_)
                yield _annotate(bare, none, faces, rng, "phantom, written")


def _shoot(studio: Studio, stretch: Stretch, rng: np.random.Generator) -> Pixels:
    """Return the ultrasound at some moment of a stretch of an exam."""
    t_s = stretch.start_s + float(rng.uniform(0.05, 0.95)) * (stretch.end_s - stretch.start_s)
    frame = studio.shoot(0, t_s, stretch)
    x, y, w, h = frame.region
    return np.ascontiguousarray(frame.pixels[y : y + h, x : x + w])


def describe(sheet: Sheet, rng: np.random.Generator) -> tuple[Described, int]:
    """Return the pieces of a sheet as a codec leaves it, and how many pixels of it are lit."""
    pixels = sheet.pixels
    if rng.random() < 0.6:
        quality = int(rng.integers(45, 96))
        _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
        pixels = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)
    seen = find_coloured(pixels)
    if seen is None:
        return Described(np.zeros((0, len(FEATURES))), np.zeros(0), np.zeros(0)), 1
    text = find_letters(pixels) if rng.random() < 0.85 else ()
    written = mark_text(text, seen.mask.shape, seen.step)
    features, sizes, places = describe_pieces(seen, seen.mask, written)
    flow = sheet.flow[:: seen.step, :: seen.step].ravel()
    shares = np.bincount(places.ravel(), flow, minlength=len(sizes) + 1)[1:] / np.maximum(sizes, 1)
    return Described(features, sizes, shares), seen.lit


def _annotate(
    bare: Pixels, flow: Flags, faces: Sequence[Typeface], rng: np.random.Generator, kind: str
) -> Sheet:
    written = bare.copy()
    _write(written, faces, rng)
    return Sheet(written, flow & ~np.any(written != bare, axis=2), kind)


def _write(picture: Pixels, faces: Sequence[Typeface], rng: np.random.Generator) -> None:
    """Write notes, or words in many fonts, or both, in place."""
    how = int(rng.integers(3))
    if how != 1:
        box = (0, 0, picture.shape[1], picture.shape[0])
        Notes(int(rng.integers(1, MOST_NOTES + 1)), rng, box).draw(picture)
    if how:
        write_words(picture, rng, faces)


def _tint(grey: Pixels, rng: np.random.Generator) -> Pixels:
    """Return a grey picture in a scanner's tint, at another scale as a rule."""
    picture = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))
    gains = np.array(TINTS[int(rng.integers(len(TINTS)))])
    picture = cv2.LUT(picture, (np.arange(256)[:, None] * gains).astype(np.uint8)[None])
    if rng.random() < 0.3:
        scale = float(rng.uniform(0.5, 1.8))
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=way)
    return np.asarray(picture, dtype=np.uint8)


def _see_flow(pixels: Pixels) -> Flags:
    blue, green, red = (channel.astype(np.int16) for channel in cv2.split(pixels))
    furthest = np.maximum(np.maximum(abs(blue - green), abs(red - green)), abs(blue - red))
    return np.asarray((furthest > FLOW_LEVEL) & ~np.all(pixels == np.array(BOX_BGR), axis=2))
