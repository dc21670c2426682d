import pytest
import torch

from neurosono.training.fit.augmentation import augment, draw_crops, shrink
from neurosono.training.recipe import Recipe

STILL = Recipe(crop_area_low=1, crop_aspect=1, flip=0)


def _pictures(count: int = 4, size: int = 32) -> torch.Tensor:
    torch.manual_seed(3)
    return torch.randint(0, 256, (count, 1, size, size), dtype=torch.uint8)


def _seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_nothing_asked_for_changes_nothing() -> None:
    pictures = _pictures().float()
    assert torch.allclose(augment(pictures, STILL, _seeded()), pictures, atol=1e-2)


def test_a_sure_flip_mirrors() -> None:
    pictures = _pictures().float()
    flipped = augment(pictures, Recipe(crop_area_low=1, crop_aspect=1, flip=1), _seeded())
    assert torch.allclose(flipped, pictures.flip(-1), atol=1e-2)


def test_a_half_turn_turns_both_ways_round() -> None:
    square = torch.zeros(64, 1, 9, 9)
    square[:, :, 0, 4] = 255
    recipe = Recipe(crop_area_low=1, crop_aspect=1, flip=0, rotation_deg=90)
    turned = augment(square, recipe, _seeded())
    assert turned[:, :, :, :4].sum() > 0
    assert turned[:, :, :, 5:].sum() > 0


def test_views_stay_in_range_and_differ_between_pictures() -> None:
    same = _pictures(1).float().expand(16, -1, -1, -1)
    recipe = Recipe(gain=0.5, gamma=0.5, rotation_deg=20)
    views = augment(same, recipe, _seeded())
    assert views.shape == same.shape
    assert 0 <= views.min() <= views.max() <= 255
    assert len({float(view.mean()) for view in views}) == 16


def test_views_follow_from_the_generator() -> None:
    pictures = _pictures().float()
    first = augment(pictures, Recipe(gain=0.2), _seeded(1))
    assert torch.equal(first, augment(pictures, Recipe(gain=0.2), _seeded(1)))
    assert not torch.equal(first, augment(pictures, Recipe(gain=0.2), _seeded(2)))


def test_crops_have_the_papers_areas() -> None:
    """A ramp's spread shrinks with the crop: its mean area is that of U(0.08, 1)."""
    ramp = torch.arange(64.0).expand(2000, 1, 64, 64)
    recipe = Recipe(crop_aspect=1, flip=0)
    views = augment(ramp, recipe, _seeded())
    width = (views[:, 0, 0, -1] - views[:, 0, 0, 0]) / 63
    assert float((width**2).mean()) == pytest.approx(0.54, abs=0.03)


def test_crops_are_torchvisions_by_distribution() -> None:
    """Two-sample Kolmogorov-Smirnov on widths, heights and areas, 4,000 crops each."""
    from scipy.stats import ks_2samp
    from torchvision.transforms import RandomResizedCrop

    torch.manual_seed(1)
    picture, count, side = torch.zeros(1, 2240, 2240), 4000, 2240
    theirs = torch.tensor(
        [
            RandomResizedCrop.get_params(picture, [0.08, 1], [3 / 4, 4 / 3])[2:]
            for _ in range(count)
        ],
        dtype=torch.float64,
    )
    width, height = draw_crops(count, Recipe(), _seeded(5))
    pairs = {
        "height": (height, theirs[:, 0] / side),
        "width": (width, theirs[:, 1] / side),
        "area": (width * height, theirs.prod(1) / side**2),
    }
    for name, (ours, reference) in pairs.items():
        assert ks_2samp(ours.numpy(), reference.numpy()).pvalue > 0.01, name


def test_shrinking_averages_areas() -> None:
    pictures = _pictures()
    small = shrink(pictures, 16)
    assert small.shape == (4, 1, 16, 16)
    assert float(small[0, 0, 0, 0]) == pytest.approx(float(pictures[0, 0, :2, :2].float().mean()))
    assert shrink(pictures, 32).dtype == torch.float32
