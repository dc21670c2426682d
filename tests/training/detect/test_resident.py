"""Views drawn where the network is: the same marks, looks and targets as those drawn one by one."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.structures.answer import Grid
from neurosono.engine.structures.names import PLANES, STRUCTURES
from neurosono.training.detect.aiming import Known, Places, aim_views
from neurosono.training.detect.aims import Aims
from neurosono.training.detect.augmentation import Strength, _clip
from neurosono.training.detect.data import DetectData
from neurosono.training.detect.deck import Deck
from neurosono.training.detect.recipe import DetectRecipe
from neurosono.training.detect.resident import ResidentFeed
from neurosono.training.detect.rows import Labelled
from neurosono.training.detect.run import open_run, reopen_run, train
from neurosono.training.detect.targets import aim
from neurosono.training.detect.views import alter, draw_affines, warp
from tests.training.detect.pictures import SIZE_PX, write_drawn_data

CPU = torch.device("cpu")
LOOK_PX = 64


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DetectData:
    return write_drawn_data(tmp_path_factory.mktemp("drawn") / "data", 120)


def _draw(many: int, strength: Strength, near: bool = False) -> torch.Tensor:
    scale = LOOK_PX / SIZE_PX
    base = torch.tensor([[scale, 0, 0], [0, scale, 0]]).repeat(many, 1, 1)
    flags = torch.full((many,), near)
    return draw_affines(base, flags, LOOK_PX, strength, torch.Generator().manual_seed(1))


def test_targets_are_those_of_one_picture_at_a_time(data: DetectData) -> None:
    rows = list(data.rows)
    for at in range(0, 120, 4):  # some only known by the box along the axes, some of two kinds
        boxes = tuple(replace(each, upright=True) for each in rows[at].boxes)
        more = tuple(Labelled("csp", each.box, upright=True) for each in boxes)
        known = (*rows[at].known, "csp")
        rows[at] = replace(rows[at], boxes=(*boxes, *more), known=tuple(dict.fromkeys(known)))
    matrix = _draw(len(rows), Strength(shift=0.3))
    grid = Grid(LOOK_PX)
    found = aim_views(Known.of(rows, STRUCTURES, CPU), matrix, Places.of(grid, CPU))
    views = [
        _clip(row.mapped(m.double().numpy()), LOOK_PX) for row, m in zip(rows, matrix, strict=True)
    ]
    wanted = Aims.stacked([aim(view, grid) for view in views], CPU)
    same = found.labels == wanted.labels
    assert float(same.float().mean()) > 0.999  # a location on a border may fall to either side
    assert (wanted.labels >= 0).sum() > 100
    hit = same & (wanted.labels >= 0)
    assert torch.equal(found.shaped[hit], wanted.shaped[hit])
    for name in ("sides", "near", "turns"):
        ours, theirs = getattr(found, name)[hit], getattr(wanted, name)[hit]
        shaped = wanted.shaped[hit] if name == "turns" else slice(None)
        assert torch.allclose(ours[shaped], theirs[shaped], atol=2e-2), name
    for name in ("known", "seen", "planes", "head_known"):
        assert torch.equal(getattr(found, name), getattr(wanted, name)), name
    assert torch.allclose(found.head, wanted.head, atol=1e-3)


def test_views_are_cut_as_the_engine_cuts_looks(data: DetectData) -> None:
    matrix = _draw(8, Strength())
    squares = np.array(data.frames[:8])
    found = warp(torch.from_numpy(squares), matrix, LOOK_PX)[:, 0].numpy()
    for view, square, each in zip(found, squares, matrix.double().numpy(), strict=True):
        wanted = cv2.warpAffine(square, each, (LOOK_PX, LOOK_PX), flags=cv2.INTER_LINEAR)
        assert np.abs(view - wanted).mean() < 1.0


def test_closer_looks_differ_less_and_geometry_stays_within_bounds() -> None:
    strength = Strength(about=0.0)
    for near, limit in ((False, strength.scale), (True, strength.closer().scale)):
        linear = _draw(400, strength, near)[:, :, :2] * (SIZE_PX / LOOK_PX)
        scale = torch.linalg.det(linear.double()).abs().sqrt().log()
        assert float(scale.abs().max()) < limit + 1e-4
        assert float(scale.std()) == pytest.approx(limit / 3**0.5, rel=0.15)
        mirrored = (torch.linalg.det(linear.double()) < 0).float().mean()
        assert 0.35 < float(mirrored) < 0.65


def test_other_machines_greys_stay_levels_and_keep_their_order() -> None:
    ramp = torch.linspace(0, 255, LOOK_PX).round().repeat(64, 1, LOOK_PX, 1)
    plain = replace(Strength(), noise=0.0, hide=0.0, depth=0.0, coarser=0.0)
    seen = alter(ramp, plain, torch.Generator().manual_seed(0))
    assert (seen[..., 1:] >= seen[..., :-1]).all()
    assert len(seen[:, 0, 32, 32].unique()) > 10
    wild = alter(ramp, Strength().times(1.5), torch.Generator().manual_seed(0))
    assert wild.min() >= 0
    assert wild.max() <= 255
    assert torch.equal(wild, wild.floor())


def test_it_deals_as_the_deck_does_and_looks_closer_at_heads(data: DetectData) -> None:
    deck = Deck(data, np.arange(len(data.rows)))
    assert deck.chances().sum() == pytest.approx(1)
    recipe = DetectRecipe(pictures=640, batch=64, look_px=LOOK_PX, closer=1.0)
    heads = {k: row.head for k, row in enumerate(data.rows) if row.head}
    feed = ResidentFeed(data, deck, recipe, heads, {}, CPU)
    shares = []
    for closer in (False, True):
        batches = [feed.take(closer)[1] for _ in range(3)]
        head = torch.cat([each.head[each.head.sum((1, 2)) > 0] for each in batches])
        shares.append((head > 0.5).float().mean((1, 2)))
    assert float(shares[1].std()) < 0.6 * float(shares[0].std())
    dealt = torch.cat([feed.take(False)[1].planes for _ in range(6)]).float().mean(0)
    expected = sum(
        chance * np.array([name in data.rows[row].planes for name in PLANES])
        for row, chance in zip(deck.rows, deck.chances(), strict=True)
    )
    np.testing.assert_allclose(dealt.numpy(), expected, atol=0.1)


def test_a_run_by_the_clock_ends_when_it_is_over_with_its_rate_run_down(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    data = write_drawn_data(tmp_path / "data", 12)
    recipe = DetectRecipe(batch=2, look_px=LOOK_PX, glance=0.5, seconds=100.0, average=0.9)
    trainer = open_run(data, recipe, tmp_path / "run")
    now = [0.0]
    rates, losses = [], []

    def clock() -> float:
        now[0] += 8.0
        return now[0]

    def watch(_: int, loss: float) -> None:
        losses.append(loss)
        rates.append(trainer._optimiser.param_groups[0]["lr"])

    train(trainer, tmp_path / "run", None, watch, clock)
    assert trainer.part == 1
    assert 6 < trainer.done <= 13
    assert rates[-1] == pytest.approx(0.01 * recipe.learning_rate)
    assert losses[-1] < losses[0]
    assert trainer.heads  # looked for half-way
    again = reopen_run(data, tmp_path / "run")
    assert again.part == 1
    assert again.done == trainer.done
    with pytest.raises(InputError, match="seconds"):
        DetectRecipe(seconds=-1.0)
