"""The one place that dispatches: `neurosono VERB`.

Each verb has a file of its own, whose heavy imports stay inside the function: `--help` is instant.
"""

import errno
import os
import signal
import sys
from typing import Annotated

import typer

from neurosono.engine import __version__
from neurosono.engine.contracts.errors import NeurosonoError, RunError, StoppedError
from neurosono.engine.contracts.notice import NOTICE
from neurosono.scripts.archive import archive, prepare_archive
from neurosono.scripts.bench import bench
from neurosono.scripts.build import build
from neurosono.scripts.bundle import bundle_app
from neurosono.scripts.calibrate import calibrate
from neurosono.scripts.demo_command import demo
from neurosono.scripts.doctor import doctor
from neurosono.scripts.exams import exams_app
from neurosono.scripts.export import export_app
from neurosono.scripts.live import live
from neurosono.scripts.node import node
from neurosono.scripts.phantom import phantom
from neurosono.scripts.replay import replay
from neurosono.scripts.report import report_app
from neurosono.scripts.simulate import simulate
from neurosono.scripts.sources import sources
from neurosono.scripts.study import study
from neurosono.scripts.train.app import train_app

EXTRA_OF = {
    "torch": "train",
    "torchvision": "train",
    "nncf": "train",
    "safetensors": "train",
    "highdicom": "study",
    "pynetdicom": "study",
    "reportlab": "pdf",
    "fastcrc": "igtl",
}
"""What the base install does without, and the extra that brings it."""

app = typer.Typer(
    name="neurosono",
    help=f"Real-time assist for prenatal neurosonography. {NOTICE}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(demo)
app.command()(replay)
app.command()(archive)
app.command()(live)
app.command()(simulate)
app.command()(sources)
app.add_typer(exams_app, name="exams")
app.add_typer(report_app, name="report")
app.command()(study)
app.command()(node)
app.command()(bench)
app.command()(phantom)
app.add_typer(train_app, name="train")
app.command()(calibrate)
app.command()(build)
app.add_typer(export_app, name="export")
app.add_typer(bundle_app, name="bundle")
app.command()(doctor)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"neurosono {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    del version, debug


def _interrupt(*_: object) -> None:
    """A closed terminal and a polite `kill` end a command as Ctrl-C does."""
    raise KeyboardInterrupt


_NEVER_BEGUN = (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP)
"""What a path is refused for before anything is done with it."""


def _tell(error: OSError) -> str:
    """Return one sentence about what the system refused and nobody foresaw."""
    name = "" if error.filename is None else f" {os.fsdecode(error.filename)!r}"
    return (
        f"the system refused{name}: {error.strerror or error}; expected a place that may be read "
        "and written, so check it and the permissions of its folders"
    )


def main() -> int:
    """Run a command; every foreseen error is one sentence, and its exit code is 1 or 2."""
    debug = "--debug" in sys.argv
    arguments = [word for word in sys.argv[1:] if word != "--debug"]
    for each in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, _interrupt)
    try:
        if arguments[:1] == ["archive"]:
            prepare_archive(arguments[1:])
        app(arguments)
    except KeyboardInterrupt:
        typer.secho("neurosono: stopped", err=True)
        return StoppedError.exit_code
    except ModuleNotFoundError as error:
        extra = EXTRA_OF.get((error.name or "").split(".")[0])
        if debug or extra is None:
            raise
        typer.secho(
            f"neurosono: this needs {error.name}, which is not installed: run "
            f"`./scripts/install {extra}`, or pip install 'neurosono[{extra}]'",
            err=True,
            fg=typer.colors.RED,
        )
        return 2
    except OSError as error:
        if debug:
            raise
        typer.secho(f"neurosono: {_tell(error)}", err=True, fg=typer.colors.RED)
        return 2 if error.errno in _NEVER_BEGUN else RunError.exit_code
    except NeurosonoError as error:
        if debug:
            raise
        typer.secho(f"neurosono: {error}", err=True, fg=typer.colors.RED)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
