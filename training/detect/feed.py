"""Deals batches of views; with workers, the next one is drawn while the network learns from this.

Every view follows from the recipe's seed, the step and its place in the batch, so that neither
workers nor a restart change what is learnt from.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Self

import numpy as np

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.structures.answer import Grid
from neurosono.engine.structures.ellipse import Ellipse
from neurosono.training.detect.augmentation import Strength, augment
from neurosono.training.detect.data import DetectData
from neurosono.training.detect.deck import Deck
from neurosono.training.detect.recipe import DetectRecipe
from neurosono.training.detect.rows import Marks
from neurosono.training.detect.targets import Targets, aim

View = tuple[Pixels, Targets]


class Feed:
    """Draws batches in order; with `workers` threads, one batch ahead."""

    def __init__(
        self,
        data: DetectData,
        deck: Deck,
        recipe: DetectRecipe,
        heads: dict[int, Ellipse],
        marks: dict[int, Marks],
        pool: ThreadPoolExecutor | None,
    ) -> None:
        self._data, self._deck, self._recipe, self._pool = data, deck, recipe, pool
        self._heads, self._marks = heads, marks
        self._ahead: dict[int, list[Future[View]]] = {}

    @classmethod
    @contextmanager
    def opened(
        cls,
        data: DetectData,
        deck: Deck,
        recipe: DetectRecipe,
        workers: int,
        heads: dict[int, Ellipse] | None = None,
        marks: dict[int, Marks] | None = None,
    ) -> Iterator[Self]:
        """Give a feed whose threads end with it; without workers it draws when it is asked.

        `heads` are those that may be looked at more closely, by their pictures' rows; `marks` what
        an earlier run marked of what was seen there.
        """
        if not workers:
            yield cls(data, deck, recipe, heads or {}, marks or {}, None)
            return
        with ThreadPoolExecutor(workers) as pool:
            yield cls(data, deck, recipe, heads or {}, marks or {}, pool)

    def take(self, step: int) -> tuple[Pixels, list[Targets]]:
        """Return the views (B, S, S) uint8 of a step and what is asked of each."""
        if self._pool is None:
            views = [self._draw(step, place) for place in range(self._recipe.batch)]
        else:
            self._begin(step)
            self._begin(step + 1)
            views = [each.result() for each in self._ahead.pop(step)]
        return np.stack([view for view, _ in views]), [targets for _, targets in views]

    def _begin(self, step: int) -> None:
        assert self._pool is not None
        if step not in self._ahead:
            places = range(self._recipe.batch)
            self._ahead[step] = [self._pool.submit(self._draw, step, k) for k in places]

    def _draw(self, step: int, place: int) -> View:
        rng = np.random.default_rng([self._recipe.seed, 31, step, place])
        number = self._deck.deal(rng)
        square = np.array(self._data.frames[number])
        head = None
        if step >= self._recipe.closer_from and rng.random() < self._recipe.closer:
            head = self._heads.get(number)
        side = self._recipe.look_px
        known = self._data.rows[number].marked(self._marks.get(number, ()))
        view, row = augment(square, known, rng, Strength().times(self._recipe.strength), side, head)
        return view, aim(row, Grid(side), self._data.labels)
