"""The classes, in the order in which every array holds them."""

from collections.abc import Sequence

from neurosono.engine.contracts.errors import InputError

DEFAULT_LABELS: tuple[str, ...] = (
    "anencephaly",
    "encephalocele",
    "holoprosencephaly",
    "rachischisis",
    "normal",
)
"""The five classes of Qi et al. 2025 (arXiv 2501.02000), the anomalies in the paper's order."""

NORMAL_LABEL = "normal"
"""The one class that is not an anomaly, where a bundle has it."""


def validate_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Return `labels` as a tuple; raise `InputError` unless they are two or more distinct words."""
    found = tuple(labels)
    words = all(isinstance(label, str) and label and label == label.strip() for label in found)
    if len(found) < 2 or len(set(found)) != len(found) or not words:
        raise InputError(f"labels must be two or more distinct words, found {list(found)!r}")
    return found
