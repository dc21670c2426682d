"""What the network says of one picture, as plain arrays, and the grid that it says it of."""

from dataclasses import dataclass, field
from functools import cache

import numpy as np

from neurosono.engine.contracts.arrays import Floats, Pixels, Singles
from neurosono.engine.contracts.errors import EngineFailedError, InputError
from neurosono.engine.structures.names import PLANES, STRUCTURES

STRIDES_PX = (4, 8, 16)
"""Of the pyramid's levels: a septal cavity is some nine pixels high, so it needs the finest."""
COARSEST_PX = 32
"""Of the network's last stage, which its side must be a multiple of."""
MAP_STRIDE_PX = 4
"""Of the map of the head's inside."""

LEVEL_MEAN, LEVEL_STD = 40.0, 50.0
"""By which the graph itself normalises grey levels: about those of letterboxed pictures; the exact
numbers do not matter."""

OUTPUTS = ("classes", "centreness", "sides", "turns", "planes", "head")
"""Names of the graph's outputs, each with a batch of one in front."""


@dataclass(frozen=True)
class Grid:
    """Where the network looks: the pixel of each location, level by level, row by row."""

    size_px: int

    def __post_init__(self) -> None:
        if self.size_px < 64 or self.size_px % COARSEST_PX:
            raise InputError(
                f"the network's side must be a multiple of {COARSEST_PX} from 64, "
                f"found {self.size_px}"
            )

    @property
    def counts(self) -> tuple[int, ...]:
        """Return how many locations each level has."""
        return tuple((self.size_px // stride) ** 2 for stride in STRIDES_PX)

    @cache  # noqa: B019 - a handful of sizes in a process's life
    def locations(self) -> tuple[Singles, Singles]:
        """Return x, y (N, 2) and stride (N,) of every location, in pixels.

        A 3x3 convolution of stride 2 and padding 1 looks about every second pixel, from the first
        on, so cell (i, j) of a level looks about (i, j) times its stride, as torchvision has it.
        """
        points, strides = [], []
        for stride in STRIDES_PX:
            along = np.arange(self.size_px // stride, dtype=np.float32) * stride
            y, x = np.meshgrid(along, along, indexing="ij")
            points.append(np.stack([x.ravel(), y.ravel()], axis=1))
            strides.append(np.full(x.size, stride, np.float32))
        found = np.concatenate(points), np.concatenate(strides)
        for each in found:
            each.flags.writeable = False
        return found


@dataclass(frozen=True)
class Answer:
    """One picture's answer: N locations, C labels, P planes; float32, checked where made.

    `classes` (N, C) and `centreness` (N,) are 0 to 1; `sides` (N, 4) left, top, right and bottom
    in strides, 0 or more, in the box's own frame; `turns` (N, 2) cosine and sine of twice the
    angle; `planes` (P,) sum to 1; `head` (h, w) is over 0 inside the head. `back` (2, 3) leads
    from the network's pixels to those of the square, `square_px` wide, that its input was cut from.
    """

    grid: Grid
    classes: Singles
    centreness: Singles
    sides: Singles
    turns: Singles
    planes: Singles
    head: Singles
    back: Floats = field(default_factory=lambda: np.eye(2, 3))
    square_px: int = 0
    """0: its input was the square itself."""
    labels: tuple[str, ...] = STRUCTURES
    """What the columns of `classes` are of."""
    square: Pixels | None = None
    """The square itself, where the head's outline may be drawn to the edge that it shows."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "square_px", self.square_px or self.grid.size_px)
        n, cells = sum(self.grid.counts), self.grid.size_px // MAP_STRIDE_PX
        expected = {
            "classes": (n, len(self.labels)),
            "centreness": (n,),
            "sides": (n, 4),
            "turns": (n, 2),
            "planes": (len(PLANES),),
            "head": (cells, cells),
            "back": (2, 3),
        }
        for name, shape in expected.items():
            found = getattr(self, name)
            if found.shape != shape:
                raise InputError(f"{name} must be {shape}, found {found.shape}")
            if not np.isfinite(found).all():
                raise EngineFailedError(f"the structures' network gave {name} that are no numbers")
