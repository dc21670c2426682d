"""Batches drawn where the network is: pictures and marks stay on the device, views are made there.

A GPU learns from thousands of views a second; a processor draws some hundred. These follow from the
seed and from how far a run has come, but not picture for picture as `feed` draws them.
"""

import numpy as np
import torch
from torch import Tensor

from neurosono.engine.structures.answer import Grid
from neurosono.engine.structures.ellipse import Ellipse
from neurosono.engine.structures.looks import closer_affine, glance_affine
from neurosono.training.detect.aiming import Known, Places, aim_views
from neurosono.training.detect.aims import Aims
from neurosono.training.detect.augmentation import Strength
from neurosono.training.detect.data import DetectData
from neurosono.training.detect.deck import Deck
from neurosono.training.detect.recipe import DetectRecipe
from neurosono.training.detect.rows import Marks
from neurosono.training.detect.views import alter, draw_affines, warp


class ResidentFeed:
    """Deals batches of views as `feed.Feed` does, from the device's own memory."""

    def __init__(
        self,
        data: DetectData,
        deck: Deck,
        recipe: DetectRecipe,
        heads: dict[int, Ellipse],
        marks: dict[int, Marks],
        device: torch.device,
    ) -> None:
        self._recipe, self._device = recipe, device
        self._places = Places.of(Grid(recipe.look_px), device)
        self._frames = torch.from_numpy(np.array(data.frames[deck.rows])).to(device)
        rows = [data.rows[row].marked(marks.get(int(row), ())) for row in deck.rows]
        self._known = Known.of(rows, data.labels, device)
        self._chances = torch.from_numpy(np.cumsum(deck.chances())).to(device)
        glance = glance_affine(data.size_px, recipe.look_px)
        found = [heads.get(int(row)) for row in deck.rows]
        looks = [glance if head is None else closer_affine(head, recipe.look_px) for head in found]
        self._glance = torch.from_numpy(glance).float().to(device)
        self._closer = torch.from_numpy(np.stack(looks)).float().to(device)
        self._headed = torch.tensor([head is not None for head in found], device=device)
        self.generator = torch.Generator(device)

    def take(self, closer: bool) -> tuple[Tensor, Aims]:
        """Return views (B, 1, L, L) of levels 0 to 255, and what is asked of each.

        With `closer` the recipe's share of them are closer looks at a head, where one is known.
        """
        batch, draw = self._recipe.batch, self.generator
        at = torch.rand(batch, generator=draw, device=self._device, dtype=torch.float64)
        last = len(self._chances) - 1
        rows = torch.searchsorted(self._chances, at * self._chances[-1]).clamp(max=last)
        near = self._headed[rows]
        near &= torch.rand(batch, generator=draw, device=self._device) < (
            self._recipe.closer if closer else 0.0
        )
        base = torch.where(near[:, None, None], self._closer[rows], self._glance)
        strength = Strength().times(self._recipe.strength)
        side = self._recipe.look_px
        matrix = draw_affines(base, near, side, strength, draw)
        view = alter(warp(self._frames[rows], matrix, side), strength, draw)
        return view, aim_views(self._known.of_rows(rows), matrix, self._places)
