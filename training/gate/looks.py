"""What the trunk sees of each frame of a gate's data, drawn once: everything after takes seconds.

A folder: `trunk.xml` and `.bin`, the int8 graph; `looks.npz`, what it saw; `looks.json`, of what.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from neurosono.engine.builders.openvino import quantise
from neurosono.engine.contracts.errors import InputError, OutputError
from neurosono.training.gate.augmentation import Square, Strength, augment, scramble
from neurosono.training.gate.data import GateData
from neurosono.training.gate.trunk import FRONT, LOOKS, RANGE_FRAMES, Eye, Trunk, build_trunk

SCHEMA = "neurosono-gate-looks/1"
TRUNK_NAME, VALUES_NAME, SUMMARY_NAME = "trunk.xml", "looks.npz", "looks.json"
AS_IT_IS, VARIED, SCRAMBLED, MADE = range(4)
"""Kinds: a frame itself, a random view of it, a head without its anatomy, and no ultrasound."""
SCRAMBLED_SHARE = 0.05
"""Of the frames: so many heads are scrambled as well."""


@dataclass(frozen=True)
class Looks:
    """`values` `(M, LOOKS)` float32; `rows` (M,) are the frames' numbers, those of made ones -1.

    `kinds` (M,) are of `AS_IT_IS` to `MADE`. The first N are the N frames as they are, in order.
    """

    rows: NDArray[np.int64]
    kinds: NDArray[np.int64]
    values: NDArray[np.float32]
    trunk: Path
    trunk_sha256: str

    @classmethod
    def load(cls, root: Path, data: GateData) -> Self:
        """Open the folder; raises `InputError` where it is not whole, or of other data."""
        again = "make it again with `neurosono train gate look`"
        try:
            summary = json.loads((root / SUMMARY_NAME).read_bytes())
            with np.load(root / VALUES_NAME, allow_pickle=False) as found:
                rows, kinds, values = (found[name] for name in ("rows", "kinds", "values"))
            if summary["schema"] != SCHEMA:
                raise InputError(f"{root} holds looks of another release: {again}")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{root} holds no looks ({error!r}): {again}") from error
        if summary["data"] != data.digest or values.shape != (len(rows), LOOKS):
            raise InputError(f"{root} holds looks of other data: {again}")
        return cls(rows, kinds, values, root / TRUNK_NAME, str(summary["trunk"]))

    @property
    def plain(self) -> NDArray[np.float32]:
        """Return `(N, LOOKS)`: the N frames as they are."""
        return np.asarray(self.values[self.kinds == AS_IT_IS])


def draw_looks(
    root: Path,
    data: GateData,
    trunk: Trunk,
    made: NDArray[np.uint8],
    views: int = 1,
    seed: int = 0,
    watch: Callable[[], None] = lambda: None,
) -> Looks:
    """Build the trunk in int8 and let it see every frame, `views` times, and what is none.

    `made` are `(M, S, S)` uint8 pictures that are no ultrasound. Writes the new folder `root`;
    raises `OutputError`.
    """
    if root.exists():
        raise OutputError(f"{root} is there already: choose another folder or remove it")
    rng = np.random.default_rng([seed, 31])
    # No bias is left to correct: what stands on the looks is fitted to the int8 ones.
    exact = build_trunk(trunk, data.frames.shape[1])
    squares = _deal_range(data, made, rng)
    graph = quantise(exact, squares, correct=False, exact=f"{FRONT}/.*")
    part = root.with_name(root.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        ov.save_model(graph, part / TRUNK_NAME, compress_to_fp16=False)
        eye = Eye(ov.Core().read_model(part / TRUNK_NAME))
        rows, kinds, values = [], [], []
        for row, kind, square in _show(data, made, views, rng):
            rows.append(row)
            kinds.append(kind)
            values.append(eye.look(square))
            watch()
        np.savez(part / VALUES_NAME, rows=np.array(rows), kinds=np.array(kinds), values=values)
        summary = {"schema": SCHEMA, "data": data.digest, "trunk": trunk.sha256, "seed": seed}
        (part / SUMMARY_NAME).write_text(json.dumps(summary | {"views": views}) + "\n")
        part.rename(root)
    except OSError as error:
        raise OutputError(f"cannot write {root}: {error}") from error
    return Looks.load(root, data)


def count_looks(data: GateData, made: int, views: int) -> int:
    """Return how many pictures `draw_looks` will see."""
    return len(data.rows) * views + _count_scrambled(data) + made


def _count_scrambled(data: GateData) -> int:
    return round(len(data.rows) * SCRAMBLED_SHARE)


def _deal_range(
    data: GateData, made: NDArray[np.uint8], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Return squares that set the ranges of activations: some of every source, and some made."""
    _, source = np.unique(data.sources, return_inverse=True)
    shares = 1 / np.sqrt(np.bincount(source))[source]
    count = min(RANGE_FRAMES, len(source))
    chosen = rng.choice(len(source), count, replace=False, p=shares / shares.sum())
    views = [augment(np.array(data.frames[row]), rng, Strength()) for row in chosen]
    return np.stack([*views, *made[: RANGE_FRAMES // 8]])


def _show(
    data: GateData, made: NDArray[np.uint8], views: int, rng: np.random.Generator
) -> Iterator[tuple[int, int, Square]]:
    """Yield the frame's number, the kind, and the square to look at."""
    strength = Strength()
    for number in range(views):
        for row, frame in enumerate(data.frames):
            square = np.array(frame)
            yield (
                row,
                VARIED if number else AS_IT_IS,
                (augment(square, rng, strength) if number else square),
            )
    heads = np.flatnonzero(data.positive)
    for row in rng.choice(heads, _count_scrambled(data)):
        square = scramble(np.array(data.frames[row]), rng)
        yield int(row), SCRAMBLED, augment(square, rng, strength)
    for picture in made:
        yield -1, MADE, augment(picture, rng, strength) if rng.random() < 0.5 else picture
