"""The objects in a viewer that people use: OHIF, in a real browser, out of a real PACS."""

import re
from collections.abc import Sequence
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

WAIT_MS = 120_000
BOX = "svg.svg-layer polyline"


@pytest.mark.slow
def test_ohif_opens_the_regions_on_their_frame(
    objects: list[Dataset], browser: Any, tmp_path: Path
) -> None:
    with serving_orthanc(tmp_path) as orthanc, serving_ohif(orthanc) as address:
        send_dicom(objects, parse_node(orthanc.node))
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        try:
            page.goto(f"{address}/viewer?StudyInstanceUIDs={objects[0].StudyInstanceUID}")
            await_words(page, "(1/6)")  # the exam in words comes first
            page.get_by_text("Skip all").first.click(timeout=WAIT_MS)  # what the viewer can do
            page.get_by_text("neurosono regions").first.dblclick(timeout=WAIT_MS)
            await_words(page, "(2/6)")  # the kept frame that the first region is of
            page.wait_for_selector(BOX, timeout=WAIT_MS, state="attached")
            drawn = page.eval_on_selector(BOX, "box => box.getAttribute('points')")
        finally:
            page.close()
    shown = measure([float(each) for each in re.findall(r"[\d.]+", drawn)])
    told = measure(next(each.GraphicData for each in walk(objects[2]) if "GraphicData" in each))
    assert shown[0] / shown[1] == pytest.approx(told[0] / told[1], rel=0.02)


def measure(points: Sequence[float]) -> tuple[float, float]:
    """Return width and height of a box."""
    x, y = points[::2], points[1::2]
    return float(max(x) - min(x)), float(max(y) - min(y))


def await_words(page: Any, words: str) -> None:
    script = "words => document.body.innerText.includes(words)"
    page.wait_for_function(script, arg=words, timeout=WAIT_MS)
