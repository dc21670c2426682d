"""The whole bench on the real processes, with a small bundle and a short clip."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from neurosono.engine.contracts.errors import InputError, RunError
from neurosono.scripts.bench import bench
from neurosono.stream.bench.page import draw_page
from tests.support.clips import write_clip
from tests.support.pages import EVIL, assert_harmless, poison

pytestmark = pytest.mark.slow

STAGES = (
    *("decode", "screen", "preprocess", "sample", "send", "wait"),
    *("network", "exam", "page"),
)


@pytest.fixture(scope="module")
def folder(bundle_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `report.json` and `report.html` of one bench with a floor."""
    folder = tmp_path_factory.mktemp("bench")
    bench(
        bundle=str(bundle_root),
        floor=True,
        seconds=2.0,
        rounds=1,
        json=folder / "report.json",
        html=folder / "report.html",
    )
    return folder


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return found


def test_the_report_has_the_words_that_scripts_rely_on(report: dict[str, Any]) -> None:
    assert report["closed_loop"]["fps"] > 0
    assert report["floor"]["fps"] > 0
    assert report["network_floor"]["fps"] > 0
    assert tuple(report["stages"]) == STAGES
    assert all(found["p50"] <= found["max"] for found in report["stages"].values())
    ratio = report["ratios"]["closed_loop_fps_to_floor"]
    expected = report["closed_loop"]["fps"] / report["floor"]["fps"]
    assert ratio["median"] == pytest.approx(expected, rel=1e-3)
    assert report["engine"]["members"] == 2
    assert "not for diagnosis" in report["notice"]


def test_lossless_means_every_picture_once_and_in_order(report: dict[str, Any]) -> None:
    (frames,) = report["closed_loop"]["frames"]
    assert frames["decoded"] == frames["displayed"] == frames["sampled"] == 60
    assert report["closed_loop"]["glass"] == {
        "shown": 60,
        "unreadable": 0,
        "not_the_picture_it_claims": 0,
        "shown_twice": 0,
        "out_of_order": 0,
    }


def test_in_real_time_what_is_seen_is_what_is_claimed(report: dict[str, Any]) -> None:
    opened = report["open_loop"]
    (frames,) = opened["frames"]
    assert frames["decoded"] == frames["displayed"] + frames["dropped"] == 60
    had = opened["pictures"] + opened["not_measured_at_start"]
    assert opened["glass"]["shown"] == had <= frames["displayed"], "the page's newest wins, too"
    assert opened["drops"]["pictures"] <= 60 - had
    faults = {name: count for name, count in opened["glass"].items() if name != "shown"}
    assert set(faults.values()) == {0}
    assert opened["glass_age_ms"] == opened["age_ms"]
    assert opened["age_ms"]["p50"] > 0
    decoding_ms = report["stages"]["decode"]["p50"]
    assert opened["age_ms"]["p50"] > decoding_ms, "nothing is decoded before it is due"


def test_all_three_processes_are_accounted_for(report: dict[str, Any]) -> None:
    for loop in ("closed_loop", "open_loop"):
        memory = report[loop]["memory_mib"]
        assert set(memory["resident"]) == {"display", "capture", "engine"}
        assert memory["together"] > 0


class Outside(HTMLParser):
    """Collects what a page would load from elsewhere, and whether its tags pair up."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [f"{tag} {name}" for name, _ in attrs if name in ("src", "href", "data")]
        if tag not in ("meta", "line", "rect", "polyline"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("line", "rect", "polyline"):
            assert self.open.pop() == tag


def test_the_page_needs_nothing_from_outside(folder: Path, report: dict[str, Any]) -> None:
    text = (folder / "report.html").read_text()
    page = Outside()
    page.feed(text)
    assert page.loads == []
    assert page.open == []
    assert "<script" not in text
    assert "not for diagnosis" in text
    assert f"{report['closed_loop']['fps']:.1f} fps" in text
    assert len(re.findall("<polyline", text)) == 3
    assert all(f"<th>{stage}</th>" in text for stage in STAGES)


def test_no_word_of_a_report_becomes_a_tag(report: dict[str, Any]) -> None:
    metric = {"name": "x", "median": 1.0, "low": None, "high": None, "verdict": "y"}
    comparison = {"verdict": "v", "basis": "b", "cautions": ["c"], "metrics": [metric]}
    opened = report["open_loop"] | {"glass": {EVIL: 1}}
    said = {name: poison(report[name]) for name in ("source", "engine", "host", "measured_at")}
    hostile = report | said | {"comparison": poison(comparison), "open_loop": opened}
    # backend and precision; source, processor, cores, when; glass; five words of the comparison
    assert assert_harmless(draw_page(hostile | {"notice": EVIL})) == 2 + 4 + 1 + 1 + 5


def test_the_page_does_without_what_was_not_measured(report: dict[str, Any]) -> None:
    opened = report["open_loop"] | {"glass": None, "answer_age_ms": None, "age_ms": None}
    opened["cdf"] = {"age": [], "answer": []}
    bare = report | {"floor": None, "network_floor": None, "ratios": {}, "open_loop": opened}
    assert "nothing was measured" in draw_page(bare | {"timeline": []})


def test_a_budget_that_is_exceeded_is_exit_1_and_named(
    bundle_root: Path, folder: Path, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", pictures=30)
    budget = tmp_path / "budget.toml"
    budget.write_text("closed_loop.fps_min = 1e9\nopen_loop.drops.pictures_max = 1000\n")
    out = tmp_path / "report.json"
    with pytest.raises(RunError, match=r"closed_loop.fps is .* >= 1e\+09") as raised:
        bench(
            str(clip),
            bundle=str(bundle_root),
            rounds=1,
            budget=budget,
            compare=folder / "report.json",
            members=1,
            json=out,
        )
    assert raised.value.exit_code == 1
    assert "drops" not in str(raised.value)
    found = json.loads(out.read_text())  # the report is there all the same
    assert found["source"] == "a source of the user's"
    assert found["open_loop"]["glass"] is None
    assert found["comparison"]["basis"] == "in turns", "the older report had two members"
    assert found["comparison"]["verdict"] == "cannot tell"
    assert found["rival"]["settings"]["members"] is None
    assert str(clip) not in out.read_text()


def test_a_recording_is_encoded_and_that_is_a_stage(bundle_root: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", pictures=24)
    out = tmp_path / "report.json"
    bench(str(clip), bundle=str(bundle_root), rounds=1, record=True, json=out)
    found = json.loads(out.read_text())
    assert found["closed_loop"]["stages"]["display"]["p50"] > 0.01


def test_what_cannot_be_benched_is_exit_2(bundle_root: Path, tmp_path: Path) -> None:
    source = "phantom:normal?seconds=1"
    with pytest.raises(InputError, match="needs one clip in a file"):
        bench(source, bundle=str(bundle_root), floor=True)
    with pytest.raises(InputError, match="--rounds must be 1 to 100"):
        bench(source, bundle=str(bundle_root), rounds=0)
    with pytest.raises(InputError, match="there is no"):
        bench("absent.mp4", bundle=str(bundle_root), rounds=1)
    with pytest.raises(InputError, match="the floor runs on OpenVINO"):
        bench(bundle=str(bundle_root), floor=True, engine="torch", seconds=1.0)
