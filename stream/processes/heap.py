"""Memory that a process keeps or has freed: what its start need not look at, and gives back."""

import contextlib
import ctypes
import gc


def give_back() -> None:
    """Give the system back what a start has freed: compiling a graph takes far more than it keeps.

    glibc holds on to it, and to more of it by the settings of `spawn.HEAP`.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)


def collect_from_here() -> None:
    """Let Python's collector, which rested while a command loaded, look at what is made from here.

    Modules are there to stay: to look through them while they load takes a tenth of the time that
    they take, and later each full collection would pass through them again, as a picture waits.
    """
    gc.freeze()
    gc.enable()
