"""`neurosono bench`: how fast the real pipeline is on this machine, and beside what."""

from pathlib import Path
from typing import Annotated

import typer

from neurosono.scripts import options


def bench(
    source: Annotated[
        str | None,
        typer.Argument(help="A clip, or anything replay takes. [default: a phantom clip]"),
    ] = None,
    bundle: Annotated[str, typer.Option(help="A bundle's folder, or `demo`.")] = "demo",
    require_signed: options.RequireSigned = False,
    trusted_keys: options.TrustedKeys = None,
    floor: Annotated[
        bool, typer.Option("--floor", help="Also run one hand-tuned process, in turns.")
    ] = False,
    json: Annotated[Path | None, typer.Option(help="Write the report there; - for stdout.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the report as a page.")] = None,
    compare: Annotated[
        Path | None, typer.Option(help="An older --json; where it had other options, run both.")
    ] = None,
    budget: Annotated[
        Path | None, typer.Option(help="Limits in TOML; exit 1 where one is exceeded.")
    ] = None,
    members: Annotated[int | None, typer.Option(help="Use the first N members.")] = None,
    precision: options.Precision = None,
    engine: Annotated[str, typer.Option(help="auto, openvino or torch.")] = "auto",
    threads: Annotated[int, typer.Option(help="Threads for the network; 0: all cores.")] = 0,
    cam_hz: Annotated[float, typer.Option(help="Heatmaps a second; 0 for none.")] = 5.0,
    seconds: Annotated[float, typer.Option(help="Length of the phantom clip.")] = 10.0,
    rate: Annotated[float, typer.Option(help="Pictures a second of the phantom clip.")] = 30.0,
    rounds: Annotated[
        int, typer.Option(help="How often all is run, in turns: 3 or more give intervals.")
    ] = 3,
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=VALUE,VALUE, once or more: members, precision, engine, every, threads, size."
        ),
    ] = None,
    scanners: Annotated[
        int, typer.Option(help="Only: so many live sessions against one Triton server.")
    ] = 0,
    asks: Annotated[
        float, typer.Option(help="With --scanners: frames a second that each asks for.")
    ] = 5.0,
    troubles: Annotated[
        int, typer.Option(help="With --scanners: how often the server hangs or dies.")
    ] = 2,
    triton: Annotated[
        Path | None, typer.Option(help="Where scripts/install-triton put it. [default: .triton]")
    ] = None,
    instances: Annotated[
        int, typer.Option(min=1, help="With --scanners: the server's processes, a core each.")
    ] = 1,
    browser: Annotated[
        str | None,
        typer.Option(
            help="Only: a scanner that sends by UDP, the live session, and this browser (chromium) "
            "as its screen, from the picture sent to the picture painted."
        ),
    ] = None,
    also: options.Also = None,
    record: Annotated[
        bool, typer.Option("--record", help="Also encode and write the overlay.")
    ] = False,
) -> None:
    """Measure throughput, age and cost of the real pipeline; everything beside its own floor."""
    from neurosono.engine.contracts.errors import InputError, RunError
    from neurosono.scripts.bench_view import describe, describe_sweep, watch_steps
    from neurosono.scripts.console import console, write_json_report
    from neurosono.stream.bench.budget import check_budget, read_budget
    from neurosono.stream.bench.compare import compare_reports, read_report
    from neurosono.stream.bench.page import write_page
    from neurosono.stream.bench.run import SCHEMA, run_bench
    from neurosono.stream.bench.settings import BenchSettings
    from neurosono.stream.bench.sweep import read_axes, run_sweep

    options.check_signed(require_signed, trusted_keys, bundle, *(also or ()))
    if scanners:
        from neurosono.scripts.scanners_view import bench_scanners

        wanted = (scanners, bundle, precision, members, asks, seconds, troubles, triton, instances)
        write_json_report(json, bench_scanners(*wanted))
        return
    settings = BenchSettings(
        source=source,
        bundle=bundle,
        engine=engine,
        precision=precision,
        members=members,
        threads=threads,
        cam_hz=cam_hz,
        seconds=seconds,
        rate_hz=rate,
        rounds=rounds,
        floor=floor,
        record=record,
        also=tuple(also or ()),
    )
    if browser is not None:
        from neurosono.scripts.screen_view import bench_screen

        write_json_report(json, bench_screen(settings, browser))
        return
    if sweep:
        if compare is not None or budget is not None or html is not None:
            raise InputError("--sweep goes with --json alone: bench one setting for the others")
        with watch_steps() as on_step:
            found = run_sweep(settings, read_axes(sweep), on_step)
        console.print(describe_sweep(found))
        write_json_report(json, found)
        return
    limits = () if budget is None else read_budget(budget)
    old = None if compare is None else read_report(compare, SCHEMA)
    rival = None if old is None else settings.as_in(old)
    with watch_steps() as on_step:
        report = run_bench(settings, rival, on_step)
    if old is not None:
        report["comparison"] = compare_reports(report, old)
    for part in describe(report):
        console.print(part)
    write_json_report(json, report)
    if html is not None:
        write_page(html, report)
        console.print(f"  {html}", soft_wrap=True)
    if broken := check_budget(report, limits):
        raise RunError("over budget: " + "; ".join(broken))
