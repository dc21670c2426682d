"""A browser for the tests of the page; without one they are skipped, visibly."""

import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from neurosono.stream.page.hub import Hub
from neurosono.stream.page.web import WebServer
from tests.browser.publisher import Publisher, draw_regions
from tests.browser.screen import Screen
from tests.support.chromium import ARGUMENTS, CHROMIUM


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if shutil.which(CHROMIUM) is None:
        pytest.skip(f"no browser at {CHROMIUM}: install chromium or set NEUROSONO_CHROMIUM")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def regions() -> list[np.ndarray]:
    return draw_regions(8)


@pytest.fixture
def screen(browser: Any, regions: list[np.ndarray]) -> Iterator[Screen]:
    hub = Hub()
    server = WebServer(hub)
    server.start()
    errors: list[str] = []
    page = browser.new_page(viewport={"width": 1920, "height": 1080})
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    try:
        with Publisher(hub, regions) as publisher:
            yield Screen(page, hub, publisher, server)
    finally:
        page.close()
        server.stop()
    lost = ("ERR_CONNECTION", "WebSocket connection")  # where a test takes the server away
    assert [error for error in errors if not any(one in error for one in lost)] == []
