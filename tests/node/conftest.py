"""What tests of a node share: a PACS, and the pictures of a cine."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.cines import draw_frames
from tests.support.orthanc import Orthanc, serving_orthanc


@pytest.fixture(scope="package")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with serving_orthanc(tmp_path_factory.mktemp("pacs")) as orthanc:
        yield orthanc


@pytest.fixture(scope="package")
def frames() -> NDArray[np.uint8]:
    return draw_frames(30)
