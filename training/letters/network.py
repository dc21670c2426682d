"""The letter finder's network: 57 thousand weights, a quarter of a picture's resolution."""

from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurosono.engine.contracts.errors import InputError

STRIDE = 4
"""Pixels of the picture, along each side, for one answer."""


def _step(into: int, out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(into, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU()
    )


class LetterNetwork(nn.Module):
    """From grey `(n, 1, h, w)` float32, 0 to 255, to chances of letters, `(n, 1, h/4, w/4)`.

    Four scales, so that letters of 6 pixels and of 60 are seen whole; sums on the way back up.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Sequential(_step(1, 8, 2), _step(8, 16, 2), _step(16, 16))
        self.middle = nn.Sequential(_step(16, 24, 2), _step(24, 24))
        self.coarse = nn.Sequential(_step(24, 32, 2), _step(32, 32))
        self.whole = nn.Sequential(_step(32, 40, 2), _step(40, 40))
        self.from_whole = nn.Conv2d(40, 32, 1)
        self.from_coarse = nn.Conv2d(32, 24, 1)
        self.from_middle = nn.Conv2d(24, 16, 1)
        self.answer = nn.Conv2d(16, 1, 1)

    def logits(self, levels: Tensor) -> Tensor:
        """Return the answers before the sigmoid."""
        fine = self.fine(levels * (1 / 128) - 0.5)
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        coarse = functional.relu(coarse + _double(self.from_whole(self.whole(coarse))))
        middle = functional.relu(middle + _double(self.from_coarse(coarse)))
        fine = functional.relu(fine + _double(self.from_middle(middle)))
        return cast(Tensor, self.answer(fine))

    def forward(self, levels: Tensor) -> Tensor:
        """Return the chances, 0 to 1."""
        return torch.sigmoid(self.logits(levels))


def _double(levels: Tensor) -> Tensor:
    return functional.interpolate(levels, scale_factor=2.0, mode="nearest")


def read_network(path: Path) -> LetterNetwork:
    """Return the network that `export` wrote, to be taught on; raises `InputError`.

    An export folds normalisations into the convolutions before them. Here they stand as a scale of
    one and a shift, and are to stay so (`eval`) while the network is taught on.
    """
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from onnx.numpy_helper import to_array

    network = LetterNetwork().eval()
    try:
        graph = onnx.load(str(path)).graph
        held = {each.name: torch.from_numpy(to_array(each).copy()) for each in graph.initializer}
        for node in graph.node:
            if node.op_type == "Conv":
                weight, bias = (held[each] for each in node.input[1:])
                _put(network, node.name.split("/")[-2], weight, bias)
    except (OSError, DecodeError, LookupError, AttributeError, RuntimeError) as error:
        raise InputError(f"{path} is no network that `neurosono train letters` wrote") from error
    return network


def _put(network: LetterNetwork, name: str, weight: Tensor, bias: Tensor) -> None:
    convolution = cast(nn.Conv2d, network.get_submodule(name))
    with torch.no_grad():
        convolution.weight.copy_(weight)
        if convolution.bias is not None:
            convolution.bias.copy_(bias)
            return
        norm = cast(nn.BatchNorm2d, network.get_submodule(f"{name[:-1]}1"))
        norm.weight.fill_((1 + norm.eps) ** 0.5)
        cast(Tensor, norm.bias).copy_(bias)


def export(network: nn.Module, path: Path, channels: int = 1) -> None:
    """Write a finder as ONNX, for pictures of any size that its coarsest scale divides."""
    sides = {2: "height", 3: "width"}
    torch.onnx.export(
        network.eval(),
        (torch.zeros(1, channels, 64, 96),),
        str(path),
        opset_version=13,
        dynamo=False,
        input_names=["picture"],
        output_names=["chances"],
        dynamic_axes={"picture": sides, "chances": sides},
    )
