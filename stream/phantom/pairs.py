"""Pairs of pictures of one phantom, a transventricular and a transcerebellar plane each.

As many as Ramirez Zegarra et al. 2026 (doi 10.1148/ryai.250737) had, of the same weeks: 218 normal
and 101 abnormal fetuses of 19+0 to 23+6. What is wrong with an abnormal one is ours: patterns that
one of the two planes shows.
"""

import csv
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from neurosono.engine.contracts.errors import InputError, OutputError
from neurosono.engine.files import making_folder
from neurosono.engine.patterns.names import (
    MEGA_CISTERNA,
    MILD_WIDTH,
    NO_CSP,
    OPEN_FOURTH,
    OTHER_CYST,
    SEVERE_WIDTH,
    SINGLE_VENTRICLE,
)
from neurosono.engine.structures.names import OTHER_HEAD, TRANSCEREBELLAR, TRANSVENTRICULAR
from neurosono.stream.phantom.cohort import SCREENS_PX, STRUCTURES_SCHEMA, STRUCTURES_SUFFIX
from neurosono.stream.phantom.exam import exam_site, gestational_weeks
from neurosono.stream.phantom.fetus import find_fetus
from neurosono.stream.phantom.patient import random_stream
from neurosono.stream.phantom.spec import NO_FINDING, PhantomFrame, PhantomSpec
from neurosono.stream.phantom.studio import Studio
from neurosono.stream.phantom.sweep import Stretch

PAPER_NORMAL, PAPER_ABNORMAL = 218, 101
PAIR_WEEKS = (19.0, 24.0)

NORMAL, ABNORMAL = "normal", "abnormal"
CHIARI = "rachischisis"
"""The class whose head has wide ventricles, a banana cerebellum and no cisterna magna."""
ABNORMAL_TURNS = (
    MILD_WIDTH,
    OPEN_FOURTH,
    NO_CSP,
    CHIARI,
    MEGA_CISTERNA,
    SEVERE_WIDTH,
    SINGLE_VENTRICLE,
    OTHER_CYST,
)
"""What is wrong, dealt in turn."""

VIEWS = {TRANSVENTRICULAR: 0.35, TRANSCEREBELLAR: -0.39}
"""Levels of slices in which all is seen that the standard asks for: within the plane's reach, and
towards the middle of the head, where the cavum and the thalami are."""
_LEVEL_SPREAD, _LEVEL_REACH = 0.04, 0.07
_OTHER_LEVELS = ((0.58, 0.70), (-0.14, 0.14), (-0.74, -0.58))
"""Of slices that are of neither plane: above, between and below them."""
_GAIN_SPREAD_DB = 1.5
_SETTINGS = 1000
"""Pairs' pictures are taken at probe placements that no exam has."""
_SCREEN_SECONDS = 10.0

PAIR_COLUMNS = (
    *("path", "plane", "patient", "label", "finding", "gestational_weeks", "seed", "site"),
)


@dataclass(frozen=True)
class PhantomPair:
    """One fetus: which, and what is wrong with it, `none` with a normal one."""

    spec: PhantomSpec
    finding: str

    @property
    def abnormal(self) -> bool:
        """Return whether anything is wrong."""
        return self.finding != NO_FINDING

    @property
    def label(self) -> str:
        """Return `normal` or `abnormal`."""
        return ABNORMAL if self.abnormal else NORMAL

    @property
    def patient(self) -> str:
        """Return the fetus's name."""
        return f"phantom-pair-{self.spec.seed}-{self.spec.patient:05d}"


@dataclass(frozen=True)
class PairPicture:
    """One picture of a pair: of which plane, which of its views, and the screen with its truth."""

    pair: PhantomPair
    plane: str
    view: int
    frame: PhantomFrame

    @property
    def name(self) -> str:
        """Return the picture's file name."""
        return f"{self.plane}_{self.view + 1:02d}.png"


def deal_pairs(normal: int, abnormal: int, seed: int) -> list[PhantomPair]:
    """Return so many fetuses of the pairs' weeks, the abnormal ones anywhere among the others.

    Fetuses of other weeks, and of a head too small for what is asked, are passed over. Raises
    `InputError` for numbers that make no pairs.
    """
    if normal < 0 or abnormal < 0 or normal + abnormal < 1 or seed < 0:
        raise InputError(
            f"pairs are 0 or more of either kind and one at least, found {normal} and {abnormal}"
        )
    turns = [ABNORMAL_TURNS[k % len(ABNORMAL_TURNS)] for k in range(abnormal)]
    wanted = [NO_FINDING] * normal + turns
    order = random_stream("cohort", seed, 0, "pairs").permutation(len(wanted))
    numbers = itertools.count()
    return [_find_pair(wanted[k], seed, numbers) for k in order]


