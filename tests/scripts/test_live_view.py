"""The table of a session without a page says no more than a page would."""

import pytest
from rich.console import Console

from neurosono.scripts.live_view import _tabulate
from neurosono.stream.page.hub import Hub
from tests.browser.publisher import make_status


def draw(**changes: object) -> str:
    hub = Hub()
    hub.publish_status(make_status(1, **changes))
    console = Console(width=120)
    with console.capture() as said:
        console.print(_tabulate(hub))
    return said.get()


def test_what_is_known_is_told() -> None:
    assert "64%" in draw()
    assert "ambiguous" in draw()


@pytest.mark.parametrize(
    "changes",
    [{"mode": "second-read", "ended": False}, {"ai": "AI OFF", "ai_reason": "the engine is gone"}],
)
def test_what_a_page_withholds_is_not_told(changes: dict[str, object]) -> None:
    said = draw(alarm=True, leaning="normal", planes={"head": 3}, **changes)
    assert "%" not in said
    assert not any(word in said for word in ("ambiguous", "any anomaly", "leans", "plane:"))


def test_a_second_read_that_has_ended_is_told() -> None:
    assert "64%" in draw(mode="second-read", ended=True)
