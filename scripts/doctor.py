"""`neurosono doctor`: what is installed, which engines can run here, and why the others cannot."""

from pathlib import Path
from typing import Annotated

import typer

from neurosono.scripts import options


def doctor(
    bundle: Annotated[str, typer.Option(help="The bundle to look for engines in.")] = "demo",
    require_signed: options.RequireSigned = False,
    trusted_keys: options.TrustedKeys = None,
    json: Annotated[Path | None, typer.Option(help="Also write it there; - for stdout.")] = None,
) -> None:
    """Show what this host has, which engines it can run, and why it cannot run the others."""
    from rich.markup import escape
    from rich.table import Table

    from neurosono.engine.host import (
        describe_familiarity,
        describe_host,
        explain_auto,
        probe_engines,
    )
    from neurosono.scripts.console import console, write_json_report

    options.check_signed(require_signed, trusted_keys, bundle)
    host, engines, auto = describe_host(), probe_engines(bundle), explain_auto(bundle)
    packages = Table(title="Host", title_justify="left", show_header=False)
    for name, value in host.items():
        packages.add_row(name, str(value))
    table = Table(title="Engines", title_justify="left")
    for column in ("engine", "runs here", "built in the bundle", "why"):
        table.add_column(column)
    for probe in engines:
        built = ", ".join(probe.built) or "-"
        table.add_row(probe.engine, "yes" if probe.runs else "no", built, escape(probe.reason))
    console.print(packages)
    console.print(table)
    taken = "{backend} {precision} x{members}: {reason}" if auto["backend"] else "{reason}"
    console.print(f"auto: {taken.format(**auto)}", soft_wrap=True)
    for name, reason in auto["rejected"].items():
        console.print(f"  not {name}: {reason}", soft_wrap=True, highlight=False)
    familiar = describe_familiarity(bundle)
    console.print(f"familiarity: {familiar}", soft_wrap=True)
    probed = [probe.to_json() for probe in engines]
    write_json_report(
        json, {"host": host, "engines": probed, "auto": auto, "familiarity": familiar}
    )
    if not any(probe.runs for probe in engines):
        raise typer.Exit(1)
