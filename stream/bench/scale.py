"""From a measured service to a region: how many scanners, at which tail, and what breaks first."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from neurosono.engine.contracts.errors import InputError
from neurosono.stream.bench.queueing import (
    Draw,
    Plan,
    count_active,
    count_scanners,
    describe,
    simulate,
)

LOADS = (0.5, 0.8, 0.9, 1.0, 1.2, 2.0, 4.0)
"""What is asked, in parts of what a server can do."""

WORKERS = (1, 2, 4, 8, 16)
SPARE_SHARE = 0.1
"""Servers beside those that are needed, at least one: some are down, or being brought up."""

PATIENCE_MS = 300.0
"""How long a request waits at a server at most, as `neurosono export triton` configures it."""


@dataclass(frozen=True)
class Traffic:
    """What a frame costs on the wire, bytes: its question, and its answer."""

    question: int
    answer: int


@dataclass(frozen=True)
class Region:
    """Scanners of a region: how many, which share of the busiest hour each scans, and its links.

    `site` are the scanners behind one link of `link_mbit`; a server has `port_mbit`.
    """

    scanners: int = 5000
    share: float = 0.4
    site: int = 20
    link_mbit: float = 100.0
    port_mbit: float = 10_000.0

    def __post_init__(self) -> None:
        if min(self.scanners, self.site) < 1 or min(self.link_mbit, self.port_mbit) <= 0:
            raise InputError("a region has scanners, sites and links: all above 0")


def plan_server(
    rate_hz: float, workers: int, seconds: float, seed: int, queue: int | None = None
) -> Plan:
    """Return a server of `workers`, at which `queue` requests may wait (None: one a scanner)."""
    return Plan(
        1,
        workers=workers,
        rate_hz=rate_hz,
        before_ms=5.0,
        network_ms=0.5,
        queue=queue,
        patience_ms=PATIENCE_MS,
        seconds=seconds,
        seed=seed,
    )


def tabulate_capacity(
    draw: Draw,
    rates_hz: Sequence[float],
    seconds: float,
    seed: int,
    limits: dict[str, float],
    queue: int | None = None,
) -> list[dict[str, Any]]:
    """Return, by rate and workers, how many scanners one server serves within `limits`."""
    rows = []
    for rate_hz in rates_hz:
        for workers in WORKERS:
            plan = plan_server(rate_hz, workers, seconds, seed, queue)
            count, outcome = count_scanners(
                plan, draw, p99_ms=limits["p99_ms"], judged=limits["judged"]
            )
            row: dict[str, Any] = {"rate_hz": rate_hz, "workers": workers, "scanners": count}
            rows.append(row | ({} if outcome is None else describe(outcome)))
    return rows


def tabulate_loads(
    draw: Draw, mean_ms: float, rate_hz: float, workers: int, seconds: float, seed: int
) -> list[dict[str, Any]]:
    """Return what becomes of frames as ever more scanners ask one server."""
    rows = []
    for load in LOADS:
        scanners = max(1, round(load * workers * 1e3 / mean_ms / rate_hz))
        plan = replace(plan_server(rate_hz, workers, seconds, seed), scanners=scanners)
        asked = scanners * rate_hz * mean_ms / 1e3 / workers
        rows.append(
            {"asked": round(asked, 3), "scanners": scanners, **describe(simulate(plan, draw))}
        )
    return rows


def plan_region(
    region: Region, traffic: Traffic, rate_hz: float, per_server: int
) -> dict[str, Any]:
    """Return what a region needs, and each limit in the order in which it is reached.

    `per_server` scanners are served by one server, 0: none is, and the region cannot be.
    """
    active = count_active(region.scanners, region.share)
    up_mbit = rate_hz * traffic.question * 8 / 1e6
    down_mbit = rate_hz * traffic.answer * 8 / 1e6
    needed = math.ceil(active / per_server) if per_server else None
    spare = None if needed is None else max(1, math.ceil(needed * SPARE_SHARE))
    per_link = int(region.link_mbit / max(up_mbit, down_mbit))
    per_port = int(region.port_mbit / max(up_mbit, down_mbit))
    at_site = count_active(region.site, region.share)
    limits = [
        ("a site's link", at_site / per_link if per_link else math.inf),
        ("a server's port", per_server / per_port if per_port else math.inf),
    ]
    return {
        "scanners": region.scanners,
        "active": active,
        "servers": None if needed is None or spare is None else needed + spare,
        "of_them_spare": spare,
        "frames_a_second": round(active * rate_hz),
        "scanner_mbit": {"up": round(up_mbit, 2), "down": round(down_mbit, 2)},
        "region_gbit": {
            "up": round(active * up_mbit / 1e3, 2),
            "down": round(active * down_mbit / 1e3, 2),
        },
        "site": {"scanners": region.site, "active": at_site, "link_carries": per_link},
        "port_carries": per_port,
        "used_shares": {name: round(used, 3) for name, used in sorted(limits, key=lambda x: -x[1])},
    }
