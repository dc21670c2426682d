"""An HTML page as a browser reads it."""

from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any


class Page(HTMLParser):
    """A page as a browser reads it: its words, its tags, and whatever it would fetch."""

    VOID = frozenset({"meta", "br", "img"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.sources: list[str] = []
        self.words = ""
        self.feed(text)
        assert not self.open, "every tag is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "data")]
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words += data + " "


EVIL = "<script>alert('1')</script>&\"'"


def poison(found: Any) -> Any:
    """Return JSON with every string in it hostile, and every key that names the same thing."""
    names = set(_list_strings(found))

    def spoil(part: Any) -> Any:
        if isinstance(part, dict):
            return {EVIL + k if k in names else k: spoil(value) for k, value in part.items()}
        if isinstance(part, list | tuple):
            return [spoil(each) for each in part]
        return EVIL + part if isinstance(part, str) else part

    return spoil(found)


def _list_strings(found: Any) -> Iterator[str]:
    if isinstance(found, str):
        yield found
    elif isinstance(found, dict | list | tuple):
        for each in found.values() if isinstance(found, dict) else found:
            yield from _list_strings(each)


def assert_harmless(text: str) -> int:
    """Fail where a hostile string became a tag; return how many of them stand as words."""
    page = Page(text)
    assert "script" not in page.tags
    return page.words.count(EVIL)
