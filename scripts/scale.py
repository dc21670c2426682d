"""`python -m neurosono.scripts.scale`: what many scanners need, simulated from measured services.

    neurosono bench --rounds 3 --json bench.json
    python -m neurosono.scripts.scale bench.json --json scale.json

`docs/scale.md` has what came out, and what may be concluded from it.
"""

import json as json_module
from pathlib import Path
from typing import Annotated, Any

import typer

from neurosono.engine.contracts.errors import InputError, NeurosonoError


def scale(
    measured: Annotated[
        Path | None,
        typer.Argument(help="A report of `bench` or of `bench --scanners`; its network's times."),
    ] = None,
    service: Annotated[
        str | None, typer.Option(help="Instead: p50,p95,p99,max of a service, ms; as of a GPU.")
    ] = None,
    bundle: Annotated[
        str, typer.Option(help="Whose answers travel: a folder, or `demo`.")
    ] = "demo",
    rates: Annotated[str, typer.Option(help="Frames a second that a scanner asks for.")] = "5,25",
    scanners: Annotated[int, typer.Option(help="Scanners of the region.")] = 5000,
    share: Annotated[float, typer.Option(help="Share of the time that each scans.")] = 0.4,
    site: Annotated[int, typer.Option(help="Scanners behind one link.")] = 20,
    link_mbit: Annotated[float, typer.Option(help="That link.")] = 100.0,
    p99_ms: Annotated[float, typer.Option(help="What 99 answers in 100 may be old.")] = 150.0,
    judged: Annotated[float, typer.Option(help="Share of frames to be answered.")] = 0.95,
    seconds: Annotated[float, typer.Option(help="Simulated time of each try.")] = 20.0,
    queue: Annotated[
        int, typer.Option(help="Requests that may wait at the server; 0: one a scanner.")
    ] = 0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same tables.")] = 1,
    json: Annotated[Path | None, typer.Option(help="Write it there; - for stdout.")] = None,
) -> None:
    """Say how many scanners a server serves, and what a region needs."""
    from neurosono.scripts.console import console, write_json_report
    from neurosono.stream.bench.queueing import draw_measured
    from neurosono.stream.bench.scale import Region, plan_region, tabulate_capacity, tabulate_loads

    summary = _read_service(measured, service)
    draw, rates_hz = draw_measured(summary), [float(each) for each in rates.split(",")]
    limits = {"p99_ms": p99_ms, "judged": judged}
    traffic = measure_traffic(bundle)
    capacity = tabulate_capacity(draw, rates_hz, seconds, seed, limits, queue or None)
    region = Region(scanners, share, site, link_mbit)
    most = {each["rate_hz"]: each for each in capacity if each["workers"] == 1}
    report: dict[str, Any] = {
        "service_ms": summary,
        "limits": limits,
        "seed": seed,
        "queue": queue or None,
        "traffic_bytes": vars(traffic),
        "capacity": capacity,
        "loads": {
            f"{rate_hz:g}": tabulate_loads(
                draw, summary.get("mean", summary["p50"]), rate_hz, 4, seconds, seed
            )
            for rate_hz in rates_hz
        },
        "region": {
            f"{rate_hz:g}": plan_region(region, traffic, rate_hz, most[rate_hz]["scanners"])
            for rate_hz in rates_hz
        },
    }
    for table in draw_tables(report):
        console.print(table)
    write_json_report(json, report)


def _read_service(measured: Path | None, service: str | None) -> dict[str, float]:
    """Return p50, p95, p99 and max of a service in ms, of whichever was given."""
    if (measured is None) == (service is None):
        raise InputError("give a report of `neurosono bench`, or --service p50,p95,p99,max")
    if service is not None:
        values = [float(each) for each in service.split(",")]
        if len(values) != 4:
            raise InputError(f"--service takes four times in ms, found {service!r}")
        return dict(zip(("p50", "p95", "p99", "max"), values, strict=True))
    assert measured is not None
    try:
        report = json_module.loads(measured.read_text())
        found = report["alone" if "alone" in report else "network_floor"]
        summary: dict[str, float] = found["network_ms" if "alone" in report else "ms"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{measured} is no report of `neurosono bench`: {error!r}") from error
    return summary


def measure_traffic(bundle: str) -> Any:
    """Return what a frame of a bundle costs on the wire, by asking its engine once."""
    import numpy as np

    from neurosono.engine.bundle import Bundle
    from neurosono.engine.choice import open_engine
    from neurosono.stream.bench.scale import Traffic

    loaded = Bundle.load(bundle)
    size_px = loaded.manifest.preprocessing.size_px
    backend = open_engine(loaded, threads=1).backend
    answer = backend.infer(np.zeros((1, size_px, size_px), np.uint8))
    heads = 700  # HTTP's and the protocol's, either way: 560 to 690 bytes of the demo bundle
    return Traffic(size_px**2 + heads, sum(each.nbytes for each in vars(answer).values()) + heads)


def draw_tables(report: dict[str, Any]) -> list[Any]:
    """Return the report as tables for a terminal."""
    from rich.table import Table

    capacity = Table(title="One server", title_justify="left")
    for name in ("a second", "workers", "scanners", "p50 / p99", "answered", "busy"):
        capacity.add_column(name, justify="right")
    for row in report["capacity"]:
        if "age_ms" in row:
            ages = f"{row['age_ms']['p50']} / {row['age_ms']['p99']} ms"
            more = (ages, f"{row['judged_share']:.3f}", f"{row['busy']:.2f}")
        else:
            more = ("-", "-", "-")
        capacity.add_row(f"{row['rate_hz']:g}", f"{row['workers']}", f"{row['scanners']}", *more)
    loads = Table(title="Ever more scanners on four workers", title_justify="left")
    for name in (
        "a second",
        "asked",
        "scanners",
        "p50 / p99 / p99.9",
        "answered",
        "refused",
        "fairness",
    ):
        loads.add_column(name, justify="right")
    for rate, rows in report["loads"].items():
        for row in rows:
            age = row["age_ms"]
            loads.add_row(
                *(rate, f"{row['asked']:.2f}", f"{row['scanners']}"),
                f"{age['p50']} / {age['p99']} / {age['p99_9']} ms",
                *(f"{row['judged_share']:.3f}", f"{row['failed']}", f"{row['fairness']:.3f}"),
            )
    region = Table(title="A region", title_justify="left", show_header=False)
    for rate, found in report["region"].items():
        for name, value in found.items():
            region.add_row(f"{rate} a second: {name.replace('_', ' ')}", f"{value}")
    return [capacity, loads, region]


if __name__ == "__main__":
    try:
        typer.run(scale)
    except NeurosonoError as error:
        typer.secho(f"scale: {error}", err=True)
        raise SystemExit(error.exit_code) from error
