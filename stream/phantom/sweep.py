"""The order of the exam: which view when, where the sweep lingers, how fetus and mother move."""

from dataclasses import dataclass

import numpy as np

from neurosono.stream.phantom.patient import random_stream
from neurosono.stream.phantom.spec import PLANE_LEVELS, PhantomSpec

VIEW_SHARES: dict[str, dict[str, float]] = {
    "anencephaly": {"head": 0.46, "face": 0.42, "spine-sagittal": 0.08, "spine-axial": 0.04},
    "encephalocele": {"head": 0.88, "face": 0.04, "spine-sagittal": 0.05, "spine-axial": 0.03},
    "holoprosencephaly": {"head": 0.82, "face": 0.10, "spine-sagittal": 0.05, "spine-axial": 0.03},
    "rachischisis": {"head": 0.42, "face": 0.02, "spine-sagittal": 0.36, "spine-axial": 0.20},
    "normal": {"head": 0.62, "face": 0.06, "spine-sagittal": 0.24, "spine-axial": 0.08},
}
"""How the time under the probe is shared. Qi et al. 2025 keep, of an anomaly, mostly the views that
show it, and of a normal fetus the three axial planes of the head and the sagittal spine."""

_STANDARD_REACH = 0.14
"""How far off its level a standard plane still counts as that plane, in half-BPD units."""

_BORDER = 0.06
"""About the end of that reach a slice is as much the plane as none: 1.5 mm at 20 weeks, half of
what a probe's beam is thick."""

_NONFETAL_VIEWS = ("air", "mother", "abdomen", "femur")


@dataclass(frozen=True)
class Stretch:
    """A part of the exam with one view and one mode; `at` and `levels` are its sweep."""

    start_s: float
    end_s: float
    view: str
    mode: str
    at: tuple[float, ...]
    levels: tuple[float, ...]
    gain_db: float
    depth_scale: float
    setting: int
    """Counts the times the probe was set down anew: another place on the mother's skin."""

    def level(self, t_s: float) -> float:
        """Return where the sweep is at `t_s`: eased between the places where it lingers."""
        k = int(np.searchsorted(self.at, t_s, side="right")) - 1
        if k < 0 or k >= len(self.at) - 1:
            return self.levels[0 if k < 0 else -1]
        part = (t_s - self.at[k]) / max(self.at[k + 1] - self.at[k], 1e-9)
        ease = part * part * (3 - 2 * part)
        return self.levels[k] + (self.levels[k + 1] - self.levels[k]) * ease


def plane_name(view: str, level: float) -> str:
    """Return the standard plane that a view at a level shows, `other` between them."""
    if view.startswith("spine"):
        return view if abs(level) < 0.6 else "other"
    if view == "head":
        for name, centre in PLANE_LEVELS.items():
            if abs(level - centre) <= _STANDARD_REACH:
                return name
    return "other"


def border_plane(view: str, level: float) -> str | None:
    """Return the standard plane at the end of whose reach a level lies, None off all ends."""
    if view != "head":
        return None
    for name, centre in PLANE_LEVELS.items():
        if abs(abs(level - centre) - _STANDARD_REACH) <= _BORDER:
            return name
    return None


def plan_exam(
    label: str, namespace: str, seed: int, patient: int, seconds: float
) -> tuple[Stretch, ...]:
    """Return the exam's stretches, end to end over `seconds`.

    When the mode changes, for how long, and how the knobs are turned comes from a stream that
    does not know the label; only which view fills a scanning stretch does.
    """
    rng = random_stream(namespace, seed, patient, "timeline")
    slots = _deal_slots(rng, seconds)
    picks = random_stream(namespace, seed, patient, "views")
    used = dict.fromkeys(VIEW_SHARES[label], 0.0)
    knobs = _Knobs(rng)
    stretches: list[Stretch] = []
    for setting, (mode, start, end) in enumerate(slots):
        if mode in ("frozen", "spectrum") and stretches:
            last = stretches[-1]
            hold = last.level(last.end_s)
            stretch = Stretch(
                start,
                end,
                last.view,
                mode,
                (start,),
                (hold,),
                last.gain_db,
                last.depth_scale,
                last.setting,
            )
        elif mode == "nonfetal":
            view = str(rng.choice(_NONFETAL_VIEWS))
            stretch = Stretch(
                start, end, view, mode, (start, end), (-0.3, 0.3), *knobs.turn(), setting
            )
        else:
            view = _pick_view(picks, label, used, end - start)
            at, levels = _plan_levels(picks, label, view, start, end)
            stretch = Stretch(start, end, view, mode, at, levels, *knobs.turn(), setting)
        stretches.append(stretch)
    return tuple(stretches)


def plan_spec(spec: PhantomSpec) -> tuple[Stretch, ...]:
    """Return the stretches of an exam: a sweep, or one plane held from end to end."""
    if spec.plane is None:
        return plan_exam(spec.label, spec.namespace, spec.seed, spec.patient, spec.seconds)
    rng = random_stream(spec.namespace, spec.seed, spec.patient, "held")
    level = PLANE_LEVELS[spec.plane]
    first, last = (
        float(np.clip(level + off, level - _STANDARD_REACH, level + _STANDARD_REACH))
        for off in rng.normal(0, _STANDARD_REACH / 2, 2)
    )
    knobs = _Knobs(rng).turn()
    return (
        Stretch(0.0, spec.seconds, "head", "bmode", (0.0, spec.seconds), (first, last), *knobs, 0),
    )


