"""The networks that a member may be (`engine.contracts.architecture`), one file each; torch."""

from collections.abc import Mapping

import torch
from torch import Tensor

from neurosono.engine.contracts.architecture import RESNET34, RESNET50, VGG19, check_architecture
from neurosono.engine.networks.base import Network
from neurosono.engine.networks.resnet import ResNet34, ResNet50
from neurosono.engine.networks.transformer import VisionTransformer
from neurosono.engine.networks.vgg import Vgg19

__all__ = ["Network", "fill_network", "make_network"]


def make_network(architecture: str, classes: int, width: float, size_px: int) -> Network:
    """Return an untrained network for pictures of `size_px`.

    Raises `InputError` where there is no such architecture, or none that small.
    """
    check_architecture(architecture)
    convolutional = {RESNET34: ResNet34, RESNET50: ResNet50, VGG19: Vgg19}
    if architecture in convolutional:
        return convolutional[architecture](classes, width)
    return VisionTransformer(architecture, classes, width, size_px)


def fill_network(
    architecture: str, classes: int, width: float, size_px: int, weights: Mapping[str, Tensor]
) -> Network:
    """Return a float32 network of these weights; none is drawn at random first, which takes longer.

    Raises as `make_network`, and `RuntimeError` where the weights are of another network.
    """
    with torch.device("meta"):
        network = make_network(architecture, classes, width, size_px)
    network.load_state_dict(weights, assign=True)
    return network.float()
