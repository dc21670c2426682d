"""The objects in a viewer that people use: OHIF, in a real browser, out of a real PACS."""

from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from neurosono.stream.hospital.node import parse_node
from neurosono.stream.study.send import send_dicom
from tests.browser.conftest import browser as browser
from tests.support.ohif import serving_ohif
from tests.support.orthanc import serving_orthanc

WAIT_MS = 120_000


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
        finally:
            page.close()


def await_words(page: Any, words: str) -> None:
    script = "words => document.body.innerText.includes(words)"
    page.wait_for_function(script, arg=words, timeout=WAIT_MS)
