"""A disk without room, played by a limit on the size of files: writing fails in the same way."""

import contextlib
import resource
from collections.abc import Iterator


@contextlib.contextmanager
def disk_with(room: int) -> Iterator[None]:
    """Let no file of this process and its new children grow past `room` bytes within the block.

    Never for a whole test: pytest's own words, too, may go into a file.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
