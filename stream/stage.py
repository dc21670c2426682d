"""Where a live exam goes: to whoever watches it, and into the record."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.contracts.result import Result


class Stage(Protocol):
    """Where a live exam is shown: the web page's hub, or a terminal."""

    def publish(self, pixels: NDArray[np.uint8], status: dict[str, Any]) -> None:
        """Show a picture and what is known with it."""

    def publish_heatmap(self, pixels: NDArray[np.uint8], about: dict[str, Any]) -> None:
        """Show a heatmap, already over its own frame."""

    def publish_evidence(
        self, label: str, pixels: NDArray[np.uint8], about: dict[str, Any]
    ) -> None:
        """Show a frame that moved the exam."""

    def publish_status(self, status: dict[str, Any]) -> None:
        """Say how things stand without a picture."""


class Record(Protocol):
    """Where a live exam is written down."""

    def record(self, result: Result) -> None:
        """Write down what the engine said of a frame."""

    def event(self, name: str, fields: Mapping[str, Any]) -> None:
        """Write down what happened."""
