"""Tabs of a real browser on a session's page, and what a person sees in them."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import psutil

from tests.support.chromium import ARGUMENTS, CHROMIUM
from tests.support.commands import wait_until

WAIT_MS, POLL_MS = 60_000, 50
NETWORK = "--utility-sub-type=network.mojom.NetworkService"

RECORDER = """
window.seen = [];
const record = (nowMs) => {
  const page = window.page;
  const words = document.getElementById("state-lit");
  if (page && page.status && words) {
    const { opacity, visibility } = getComputedStyle(words);
    const lit = opacity > 0.02 && visibility === "visible" && page.status.state !== null;
    const ageMs = (page.status.opinion_age_ms ?? 0) + page.silentMs(nowMs);
    window.seen.push([Date.now(), document.getElementById("ai").textContent, lit, ageMs]);
  }
  requestAnimationFrame(record);
};
requestAnimationFrame(record);
"""
"""In every paint: when it was, what is said of the AI, whether an opinion is seen, its age by the
clock of the very paint, as what fades goes by that one too."""


class Tab:
    """One tab, which remembers what it showed."""

    def __init__(self, page: Any) -> None:
        self._page = page
        self._oldest_ms = 0.0
        """Before it was loaded anew."""

    def await_on(self) -> None:
        """Wait until it showed a living AI, from now on; fails with what it says instead."""
        from playwright.sync_api import TimeoutError as WaitedTooLong

        script = """since => window.seen?.some(([at, ai]) => at >= since && ai === 'AI ON')"""
        begun_ms = time.time() * 1e3
        try:
            self._page.wait_for_function(script, arg=begun_ms, timeout=WAIT_MS, polling=POLL_MS)
        except WaitedTooLong as error:
            said = self._page.evaluate("() => document.body.innerText")
            raise AssertionError(f"the tab says {said[:400]!r}") from error

    def reload(self) -> None:
        """Load the page anew."""
        self._oldest_ms = self.look()
        self._page.reload()

    def sleep(self, seconds: float) -> None:
        """Let the browser put it to sleep, as it does with a tab that nobody looks at."""
        session = self._page.context.new_cdp_session(self._page)
        session.send("Page.setWebLifecycleState", {"state": "frozen"})
        time.sleep(seconds)
        session.send("Page.setWebLifecycleState", {"state": "active"})
        session.detach()

    def await_off(self, since_s: float) -> float:
        """Wait until it said that no AI is on; returns when, milliseconds after a moment."""
        script = """since => window.seen.some(([at, ai]) => at >= since && ai !== 'AI ON')"""
        self._page.wait_for_function(script, arg=since_s * 1e3, timeout=WAIT_MS, polling=POLL_MS)
        find = "since => window.seen.find(([at, ai]) => at >= since && ai !== 'AI ON')[0] - since"
        return float(self._page.evaluate(find, since_s * 1e3))

    def look(self) -> float:
        """Return the age of the oldest opinion that it showed since it was last asked."""
        script = """() => {
          const lit = window.seen.filter((one) => one[2]).map((one) => one[3]);
          window.seen = [];
          return Math.max(0, ...lit);
        }"""
        if self._page.is_closed():
            return self._oldest_ms
        oldest_ms = max(self._oldest_ms, float(self._page.evaluate(script)))
        self._oldest_ms = 0.0
        return oldest_ms

    def close(self) -> None:
        """Close it."""
        self._page.close()


class Browser:
    """A browser with one tab on a page, and more where they are asked for."""

    def __init__(self, url: str) -> None:
        from playwright.sync_api import sync_playwright

        self._url = url
        self._playwright = sync_playwright().start()
        chromium = self._playwright.chromium
        self._browser = chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        self._context = self._browser.new_context(viewport={"width": 1280, "height": 800})
        self._context.add_init_script(RECORDER)
        self.tab = self.open()

    def open(self) -> Tab:
        """Open another tab, which shows a living AI."""
        page = self._context.new_page()
        page.goto(self._url)
        tab = Tab(page)
        tab.await_on()
        return tab

    @contextlib.contextmanager
    def cut(self) -> Iterator[None]:
        """Let nothing in or out: the browser's network stands still, and nobody tells it so."""
        (network,) = wait_until(self._find_network)
        network.suspend()
        try:
            yield
        finally:
            network.resume()

    def close(self) -> None:
        """End it."""
        self._browser.close()
        self._playwright.stop()

    def _find_network(self) -> list[psutil.Process]:
        found = []
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if NETWORK in process.cmdline():
                    found.append(process)
        return found
