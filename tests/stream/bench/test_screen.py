"""Glass to glass: what is said of made runs, and one real run with a real browser."""

import os
import shutil
from pathlib import Path

import psutil
import pytest

from neurosono.engine.contracts.errors import InputError
from neurosono.stream.bench.browser import Browser, find_browser
from neurosono.stream.bench.screen import (
    ScreenTrace,
    Seen,
    describe_screen,
    measure_screen,
)
from neurosono.stream.bench.settings import BenchSettings
from tests.support.commands import wait_until

MS = 1_000_000
CHROMIUM = os.environ.get("NEUROSONO_CHROMIUM", "/usr/bin/chromium")


def make_trace() -> ScreenTrace:
    """Return two rounds of three pictures, 40 ms apart, of which the fourth was never painted."""
    trace = ScreenTrace(period=3, begun_ns=1)
    for index in range(6):
        left_ns = (1000 + 40 * index) * MS
        trace.left_ns.append(left_ns)
        captured_ns = left_ns + 5 * MS
        trace.pictures[index] = Seen(
            number=index % 3,
            captured_ns=captured_ns,
            handed_ns=captured_ns + 4 * MS,
            stage_ms={"decode": 2.0, "screen": 1.0},
            painted_ns=None if index == 3 else captured_ns + 4 * MS + (10 + index) * MS,
        )
    return trace


def test_a_picture_is_as_old_as_the_round_that_it_came_from() -> None:
    told = describe_screen([make_trace()])
    assert told["glass_ms"]["count"] == 5
    assert told["glass_ms"]["max"] == pytest.approx(5 + 4 + 15)
    assert told["stages"]["way"]["max"] == pytest.approx(5)
    assert told["stages"]["capture"]["p50"] == pytest.approx(4)
    assert told["stages"]["page"]["max"] == pytest.approx(15)
    assert told["pictures"] == {"sent": 6, "handed": 6, "painted": 5, "unreadable": 0}


def test_what_came_before_all_was_warm_is_not_measured() -> None:
    trace = make_trace()
    trace.begun_ns = trace.left_ns[4]
    trace.answers = [(trace.left_ns[0], 900.0), (trace.left_ns[5], 30.0)]
    told = describe_screen([trace])
    assert told["pictures"]["handed"] == 2
    assert told["answer_ms"]["max"] == 30.0


def test_a_picture_without_a_number_has_no_age_and_is_counted() -> None:
    trace = make_trace()
    trace.pictures[2].number = None
    told = describe_screen([trace])
    assert told["pictures"]["unreadable"] == 1
    assert told["glass_ms"]["count"] == 4


def test_a_browser_that_is_not_there_is_said() -> None:
    with pytest.raises(InputError, match="no browser at /nowhere/chromium: install chromium"):
        find_browser("/nowhere/chromium")


@pytest.mark.skipif(shutil.which(CHROMIUM) is None, reason=f"no browser at {CHROMIUM}")
def test_a_real_browser_paints_what_a_scanner_sends() -> None:
    settings = BenchSettings(seconds=2.0, rounds=1, rate_hz=15.0, size_px=(640, 480))
    told = measure_screen(settings, CHROMIUM)
    counts = told["pictures"]
    assert 0 < counts["painted"] <= counts["handed"]
    assert counts["unreadable"] == 0
    parts = told["stages"]
    assert told["glass_ms"]["p50"] > parts["page"]["p50"] > 0
    assert told["frames"][0]["decoded"] >= counts["handed"]
    ours = psutil.Process().children(recursive=True)
    assert not [each for each in ours if "neurosono-browser" in " ".join(each.cmdline())]


@pytest.mark.skipif(shutil.which(CHROMIUM) is None, reason=f"no browser at {CHROMIUM}")
def test_a_closed_browser_leaves_nothing_behind() -> None:
    browser = Browser(CHROMIUM, "about:blank")
    profile = Path(browser.profile)
    wait_until(lambda: profile.is_dir() and list(profile.iterdir()))
    browser.close()
    wait_until(
        lambda: not [p for p in psutil.process_iter(["cmdline"]) if str(profile) in str(p.info)]
    )
    assert not profile.is_dir()
