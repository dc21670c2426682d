"""What the engine process opens before it is told, and what it does with that."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from neurosono.engine.contracts.errors import BundleError
from neurosono.stream.judge.opened import Ahead, Opened
from neurosono.stream.judge.options import EngineOptions


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the bundles that were opened, one a time."""
    asked: list[str] = []
    real = Opened.of

    def of(options: EngineOptions) -> Opened:
        asked.append(options.bundle)
        return real(options)

    monkeypatch.setattr(Opened, "of", of)
    return asked


def test_what_was_expected_is_opened_once(bundle_root: Path, opened: list[str]) -> None:
    expected = EngineOptions(str(bundle_root), newest_wins=True)
    ahead = Ahead()
    ahead.open(expected)
    found = ahead.take(replace(expected, exam={"used": 3}, cam_hz=1.0))
    assert opened == [str(bundle_root)]
    assert found.bundle.root == bundle_root
    ahead.take(expected)
    assert len(opened) == 2, "another engine is another one"


@pytest.mark.parametrize("other", [{"members": 1}, {"threads": 1}, {"newest_wins": False}])
def test_whoever_is_told_something_else_does_that(
    bundle_root: Path, opened: list[str], other: dict[str, Any]
) -> None:
    expected = EngineOptions(str(bundle_root), newest_wins=True)
    ahead = Ahead()
    ahead.open(expected)
    found = ahead.take(replace(expected, **other))
    assert len(opened) == 2
    assert found.choice.backend.members == other.get("members", 2)


def test_a_guess_that_cannot_be_is_told_when_it_is_asked_for(
    tmp_path: Path, bundle_root: Path
) -> None:
    expected = EngineOptions(str(tmp_path / "absent"))
    ahead = Ahead()
    ahead.open(expected)
    with pytest.raises(BundleError, match="absent"):
        ahead.take(expected)
    assert ahead.take(EngineOptions(str(bundle_root))).bundle.root == bundle_root
