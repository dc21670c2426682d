"""The weights that training starts from: ImageNet's or a local file's, by torchvision's names."""

from pathlib import Path

import torch
from torch import Tensor

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.network import ResNet34
from neurosono.training.fit.checkpoint import UNREADABLE
from neurosono.training.recipe import IMAGENET_WEIGHTS, RANDOM_WEIGHTS, Recipe

Start = dict[str, Tensor]


def read_start(recipe: Recipe) -> Start:
    """Return the weights that the recipe starts from, none for random; checked for its width.

    The last layer is left out: its classes are others. Raises `InputError` where the file, or the
    network to fetch them by, is missing, or they are of another network.
    """
    if recipe.weights == RANDOM_WEIGHTS:
        return {}
    found = _fetch_imagenet() if recipe.weights == IMAGENET_WEIGHTS else _read(recipe.weights)
    found = {name: value for name, value in found.items() if not name.startswith("fc.")}
    with torch.device("meta"):
        member = ResNet34(2, recipe.width)
    expected = {n: v.shape for n, v in member.state_dict().items() if not n.startswith("fc.")}
    _check(found, expected, recipe)
    return found


def _check(found: Start, expected: dict[str, torch.Size], recipe: Recipe) -> None:
    missing = sorted(expected.keys() - found.keys())
    other = sorted(n for n in expected.keys() & found.keys() if found[n].shape != expected[n])
    unknown = sorted(found.keys() - expected.keys())
    if not (missing or other or unknown):
        return
    if missing:
        what = f"{len(missing)} of its {len(expected)} arrays are missing, e.g. {missing[0]}"
    elif other:
        what = (
            f"{other[0]} is {tuple(found[other[0]].shape)} there, "
            f"{tuple(expected[other[0]])} in the network"
        )
    else:
        what = f"it has no {unknown[0]}"
    raise InputError(
        f"weights {recipe.weights} do not fit a ResNet34 of width {recipe.width} ({what}): "
        'use width 1 with ImageNet\'s weights, or weights = "random"'
    )


def _fetch_imagenet() -> Start:
    from torchvision.models import ResNet34_Weights

    try:
        return dict(ResNet34_Weights.IMAGENET1K_V1.get_state_dict(progress=False, check_hash=True))
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"the ImageNet weights cannot be fetched ({error}): name a local file as weights "
            '(torchvision\'s resnet34 .pth, or .safetensors), or "random"'
        ) from error


def _read(where: str) -> Start:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(where)
    safe = path.suffix == ".safetensors"
    try:
        found = load_file(path) if safe else torch.load(path, map_location="cpu", weights_only=True)
    except (*UNREADABLE, SafetensorError) as error:
        kind = "safetensors" if safe else "a torch file of weights"
        raise InputError(f"weights {where} cannot be read as {kind}: {_shorten(error)}") from error
    if not isinstance(found, dict) or not all(isinstance(v, Tensor) for v in found.values()):
        raise InputError(f"weights {where} hold no table of arrays: name a file of a state_dict")
    return dict(found)


def _shorten(error: Exception) -> str:
    """Return the first line: torch explains at length how to unpickle regardless."""
    return str(error).partition("\n")[0]
