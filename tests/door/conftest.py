"""What every test of the front door may ask for."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import neurosono


@pytest.fixture(scope="session")
def opened(bundle_root: Path) -> neurosono.OpenBundle:
    """Return a small bundle with its engine open."""
    return neurosono.open_bundle(bundle_root)


@pytest.fixture(scope="session")
def region(opened: neurosono.OpenBundle) -> NDArray[np.uint8]:
    """Return the ultrasound region of a phantom's frame, (H, W) grey, that adds evidence."""
    pairs = neurosono.judge("phantom:normal?seed=1&seconds=1", opened)
    return next(picture.region for picture, result in pairs if result.used)
