"""The one place that dispatches: `neurosono VERB`.

Each verb has a file of its own, loaded where it is asked for, whose heavy imports stay inside the
function: `--help` is instant. Here nothing is loaded that a child process could wait for.
"""

import errno
import gc
import os
import signal
import sys
import warnings

from neurosono.engine.contracts.errors import NeurosonoError, RunError, StoppedError
from neurosono.stream.processes.spawn import starting

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

CHILDREN = {
    "live": ("engine", "capture"),
    "replay": ("engine", "capture"),
    "demo": ("engine", "reader", "capture"),
}
"""Processes that a verb needs whatever its options say, the one that loads longest first."""


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


def _name_children(words: list[str]) -> tuple[str, ...]:
    """Return which children to start before anything of the command is loaded."""
    if not words or "--help" in words:
        return ()
    children = CHILDREN.get(words[0], ())
    reads = bool(children) and any(word.startswith("--also") for word in words)
    return (*children, "reader") if reads and words[0] != "demo" else children


def _prepare_archive(words: list[str]) -> None:
    """Start what an archive's workers are forked from: it loads as long as this process does."""
    if not any(word == "--help" or word.startswith("--cluster") for word in words):
        from neurosono.archive.server import start_server

        start_server()


def _run(words: list[str]) -> None:
    if words[:1] == ["archive"]:
        _prepare_archive(words)
    from neurosono.scripts.commands import VERBS, make_app

    if words[:1] and words[0] in CHILDREN:
        gc.disable()  # until it has loaded: see `collect_from_here`
    # where the word is none of them, all are told
    make_app(*(word for word in words[:1] if word in VERBS))(words)


def _tell_error(words: str) -> None:
    import typer

    typer.secho(f"neurosono: {words}", err=True, fg=typer.colors.RED)


def main() -> int:
    """Run a command; every foreseen error is one sentence, and its exit code is 1 or 2."""
    debug = "--debug" in sys.argv
    arguments = [word for word in sys.argv[1:] if word != "--debug"]
    if not debug:  # libraries' own warnings quote values, and a value may be a patient's name
        warnings.simplefilter("ignore")
    for each in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, _interrupt)
    try:
        with starting(*_name_children(arguments)):
            _run(arguments)
    except KeyboardInterrupt:
        sys.stderr.write("neurosono: stopped\n")
        return StoppedError.exit_code
    except ModuleNotFoundError as error:
        extra = EXTRA_OF.get((error.name or "").split(".")[0])
        if debug or extra is None:
            raise
        _tell_error(
            f"this needs {error.name}, which is not installed: run "
            f"`./scripts/install {extra}`, or pip install 'neurosono[{extra}]'"
        )
        return 2
    except OSError as error:
        if debug:
            raise
        _tell_error(_tell(error))
        return 2 if error.errno in _NEVER_BEGUN else RunError.exit_code
    except NeurosonoError as error:
        if debug:
            raise
        _tell_error(str(error))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
