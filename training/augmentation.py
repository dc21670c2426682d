"""Random views of a batch: one warp and one tone curve each, in batches, on grey pictures."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from training.recipe import Recipe


def shrink(grey: Tensor, size_px: int) -> Tensor:
    """(B, 1, S, S) uint8 -> (B, 1, size_px, size_px) float32 in 0 to 255, by area averaging."""
    pictures = grey.float()
    if grey.shape[-1] == size_px:
        return pictures
    return functional.interpolate(pictures, size=(size_px, size_px), mode="area")


def augment(pictures: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """(B, 1, S, S) float32 in 0 to 255 -> the same shape and range, warped and toned at random.

    Crop and flip are torchvision's RandomResizedCrop and RandomHorizontalFlip by distribution,
    except that a crop that would not fit is narrowed rather than drawn again; rotation, contrast
    and gamma are ours, for the scanner's knobs and the probe's angle.
    """
    count, size = len(pictures), pictures.shape[-1]
    grid = functional.affine_grid(
        _draw_views(count, recipe, generator), [count, 1, size, size], align_corners=False
    )
    warped = functional.grid_sample(pictures, grid, mode="bilinear", align_corners=False)
    return _change_tone(warped, recipe, generator)


def _draw_views(count: int, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Return (B, 2, 3) maps from output to input coordinates, both -1 to 1."""

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(count, generator=generator) * (high - low) + low

    area = uniform(recipe.crop_area_low, 1)
    aspect = uniform(-math.log(recipe.crop_aspect), math.log(recipe.crop_aspect)).exp()
    width = (area * aspect).sqrt().clamp(max=1)
    height = (area / aspect).sqrt().clamp(max=1)
    centre_x = uniform(-1, 1) * (1 - width)
    centre_y = uniform(-1, 1) * (1 - height)
    mirrored = torch.rand(count, generator=generator) < recipe.flip
    angle = uniform(-1, 1) * math.radians(recipe.rotation_deg)
    width = torch.where(mirrored, -width, width)
    cosine, sine = angle.cos(), angle.sin()
    first = torch.stack([width * cosine, -height * sine, centre_x], 1)
    second = torch.stack([width * sine, height * cosine, centre_y], 1)
    return torch.stack([first, second], 1)


def _change_tone(pictures: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    if recipe.gain == 0 and recipe.gamma == 0:
        return pictures
    shape = (len(pictures), 1, 1, 1)
    gain = 1 + (torch.rand(shape, generator=generator) * 2 - 1) * recipe.gain
    gamma = ((torch.rand(shape, generator=generator) * 2 - 1) * recipe.gamma).exp()
    toned: Tensor = (pictures / 255).clamp(0, 1).pow(gamma) * gain * 255
    return toned.clamp(0, 255)
