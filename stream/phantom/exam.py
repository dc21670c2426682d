"""One synthetic exam as a stream of screens, with the truth beside each."""

from collections.abc import Iterator
from dataclasses import replace

from neurosono.stream.phantom.fetus import find_fetus
from neurosono.stream.phantom.patient import draw_patient, draw_weeks
from neurosono.stream.phantom.scanner import draw_scanner
from neurosono.stream.phantom.spec import PhantomFrame, PhantomSpec
from neurosono.stream.phantom.studio import Studio
from neurosono.stream.phantom.sweep import plan_spec

__all__ = [
    "PhantomFrame",
    "PhantomSpec",
    "check_fetus",
    "exam_frames",
    "exam_site",
    "gestational_weeks",
]


def gestational_weeks(spec: PhantomSpec) -> float:
    """Return the gestational age of the exam's fetus in weeks, 11 to 38; no label moves it."""
    return draw_weeks(spec.namespace, spec.seed, spec.patient)


def check_fetus(spec: PhantomSpec) -> None:
    """Raise `InputError` where the fetus cannot have what is asked for."""
    find_fetus(spec)


def exam_site(spec: PhantomSpec) -> str:
    """Return the invented hospital of the exam."""
    key = (spec.namespace, spec.seed, spec.patient)
    fetus = draw_patient(*key)
    size_px = (spec.width_px, spec.height_px)
    return draw_scanner(spec.namespace, spec.seed, fetus, spec.patient, size_px).site


def exam_frames(spec: PhantomSpec, structures: bool = False) -> Iterator[PhantomFrame]:
    """Yield the exam's screens in order; each frame's pixels are its own array.

    With `structures` each carries its truth; the pixels are the same either way.
    """
    studio = Studio(spec, structures)
    plan = plan_spec(spec)
    which = 0
    held: PhantomFrame | None = None
    for index in range(spec.frame_count):
        t_s = index / spec.fps
        while which + 1 < len(plan) and t_s >= plan[which].end_s:
            which, held = which + 1, None
        stretch = plan[which]
        if stretch.mode == "frozen" and held is not None:
            frame = replace(held, index=index, pts_s=t_s, pixels=held.pixels.copy(), kind="frozen")
        else:
            frame = studio.shoot(index, t_s, stretch)
        held = frame
        yield frame
