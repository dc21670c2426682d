"""From a service to a region, by arithmetic that anybody can do again."""

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest

from neurosono.engine.contracts.errors import InputError
from neurosono.scripts.scale import _read_service, measure_traffic
from neurosono.stream.bench import scale
from neurosono.stream.bench.queueing import draw_constant, draw_measured
from neurosono.stream.bench.scale import (
    Region,
    Traffic,
    plan_region,
    tabulate_capacity,
    tabulate_loads,
)

FRAME = Traffic(50_000, 10_000)


def test_a_region_needs_what_its_scanners_ask_for() -> None:
    found = plan_region(Region(100, 1.0, site=10, link_mbit=100.0), FRAME, 25.0, per_server=7)
    assert found["active"] == 100
    assert found["servers"] == 15 + 2, "100 / 7, and one in ten beside"
    assert found["scanner_mbit"] == {"up": 10.0, "down": 2.0}
    assert found["region_gbit"]["up"] == 1.0
    assert found["site"] == {"scanners": 10, "active": 10, "link_carries": 10}
    assert next(iter(found["used_shares"])) == "a site's link", "it is full: it breaks first"
    assert found["used_shares"]["a server's port"] == pytest.approx(0.007)


def test_a_server_that_serves_nobody_serves_no_region() -> None:
    found = plan_region(Region(), FRAME, 25.0, per_server=0)
    assert found["servers"] is None


def test_twice_the_workers_serve_at_least_twice_the_scanners() -> None:
    limits = {"p99_ms": 100.0, "judged": 0.95}
    rows = tabulate_capacity(draw_constant(20.0), (10.0,), 5.0, 1, limits)
    counts = [row["scanners"] for row in rows]
    assert counts[0] >= 3
    for few, many in pairwise(counts):
        assert many >= 2 * few
    assert counts[-1] * limits["judged"] <= 16 * 5, "never more than a server can do"


def test_beyond_capacity_answers_stay_young_and_fewer_frames_get_one() -> None:
    rows = tabulate_loads(draw_constant(10.0), 10.0, 25.0, 2, 10.0, 1)
    shares = [row["judged_share"] for row in rows]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.99
    for row in rows:
        assert row["age_ms"]["p99_9"] < 400.0, "each has one request under way"
        if row["asked"] >= 2.0:
            assert row["judged_share"] == pytest.approx(1 / row["asked"], rel=0.1)


def test_too_short_a_queue_refuses_what_the_server_has_time_for() -> None:
    limits = {"p99_ms": 150.0, "judged": 0.95}
    asked = (draw_constant(10.0), (5.0,), 20.0, 1, limits)
    short, long = (tabulate_capacity(*asked, queue)[0] for queue in (2, None))
    assert short["scanners"] < long["scanners"] / 1.5
    assert short["busy"] < 0.7 < long["busy"]


def test_services_are_read_from_either_report(tmp_path: Path) -> None:
    ms = {"p50": 1.0, "p95": 2.0, "p99": 3.0, "max": 4.0}
    for report in ({"network_floor": {"ms": ms}}, {"alone": {"network_ms": ms}}):
        (tmp_path / "r.json").write_text(json.dumps(report))
        assert _read_service(tmp_path / "r.json", None) == ms
    assert _read_service(None, "1,2,3,4") == ms
    (tmp_path / "r.json").write_text("[]")
    with pytest.raises(InputError, match="no report"):
        _read_service(tmp_path / "r.json", None)
    with pytest.raises(InputError, match="give a report"):
        _read_service(None, None)


def test_traffic_is_what_travels(bundle_root: Path) -> None:
    traffic = measure_traffic(str(bundle_root))
    assert traffic.question >= 64 * 64
    assert traffic.answer > 2 * 5 * 4


def test_the_pages_tables_are_what_its_command_says(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[3] / "docs" / "scale.md").read_text()
    found = re.search(r"--service ([\d.,]+) --seconds (\d+)", page)
    assert found is not None
    draw, seconds = draw_measured(_read_service(None, found[1])), float(found[2])
    monkeypatch.setattr(scale, "WORKERS", (1, 2))
    limits = {"p99_ms": 150.0, "judged": 0.95}
    columns = [tabulate_capacity(draw, (5.0, 25.0), seconds, 1, limits, q) for q in (None, 2)]
    most = {each["rate_hz"]: each["scanners"] for each in columns[0] if each["workers"] == 1}
    for workers in (1, 2):
        counts = [e["scanners"] for each in columns for e in each if e["workers"] == workers]
        assert f"| {workers} | {' | '.join(map(str, counts))} |" in page
    regions = [plan_region(Region(), measure_traffic("demo"), hz, most[hz]) for hz in (5.0, 25.0)]
    servers = [f"{each['servers']:,} ({each['of_them_spare']})" for each in regions]
    assert f"(one in ten) | {' | '.join(servers)} |" in page
    frames = [f"{each['frames_a_second']:,}" for each in regions]
    assert f"| frames a second | {' | '.join(frames)} |" in page
    ports = [f"{each['port_carries']:,}" for each in regions]
    assert f"port of 10 Gbit/s | {' | '.join(ports)} |" in page