def _find_pair(finding: str, seed: int, numbers: Iterator[int]) -> PhantomPair:
    """Return the next fetus that can have what is asked for."""
    for number in numbers:
        rng = random_stream("cohort", seed, number, "screen")
        width, height = SCREENS_PX[int(rng.integers(len(SCREENS_PX)))]
        spec = PhantomSpec(
            label=CHIARI if finding == CHIARI else "normal",
            finding=None if finding == CHIARI else finding,
            seed=seed,
            seconds=_SCREEN_SECONDS,
            width_px=width,
            height_px=height,
            patient=number,
            namespace="cohort",
        )
        if not PAIR_WEEKS[0] <= gestational_weeks(spec) < PAIR_WEEKS[1]:
            continue
        try:
            find_fetus(spec)
        except InputError:
            continue
        return PhantomPair(spec, finding)
    raise AssertionError("numbers do not end")


def shoot_pair(pair: PhantomPair, views: int = 1, others: int = 0) -> Iterator[PairPicture]:
    """Yield `views` pictures of each plane, each at another placement of the probe.

    Then so many `others` of the same head, of neither plane.
    """
    studio = Studio(pair.spec, structures=True)
    counts = dict.fromkeys(VIEWS, views) | {OTHER_HEAD: others}
    index = 0
    for order, (plane, count) in enumerate(counts.items()):
        for number in range(count):
            frame = _shoot(studio, pair, plane, index, _SETTINGS * (order + 1) + number)
            yield PairPicture(pair, plane, number, frame)
            index += 1


def _shoot(studio: Studio, pair: PhantomPair, plane: str, index: int, setting: int) -> PhantomFrame:
    key = (pair.spec.namespace, pair.spec.seed, pair.spec.patient)
    rng = random_stream(*key, f"pair-{setting}")
    if plane in VIEWS:
        off = float(np.clip(rng.normal(0, _LEVEL_SPREAD), -_LEVEL_REACH, _LEVEL_REACH))
        level = VIEWS[plane] + off
    else:
        level = float(rng.uniform(*_OTHER_LEVELS[int(rng.integers(len(_OTHER_LEVELS)))]))
    stretch = Stretch(
        start_s=0.0,
        end_s=_SCREEN_SECONDS,
        view="head",
        mode="bmode",
        at=(0.0,),
        levels=(level,),
        gain_db=float(np.clip(rng.normal(0, _GAIN_SPREAD_DB), -4, 4)),
        depth_scale=1.0,
        setting=setting,
    )
    return studio.shoot(index, float(rng.uniform(0, _SCREEN_SECONDS)), stretch)


def write_pairs(
    out: Path,
    *,
    normal: int = PAPER_NORMAL,
    abnormal: int = PAPER_ABNORMAL,
    seed: int = 0,
    views: int = 1,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> list[dict[str, Any]]:
    """Write `out/LABEL/PATIENT/PLANE_01.png`, their truth beside them, and `pairs.csv`.

    Returns the table's rows. The folder is made aside and renamed when it is whole. Raises
    `InputError` for numbers that make no pairs, `OutputError` where `out` cannot be written.
    """
    pairs = deal_pairs(normal, abnormal, seed)
    if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        raise OutputError(
            f"the pairs' folder {out} is already there and not empty: name a new or empty folder"
        )
    rows: list[dict[str, Any]] = []
    try:
        with making_folder(out) as aside:
            for done, pair in enumerate(pairs):
                progress(done, len(pairs))
                rows += _write_pair(aside, pair, views)
            with (aside / "pairs.csv").open("w", newline="", encoding="utf-8") as file:
                table = csv.DictWriter(file, PAIR_COLUMNS)
                table.writeheader()
                table.writerows(rows)
    except OSError as error:
        raise OutputError(
            f"the pairs cannot be written to {out} ({error.strerror}): name a folder that is empty "
            "or new, on a disk with room"
        ) from error
    progress(len(pairs), len(pairs))
    return rows


def _write_pair(root: Path, pair: PhantomPair, views: int) -> list[dict[str, Any]]:
    folder = Path(pair.label) / pair.patient
    (root / folder).mkdir(parents=True)
    rows: list[dict[str, Any]] = []
    for picture in shoot_pair(pair, views):
        path = folder / picture.name
        (root / path).write_bytes(cv2.imencode(".png", picture.frame.pixels)[1].tobytes())
        assert picture.frame.truth is not None
        truth = {
            "schema": STRUCTURES_SCHEMA,
            "label": pair.label,
            "finding": pair.finding,
            "width_px": picture.frame.pixels.shape[1],
            "height_px": picture.frame.pixels.shape[0],
            "region": list(picture.frame.region),
            **picture.frame.truth.to_dict(),
        }
        beside = (root / path).with_suffix(STRUCTURES_SUFFIX)
        beside.write_text(json.dumps(truth, separators=(",", ":")) + "\n", encoding="utf-8")
        rows.append(
            {
                "path": path.as_posix(),
                "plane": picture.plane,
                "patient": pair.patient,
                "label": pair.label,
                "finding": pair.finding,
                "gestational_weeks": round(gestational_weeks(pair.spec), 2),
                "seed": pair.spec.seed,
                "site": exam_site(pair.spec),
            }
        )
    return rows
