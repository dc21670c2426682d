"""From real ultrasound and phantoms to what the gate learns from, through replay's own intake."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, count, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.frame import SkipReason
from neurosono.engine.contracts.labels import DEFAULT_LABELS
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.engine.preprocess import preprocess
from neurosono.stream.intake.evidence import EvidenceGate
from neurosono.stream.intake.intake import Intake
from neurosono.stream.intake.sampler import Sampler
from neurosono.stream.pictures.picture import Picture, Source
from neurosono.stream.pictures.region import full_region
from neurosono.stream.screen.follow import Screen
from neurosono.stream.sources import open_source
from neurosono.training.gate.data import GateRow
from neurosono.training.squares import PHANTOM

if TYPE_CHECKING:
    from neurosono.stream.phantom.exam import PhantomFrame, PhantomSpec
    from neurosono.stream.phantom.sweep import Stretch
    from neurosono.training.gate.sources import SourceFile


REFUSED_BUT_TAUGHT = (SkipReason.NOT_ULTRASOUND, SkipReason.DOPPLER, SkipReason.SPECTRUM)
"""Skipped before they reach the gate, but good examples of what it must refuse."""

PHANTOM_FPS = 2.0
"""Half a second apart: neighbours differ, and every stretch of an exam is met."""
PHANTOM_SECONDS = 10.0
OTHER_VIEWS = ("abdomen", "femur", "mother")
OTHER_FRAMES = 3
"""Of each of these views, after the exam."""
ORGAN_VIEWS = 6
"""Of the organs that no exam plans: so many an exam, in turn, a frame each, all unlike."""
YOUNG_SHARE = 0.2
YOUNG_WEEKS = 15.5
"""So many exams more, of fetuses up to that age: in a cohort they are few, and look most unlike."""
ORGAN_DEPTHS = (0.7, 1.4)
"""Of the depth at which the exam ends."""


def take_real(
    root: Path, files: list["SourceFile"], watch: Callable[[], None]
) -> Iterator[tuple[Pixels, GateRow]]:
    """Yield the squares of real files, cut out of the screen as a replay cuts them."""
    for file in files:
        name, rule = file.path, file.rule
        row = GateRow(name, rule.name, rule.patient_of(name), rule.label, machine=file.machine)
        taught = REFUSED_BUT_TAUGHT if rule.label == "other" else ()
        for square, _ in _walk(open_source([str(root / name)]), rule.every, taught, Screen()):
            yield square, row
        if rule.screen and rule.label == "other":
            yield from _take_screen(root, name, row)
        watch()


def _take_screen(root: Path, name: str, row: GateRow) -> Iterator[tuple[Pixels, GateRow]]:
    """Yield a still's whole picture, menus and all: what a wrong region would let through."""
    for picture in open_source([str(root / name)]).pictures():
        region = full_region(*picture.pixels.shape[:2])
        yield preprocess(region.crop(picture.pixels), PreprocessingSpec()), row


def count_phantoms(exams: int) -> int:
    """Return how many exams `take_phantoms` generates where it is asked for so many."""
    return exams + round(YOUNG_SHARE * exams)


