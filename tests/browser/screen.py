"""One page in a real browser, what it is told, and the eyes of a test."""

from pathlib import Path
from typing import Any

from neurosono.stream.page.hub import Command, Hub
from neurosono.stream.page.web import WebServer
from tests.browser.publisher import Publisher

SIZES = ((1920, 1080), (1024, 768))
WAIT_MS = 60_000


class Screen:
    """One page, what it is told, and the eyes of the test."""

    def __init__(self, page: Any, hub: Hub, publisher: Publisher, server: WebServer) -> None:
        self.page, self.hub, self.publisher, self.server = page, hub, publisher, server
        self.url = server.url
        self.asked: list[Command] = []

    def open(self) -> None:
        self.page.goto(self.url)
        self.await_words("#ai", "AI ON")
        self.await_true("page.picture.shown !== null")

    def words(self, selector: str) -> str:
        return str(self.page.inner_text(selector))

    def await_words(self, selector: str, words: str) -> None:
        script = "([s, w]) => document.querySelector(s).innerText.includes(w)"
        self.page.wait_for_function(script, arg=[selector, words], timeout=WAIT_MS)

    def await_true(self, expression: str) -> None:
        """Wait until it is true; as a function, for the page's policy forbids to evaluate text."""
        self.page.wait_for_function(f"() => {expression}", timeout=WAIT_MS)

    def visible(self, selector: str) -> bool:
        """Whether a person sees any of it: laid out, not hidden, not faded out."""
        script = """selector => [...document.querySelectorAll(selector)].some((one) =>
            one.checkVisibility({ opacityProperty: true, visibilityProperty: true }))"""
        return bool(self.page.evaluate(script, selector))

    def await_command(self, name: str) -> Command:
        for _ in range(200):
            self.asked += self.hub.commands()
            found = [command for command in self.asked if command.name == name]
            if found:
                return found[-1]
            self.page.wait_for_timeout(20)
        raise AssertionError(f"no command {name!r}, only {self.asked}")

    def shoot(self, folder: Path, name: str) -> None:
        """Take a picture at both sizes; nothing may lie outside the screen at either."""
        for width, height in SIZES:
            self.page.set_viewport_size({"width": width, "height": height})
            overflow = self.page.evaluate(OVERFLOW)
            assert overflow == [], f"outside the screen at {width}x{height}: {overflow}"
            self.page.screenshot(path=folder / f"{name}-{width}x{height}.png")


OVERFLOW = """() => [...document.querySelectorAll("body *")].filter((one) => {
  if (one.closest("#kept-cells") || one.closest("svg") || !one.checkVisibility()) return false;
  const box = one.getBoundingClientRect();
  return box.right > innerWidth + 1 || box.bottom > innerHeight + 1 || box.left < -1;
}).map((one) => one.id || one.className || one.tagName)"""
