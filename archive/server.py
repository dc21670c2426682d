"""The process that workers are forked from: what each of them needs, it has imported once."""

from multiprocessing import get_context
from multiprocessing.context import ForkServerContext
from multiprocessing.forkserver import ensure_running

NEEDED = ("__main__", "neurosono.archive.pool", "neurosono.archive.exam")
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
