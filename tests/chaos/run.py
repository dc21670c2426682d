"""Seeded faults on one session after the other, and what was seen of each."""

import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from tests.chaos.faults import FAULTS, OF_A_BROWSER
from tests.chaos.scene import PATIENCE_S, Scene
from tests.chaos.watching import Viewer, Word
from tests.support.commands import wait_until

PER_SESSION = 8
"""Faults of one session, before it is ended and its record counted."""


@dataclass(frozen=True)
class Seen:
    """What was seen of one fault; times in milliseconds, None where it did not come to it.

    `gap_ms` is the longest time between two pictures until all was well again, `opinion_ms` the
    oldest opinion that came to a viewer, `tab_ms` the oldest that a browser's tab showed, `off_ms`
    and `unrecorded_ms` when the AI, and the record, were first said to be off, `recovery_ms` how
    long it took until all was well.
    """

    fault: str
    gap_ms: float | None
    opinion_ms: float
    tab_ms: float | None
    off_ms: float | None
    unrecorded_ms: float | None
    recovery_ms: float | None


@dataclass
class Report:
    """What was seen of all faults, and of the sessions that bore them."""

    seen: list[Seen] = field(default_factory=list)
    shown: int = 0
    recorded: int = 0
    exits: list[int] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    tracebacks: int = 0


def run(
    names: Sequence[str],
    seed: int,
    folder: Path,
    bundle: str,
    tell: Callable[[Seen], None] = lambda _: None,
) -> Report:
    """Make each fault once, in this order, `PER_SESSION` a session; `tell` hears of each."""
    rng, report = random.Random(seed), Report()
    for begin in range(0, len(names), PER_SESSION):
        scene = Scene(folder / f"session-{begin}", bundle)
        scene.folder.mkdir(parents=True)
        try:
            _run_session(scene, names[begin : begin + PER_SESSION], rng, report, tell)
        finally:
            scene.close()
    return report


def _run_session(
    scene: Scene,
    names: Sequence[str],
    rng: random.Random,
    report: Report,
    tell: Callable[[Seen], None],
) -> None:
    scene.send()
    with scene.begin() as viewer:
        _await_well(viewer, time.monotonic())
        if OF_A_BROWSER.intersection(names):
            scene.browse()  # what it takes to start it is no part of a fault
            _await_well(viewer, time.monotonic())
        for name in names:
            time.sleep(rng.random())
            report.seen.append(_bear(scene, viewer, name, rng))
            tell(report.seen[-1])
            if report.seen[-1].recovery_ms is None:
                break  # what the next fault does to it would say nothing
        if report.seen[-1].recovery_ms is not None and rng.random() < 0.5:
            _kill_and_resume(scene, viewer, report)
        else:
            _end(scene, report)
    report.left += scene.list_left()
    report.tracebacks += sum("Traceback" in line for line in scene.said)


def _bear(scene: Scene, viewer: Viewer, name: str, rng: random.Random) -> Seen:
    scene.look_at_tabs()
    scene.tab_off_ms = None
    begun_s = time.monotonic()
    before = [word.at_s for word in viewer.words if word.picture][-1:]
    try:
        FAULTS[name](scene, viewer, rng)
        recovery_s: float | None = _await_well(viewer, time.monotonic()) - begun_s
    except AssertionError as error:
        recovery_s = None
        sys.stderr.write(f"{name}: {error}\n")
    words = viewer.since(begun_s)
    pictures = before + [word.at_s for word in words if word.picture]
    opinions = [word.opinion_age_ms for word in words if word.lit]
    gaps = [(after - earlier) * 1e3 for earlier, after in pairwise(pictures)]
    return Seen(
        name,
        max(gaps, default=None),
        max(opinions, default=0.0),
        scene.look_at_tabs(),
        scene.tab_off_ms
        or _first_ms(words, begun_s, lambda word: word.status["ai"] in ("AI OFF", "NO SIGNAL")),
        _first_ms(words, begun_s, lambda word: not word.status["record"]["on"]),
        None if recovery_s is None else recovery_s * 1e3,
    )


def _first_ms(words: list[Word], begun_s: float, holds: Callable[[Word], bool]) -> float | None:
    return next(((word.at_s - begun_s) * 1e3 for word in words if holds(word)), None)


def _is_well(word: Word) -> bool:
    return word.status["ai"] == "AI ON" and word.status["record"]["on"]


def _await_well(viewer: Viewer, moment_s: float) -> float:
    """Wait until the AI is on, judges on, and the record is kept; returns when that was."""

    def well() -> list[Word] | None:
        words = [word for word in viewer.since(moment_s) if _is_well(word)]
        judged = {(word.status["exam"], word.status["frames"]["used"]) for word in words}
        return words if len(judged) >= 3 else None

    return float(wait_until(well, PATIENCE_S)[0].at_s)


def _end(scene: Scene, report: Report) -> None:
    report.exits.append(scene.end())
    told = scene.read_exam()["session"]["record"]
    report.shown += told["told"]["results"]
    report.recorded += told["told"]["results"] - told["missing"]["results"]


def _kill_and_resume(scene: Scene, viewer: Viewer, report: Report) -> None:
    """Kill the session itself: what it showed last must stand in the journal."""
    scene.end(signal.SIGKILL)
    assert viewer.last is not None
    status = viewer.last.status
    shown = status["frames"]["sampled"]
    report.shown += shown
    with scene.begin("--resume", status["exam"]) as again:
        report.recorded += min(shown, scene.count_recorded(status["exam"]))
        _await_well(again, time.monotonic())
    report.exits.append(scene.end())
