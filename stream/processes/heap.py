"""Memory that a process has freed and not given back."""

import contextlib
import ctypes


def give_back() -> None:
    """Give the system back what a start has freed: compiling a graph takes far more than it keeps.

    glibc holds on to it, and to more of it by the settings of `spawn.HEAP`.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)
