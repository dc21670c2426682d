"""The networks that a member may be, by name: what is known of them without torch."""

from dataclasses import dataclass

from neurosono.engine.contracts.errors import InputError

RESNET34, RESNET50, VGG19 = "resnet34", "resnet50", "vgg19"
VIT_TI, VIT_S, VIT_B = "vit-ti", "vit-s", "vit-b"

HEAD_CHANNELS = 64
"""Channels of one attention head; a narrower transformer has fewer heads, not thinner ones."""

PATCH_PX = 16


@dataclass(frozen=True)
class Transformer:
    """A vision transformer's size: `heads` at width 1, `depth` blocks."""

    heads: int
    depth: int = 12


TRANSFORMERS = {VIT_TI: Transformer(3), VIT_S: Transformer(6), VIT_B: Transformer(12)}
"""ViT-Ti and ViT-S are Touvron et al. 2021 (arXiv 2012.12877), ViT-B Dosovitskiy et al. 2021."""

RESNETS = (RESNET34, RESNET50)
ARCHITECTURES = (*RESNETS, VGG19, *TRANSFORMERS)

FULL_CHANNELS = 64
"""Channels of a convolutional network's first stage at width 1."""

FEATURES = {
    RESNET34: (14, 8),
    RESNET50: (56, 32),
    VGG19: (30, 8),
    **dict.fromkeys(TRANSFORMERS, (4, 1)),
}
"""Of a member its features before the last stage and of it, as multiples of its channels: of a
transformer's, or of a convolutional network's first stage's."""


def check_architecture(name: str) -> str:
    """Return the name; raises `InputError` where there is no such network."""
    if name not in ARCHITECTURES:
        raise InputError(f"architecture must be one of {', '.join(ARCHITECTURES)}, found {name!r}")
    return name


def count_features(architecture: str, width: float) -> tuple[int, int]:
    """Return how many features a member has before its last stage, and how many in all."""
    channels = round(FULL_CHANNELS * width)
    if architecture in TRANSFORMERS:
        channels = round(TRANSFORMERS[architecture].heads * width) * HEAD_CHANNELS
    early, late = FEATURES[architecture]
    return early * channels, (early + late) * channels


def counts_with(early: int) -> frozenset[int]:
    """Return how many features in all a member may have that has so many before its last stage."""
    return frozenset((part + late) * early // part for part, late in FEATURES.values())
