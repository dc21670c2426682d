"""`neurosono archive`: thousands of recorded exams in, one table out."""

from pathlib import Path
from typing import Annotated

import typer

from neurosono.scripts import options

SOURCE_HELP = (
    "Folders whose entries are exams, tables (.csv, .parquet) with a column `path`, single exams."
)


def archive(
    sources: Annotated[list[str], typer.Argument(help=SOURCE_HELP, metavar="SOURCE...")],
    out: Annotated[Path, typer.Option(help="Folder for results.csv, index.html and the book.")],
    jobs: Annotated[int, typer.Option(help="Exams at once; 0: one a core.")] = 0,
    cluster: Annotated[
        str | None,
        typer.Option(help="A Ray cluster, HOST:PORT, that this machine has joined; or `local`."),
    ] = None,
    depth: Annotated[int, typer.Option(help="How many folders down an exam lies.")] = 1,
    studies: Annotated[
        bool, typer.Option("--studies", help="DICOM files of one study are an exam, wherever.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Do failed exams once more.")] = False,
    bundle: options.Bundle = "demo",
    require_signed: options.RequireSigned = False,
    trusted_keys: options.TrustedKeys = None,
    every: options.Every = None,
    fps: options.Fps = None,
    region: options.Region = None,
    engine: options.Engine = "auto",
    precision: options.Precision = None,
    members: options.Members = None,
    json: Annotated[
        Path | None, typer.Option(help="Also write summary.json there; - for stdout.")
    ] = None,
) -> None:
    """Judge an archive: a row an exam, whatever kills a worker; the same command goes on."""
    from neurosono.archive.options import ArchiveOptions, Asked
    from neurosono.engine.contracts.errors import InputError
    from neurosono.engine.signature import choose_keys

    if engine == "remote":
        raise InputError("an archive is judged where its files are: choose another --engine")
    asked = Asked(
        bundle,
        "",
        every=1 if every is None and fps is None else every,
        rate_hz=fps,
        region=region,
        engine=engine,
        precision=precision,
        members=members,
        trusted_keys=choose_keys(require_signed, trusted_keys),
    )
    wanted = ArchiveOptions(
        tuple(sources), out, jobs=jobs, cluster=cluster, depth=depth, studies=studies, again=again
    )
    from neurosono.scripts.archive_view import show_archive

    show_archive(wanted, asked, json)
