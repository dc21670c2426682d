"""Random views of a batch: one warp and one tone curve each, in batches, on grey pictures."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from neurosono.training.recipe import Recipe

CROP_TRIES = 10
"""Crops drawn until one fits, before the whole picture is taken (torchvision's number)."""


def shrink(grey: Tensor, size_px: int) -> Tensor:
    """(B, 1, S, S) uint8 -> (B, 1, size_px, size_px) float32 in 0 to 255, by area averaging."""
    pictures = grey.float()
    if grey.shape[-1] == size_px:
        return pictures
    return functional.interpolate(pictures, size=(size_px, size_px), mode="area")


def augment(pictures: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """(B, 1, S, S) float32 in 0 to 255 -> the same shape and range, warped and toned at random.

    Crop and flip are torchvision's RandomResizedCrop and RandomHorizontalFlip by distribution;
    rotation, contrast and gamma are ours, for the scanner's knobs and the probe's angle. What is
    random is drawn on the CPU, so that a GPU sees the same views; nobody waits for the GPU.
    """
    count, size = len(pictures), pictures.shape[-1]
    views = _draw_views(count, recipe, generator).to(pictures.device, non_blocking=True)
    grid = functional.affine_grid(views, [count, 1, size, size], align_corners=False)
    warped = functional.grid_sample(pictures, grid, mode="bilinear", align_corners=False)
    return _change_tone(warped, recipe, generator)


def _draw_views(count: int, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Return (B, 2, 3) maps from output to input coordinates, both -1 to 1."""

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(count, generator=generator) * (high - low) + low

    width, height = draw_crops(count, recipe, generator)
    centre_x = uniform(-1, 1) * (1 - width)
    centre_y = uniform(-1, 1) * (1 - height)
    mirrored = torch.rand(count, generator=generator) < recipe.flip
    angle = uniform(-1, 1) * math.radians(recipe.rotation_deg)
    width = torch.where(mirrored, -width, width)
    cosine, sine = angle.cos(), angle.sin()
    first = torch.stack([width * cosine, -height * sine, centre_x], 1)
    second = torch.stack([width * sine, height * cosine, centre_y], 1)
    return torch.stack([first, second], 1)


def draw_crops(count: int, recipe: Recipe, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return widths and heights, (count,) each, as shares of the side: the first draw that fits."""
    drawn = torch.rand(2, CROP_TRIES, count, generator=generator)
    area = drawn[0] * (1 - recipe.crop_area_low) + recipe.crop_area_low
    aspect = ((drawn[1] * 2 - 1) * math.log(recipe.crop_aspect)).exp()
    whole = torch.ones(1, count)
    width = torch.cat([(area * aspect).sqrt(), whole])  # (tries + 1, count)
    height = torch.cat([(area / aspect).sqrt(), whole])
    misfits = (width > 1) | (height > 1)
    first = misfits.int().cumprod(0).sum(0, keepdim=True)  # misfits before the first that fits
    return width.gather(0, first)[0], height.gather(0, first)[0]


def _change_tone(pictures: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    if recipe.gain == 0 and recipe.gamma == 0:
        return pictures
    shape = (len(pictures), 1, 1, 1)
    gain = 1 + (torch.rand(shape, generator=generator) * 2 - 1) * recipe.gain
    gamma = ((torch.rand(shape, generator=generator) * 2 - 1) * recipe.gamma).exp()
    gain = gain.to(pictures.device, non_blocking=True)
    gamma = gamma.to(pictures.device, non_blocking=True)
    toned: Tensor = (pictures / 255).clamp(0, 1).pow(gamma) * gain * 255
    return toned.clamp(0, 255)
