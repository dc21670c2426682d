"""The verbs of `neurosono`, each loaded and its options read only where it is asked for."""

import importlib
from typing import Annotated

import typer

from neurosono.engine import __version__
from neurosono.engine.contracts.notice import NOTICE

VERBS = {
    "demo": "demo_command.demo",
    "replay": "replay.replay",
    "archive": "archive.archive",
    "live": "live.live",
    "simulate": "simulate.simulate",
    "sources": "sources.sources",
    "exams": "exams.exams_app",
    "report": "report.report_app",
    "study": "study.study",
    "node": "node.node",
    "bench": "bench.bench",
    "phantom": "phantom.phantom",
    "train": "train.app.train_app",
    "calibrate": "calibrate.calibrate",
    "build": "build.build",
    "export": "export.export_app",
    "bundle": "bundle.bundle_app",
    "doctor": "doctor.doctor",
}
"""Where each is, in the order of `--help`: a function, or a group of several."""


def make_app(*verbs: str) -> typer.Typer:
    """Return the command with these of its `VERBS`, or with all."""
    app = typer.Typer(
        name="neurosono",
        help=f"Real-time assist for prenatal neurosonography. {NOTICE}",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(_take_options)
    for verb in verbs or VERBS:
        module, _, name = VERBS[verb].rpartition(".")
        found = getattr(importlib.import_module(f"neurosono.scripts.{module}"), name)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=verb)
        else:
            app.command(verb)(found)
    return app


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"neurosono {__version__}")
        raise typer.Exit


def _take_options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    del version, debug
