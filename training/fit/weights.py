"""The weights that training starts from: ImageNet's or a local file's.

A convolutional network's have torchvision's names, a transformer's timm's. Of a masked autoencoder
in Facebook's layout, as USF-MAE's, only the encoder is taken.
"""

import math
from pathlib import Path

import torch
from torch import Tensor

from neurosono.engine.contracts.architecture import RESNET34, TRANSFORMERS
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.networks import make_network
from neurosono.engine.networks.transformer import stretch_positions
from neurosono.training.fit.checkpoint import UNREADABLE
from neurosono.training.recipe import IMAGENET_WEIGHTS, RANDOM_WEIGHTS, Recipe

Start = dict[str, Tensor]


DECODER = ("decoder", "mask_token")
"""How the names begin of what a masked autoencoder has beside its encoder."""

WRAPPED = "model"
"""Under this name Facebook's files hold their table of arrays."""


def read_start(recipe: Recipe, size_px: int = 224) -> Start:
    """Return the weights that the recipe starts from, none for random; checked for its network.

    The last layer is left out: its classes are others. Raises `InputError` where the file, or the
    network to fetch them by, is missing, or they are of another network.
    """
    if recipe.weights == RANDOM_WEIGHTS:
        return {}
    if recipe.weights == IMAGENET_WEIGHTS and recipe.architecture != RESNET34:
        raise InputError(
            f"ImageNet's weights are fetched for resnet34 only, not for {recipe.architecture}: "
            'name a local file as weights, or "random"'
        )
    found = _fetch_imagenet() if recipe.weights == IMAGENET_WEIGHTS else _read(recipe.weights)
    with torch.device("meta"):
        member = make_network(recipe.architecture, 2, recipe.width, size_px)
    decoder = DECODER if recipe.architecture in TRANSFORMERS else ()
    dropped = (f"{member.head_name}.", *decoder)
    found = {name: value for name, value in found.items() if not name.startswith(dropped)}
    expected = {n: v.shape for n, v in member.state_dict().items() if not n.startswith(dropped)}
    _fit_places(found, expected)
    _check(found, expected, recipe)
    return found


def _fit_places(found: Start, expected: dict[str, torch.Size]) -> None:
    """Stretch a transformer's places to pictures of another size."""
    there, here = found.get("pos_embed"), expected.get("pos_embed")
    if there is None or here is None or there.ndim != 3 or there.shape == here:
        return
    if there.shape[2] == here[2]:
        found["pos_embed"] = stretch_positions(there.float(), math.isqrt(here[1] - 1))


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
        f"weights {recipe.weights} do not fit a {recipe.architecture} of width {recipe.width} "
        f"({what}): use the architecture and width that they were trained with, or weights = "
        '"random"'
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
    if isinstance(found, dict) and isinstance(found.get(WRAPPED), dict):
        found = found[WRAPPED]
    if not isinstance(found, dict) or not all(isinstance(v, Tensor) for v in found.values()):
        raise InputError(f"weights {where} hold no table of arrays: name a file of a state_dict")
    return dict(found)


def _shorten(error: Exception) -> str:
    """Return the first line: torch explains at length how to unpickle regardless."""
    return str(error).partition("\n")[0]
