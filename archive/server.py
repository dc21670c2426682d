"""The process that workers are forked from: what each of them needs, it has imported once."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext
from multiprocessing.forkserver import ensure_running
from types import ModuleType

NEEDED = (
    "neurosono.archive.pool",
    "neurosono.archive.exam",
    "neurosono.stream.sources.files.video",
)
"""No thread is started by importing these, so that what is forked of them is whole; engines are
compiled by each worker for itself."""


def start_server() -> ForkServerContext:
    """Start it, unless it runs: it imports while this process goes on.

    It ends with this process, and keeps the working folder and the environment of now.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(list(NEEDED))
    ensure_running()
    return context


@contextmanager
def hide_main() -> Iterator[None]:
    """Hide this program's main module while a worker is started, or it would import it anew.

    With it comes all of the command line, in every worker; the server cannot spare them that, for
    Python before 3.13 tells it of no main module.
    """
    main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