def take_phantoms(
    exams: int, seed: int, watch: Callable[[], None]
) -> Iterator[tuple[Pixels, GateRow]]:
    """Yield squares of generated exams, the labels in turn, with the plane that each shows.

    After them come exams of young fetuses.
    """
    from neurosono.stream.phantom.cohort import SCREENS_PX
    from neurosono.stream.phantom.exam import PhantomSpec
    from neurosono.stream.phantom.patient import draw_weeks

    later = count(exams)
    young = (n for n in later if draw_weeks("cohort", seed, n) <= YOUNG_WEEKS)
    numbers = chain(range(exams), islice(young, count_phantoms(exams) - exams))
    for done, number in enumerate(numbers):
        width, height = SCREENS_PX[done // len(DEFAULT_LABELS) % len(SCREENS_PX)]
        spec = PhantomSpec(
            DEFAULT_LABELS[done % len(DEFAULT_LABELS)],
            seed=seed,
            seconds=PHANTOM_SECONDS,
            fps=PHANTOM_FPS,
            width_px=width,
            height_px=height,
            patient=number,
            namespace="cohort",
        )
        yield from take_phantom(spec)
        watch()


def take_phantom(spec: "PhantomSpec") -> Iterator[tuple[Pixels, GateRow]]:
    """Yield the squares of one generated exam that a gate may learn from.

    After the exam come views of the same fetus and mother that are no head or spine, for in the
    exam they are few.
    """
    from neurosono.stream.phantom.sweep import plan_exam

    plan = plan_exam(spec.label, spec.namespace, spec.seed, spec.patient, spec.seconds)
    exam = _PhantomExam(spec, plan[-1])
    patient = f"{PHANTOM}:{spec.seed}-{spec.patient}"
    for square, index in _walk(exam, 1, REFUSED_BUT_TAUGHT, Screen()):
        frame = exam.shown[index]
        if frame.kind not in ("bmode", "nonfetal"):
            continue
        view = next((each.view for each in plan if frame.pts_s < each.end_s), plan[-1].view)
        label = "spine" if view.startswith("spine") else "head"
        label = "other" if frame.kind == "nonfetal" else label
        path = f"{spec.label}/{spec.seed}-{spec.patient}"
        yield square, GateRow(path, PHANTOM, patient, label, frame.plane)


@dataclass
class _PhantomExam:
    """A generated exam as a source that remembers what each picture truly shows."""

    spec: "PhantomSpec"
    last: "Stretch"
    shown: dict[int, "PhantomFrame"] = field(default_factory=dict)
    description: str = PHANTOM

    def pictures(self) -> Iterator[Picture]:
        from neurosono.stream.phantom.exam import exam_frames

        nothing = np.zeros((1, 1, 3), dtype=np.uint8)
        for frame in chain(exam_frames(self.spec), self._shoot_others()):
            self.shown[frame.index] = replace(frame, pixels=nothing)
            yield Picture(frame.index, 0, frame.pts_s, frame.pixels)

    def _shoot_others(self) -> "Iterator[PhantomFrame]":
        from neurosono.stream.phantom.organs import ORGANS
        from neurosono.stream.phantom.studio import Studio

        studio, index = Studio(self.spec), self.spec.frame_count
        first = self.spec.patient * ORGAN_VIEWS
        organs = [list(ORGANS)[(first + k) % len(ORGANS)] for k in range(ORGAN_VIEWS)]
        depths = np.random.default_rng([self.spec.seed, self.spec.patient])
        for number, view in enumerate((*OTHER_VIEWS, *organs)):
            frames = OTHER_FRAMES if view in OTHER_VIEWS else 1
            scale = 1.0 if view in OTHER_VIEWS else depths.uniform(*ORGAN_DEPTHS)
            begun_s = index / self.spec.fps
            ended_s = begun_s + frames / self.spec.fps
            stretch = replace(
                self.last,
                start_s=begun_s,
                end_s=ended_s,
                view=view,
                mode="nonfetal",
                at=(begun_s, ended_s),
                levels=(-0.5, 0.5),
                setting=self.last.setting + 1 + number,
                depth_scale=self.last.depth_scale * float(scale),
            )
            for _ in range(frames):
                yield studio.shoot(index, index / self.spec.fps, stretch)
                index += 1


def _walk(
    source: Source, every: int, taught: tuple[SkipReason, ...], screen: Screen
) -> Iterator[tuple[Pixels, int]]:
    """Yield the squares that reach the engine, and those skipped for a reason in `taught`."""
    spec = PreprocessingSpec()
    intake = Intake(
        source,
        screen=screen,
        sampler=Sampler(every=every),
        gate=EvidenceGate(),
        spec=spec,
        stream_id="gate",
    )
    for taken in intake.frames():
        if taken.sampled is None:
            continue
        if taken.sampled.pixels is not None:
            yield taken.sampled.pixels, taken.display.index
        elif taken.sampled.skip_reason in taught:
            yield preprocess(taken.display.pixels, spec), taken.display.index
