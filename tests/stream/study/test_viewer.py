"""The objects in a viewer that people use: OHIF, in a real browser, out of a real PACS."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from neurosono.stream.hospital.node import parse_node
from neurosono.stream.study.send import send_dicom
from tests.browser.conftest import browser as browser
from tests.stream.study.test_objects import walk
from tests.support.ohif import serving_ohif
from tests.support.orthanc import serving_orthanc

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

WHOLE_S = 240.0
"""For all of it: the viewer draws by the processor alone."""
BOX = "svg.svg-layer polyline"


@dataclass
class Viewer:
    """A page of it, with one deadline for whatever is waited for."""

    page: Any
    until_s: float = field(default_factory=lambda: time.monotonic() + WHOLE_S)

    @property
    def left_ms(self) -> float:
        return max(1.0, 1000 * (self.until_s - time.monotonic()))

    def await_words(self, words: str) -> None:
        script = "words => document.body.innerText.includes(words)"
        self.page.wait_for_function(script, arg=words, timeout=self.left_ms, polling=200)

    def tell(self) -> str:
        """Return what it shows, for whoever looks for what went wrong."""
        return str(self.page.evaluate("document.body.innerText"))[:2000]


@pytest.mark.slow
def test_ohif_opens_the_regions_on_their_frame(
    objects: list[Dataset], browser: Any, tmp_path: Path
) -> None:
    with serving_orthanc(tmp_path) as orthanc, serving_ohif(orthanc) as address:
        send_dicom(objects, parse_node(orthanc.node))
        page = browser.new_page(viewport={"width": 1000, "height": 700})
        viewer = Viewer(page)
        try:
            study = objects[0].StudyInstanceUID
            page.goto(f"{address}/viewer?StudyInstanceUIDs={study}", timeout=viewer.left_ms)
            viewer.await_words("(1/6)")  # the exam in words comes first
            skip = page.get_by_text("Skip all").first  # what the viewer can do
            skip.click(timeout=viewer.left_ms)
            page.get_by_text("neurosono regions").first.dblclick(timeout=viewer.left_ms)
            viewer.await_words("(2/6)")  # the kept frame that the first region is of
            page.wait_for_selector(BOX, timeout=viewer.left_ms, state="attached")
            drawn = page.eval_on_selector(BOX, "box => box.getAttribute('points')")
        except sync_api.Error as error:
            pytest.fail(f"{error}\nthe viewer shows: {viewer.tell()}")
        finally:
            page.close()
    shown = measure([float(each) for each in re.findall(r"[\d.]+", drawn)])
    told = measure(next(each.GraphicData for each in walk(objects[2]) if "GraphicData" in each))
    assert shown[0] / shown[1] == pytest.approx(told[0] / told[1], rel=0.02)


def measure(points: Sequence[float]) -> tuple[float, float]:
    """Return width and height of a box."""
    x, y = points[::2], points[1::2]
    return float(max(x) - min(x)), float(max(y) - min(y))