class _Knobs:
    """Gain and depth as they are turned now and then between stretches."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._gain_db, self._depth = 0.0, 1.0

    def turn(self) -> tuple[float, float]:
        """Return gain in dB and the depth's scale for the next stretch."""
        draw, gain, depth = (
            self._rng.random(2),
            self._rng.normal(0, 2.2),
            self._rng.uniform(0.94, 1.16),
        )
        if draw[0] < 0.3:
            self._gain_db = float(np.clip(gain, -4, 4))
        if draw[1] < 0.18:
            self._depth = float(round(depth, 2))
        return self._gain_db, self._depth


def _deal_slots(rng: np.random.Generator, seconds: float) -> list[tuple[str, float, float]]:
    """Return (mode, start, end): scanning, with interludes of each kind where there is time."""
    base = float(np.clip(seconds / 7, 0.5, 2.2))
    scans = max(1, round(seconds / (1.35 * base)))
    deck = ["frozen", "nonfetal", "doppler", "spectrum"]
    rng.shuffle(deck)
    # With five scanning stretches or more, an exam has an interlude of each kind.
    extra = [str(m) for m in rng.choice(deck, 4 * scans)]
    order: list[tuple[str, float]] = []
    for k in range(scans):
        order.append(("bmode", base * rng.uniform(0.75, 1.3)))
        if k < scans - 1:
            mode = deck.pop() if deck else extra.pop()
            order.append((mode, base * rng.uniform(0.22, 0.55)))
    total = sum(length for _, length in order)
    slots, clock = [], 0.0
    for mode, length in order:
        end = clock + length * seconds / total
        slots.append((mode, clock, end))
        clock = end
    return slots


def _pick_view(
    rng: np.random.Generator, label: str, used: dict[str, float], length_s: float
) -> str:
    """Return the view that has had least of its share so far."""
    total = sum(used.values()) + length_s
    jitter = dict(zip(used, rng.normal(0, 0.05, len(used)), strict=True))
    shares = VIEW_SHARES[label]
    view = max(used, key=lambda v: shares[v] * (1 + jitter[v]) - used[v] / total)
    used[view] += length_s
    return view


def _plan_levels(
    rng: np.random.Generator, label: str, view: str, start: float, end: float
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return knots of the sweep: come in off-plane, linger, move, linger again."""
    if view == "head":
        stops = [*PLANE_LEVELS.values(), -0.68 if label == "anencephaly" else 0.62]
        first, second = rng.choice(stops, 2, replace=False, p=[0.3, 0.3, 0.28, 0.12])
    else:
        first, second = rng.uniform(-0.4, 0.4, 2)
    enter = first + rng.choice([-1, 1]) * rng.uniform(0.12, 0.35)
    wobble = rng.normal(0, 0.03, 4)
    part = np.array([0, 0.16, 0.48, 0.64, 1.0]) * (end - start) + start
    levels = np.array([enter, first, first, second, second]) + np.array([0, *wobble])
    return tuple(map(float, part)), tuple(map(float, levels))


class Motion:
    """The fetus drifts, turns and jerks; the mother breathes. Smooth, and exact at any time."""

    def __init__(self, namespace: str, seed: int, patient: int, seconds: float) -> None:
        rng = random_stream(namespace, seed, patient, "motion")
        self._hz = rng.uniform(0.05, 0.45, (3, 4))
        self._phase = rng.uniform(0, 2 * np.pi, (3, 4))
        self._size = rng.normal(0, 1, (3, 4)) * np.array([[0.05], [0.04], [0.055]])
        count = int(rng.poisson(seconds / 7))
        self._jerks = [
            (rng.uniform(0, seconds), rng.normal(0, 1, 3) * [0.13, 0.10, 0.16])
            for _ in range(count)
        ]
        self._breath_hz = rng.uniform(0.2, 0.33)
        self._breath_mm = rng.uniform(0.4, 2.0)

    def fetus(self, t_s: float) -> tuple[float, float, float]:
        """Return x and z shift in half-BPD units and turn in radians at `t_s`."""
        move = (self._size * np.sin(2 * np.pi * self._hz * t_s + self._phase)).sum(axis=1)
        for when, kick in self._jerks:
            since = t_s - when
            if since > 0:
                # A kick goes out in a fifth of a second and half of it is taken back.
                move = move + kick * (1 - np.exp(-since / 0.08)) * (
                    0.5 + 0.5 * np.exp(-since / 0.6)
                )
        return float(move[0]), float(move[1]), float(move[2])

    def breath_mm(self, t_s: float) -> float:
        """Return how much deeper the mother's breath has moved everything, in mm."""
        return float(self._breath_mm * np.sin(2 * np.pi * self._breath_hz * t_s))
