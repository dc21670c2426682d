"""What DICOM libraries say by themselves quotes values, and a value may be a patient's name."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

logging.getLogger("highdicom").addHandler(logging.NullHandler())  # pydicom's have theirs


def hush() -> None:
    """Let no library warn on standard error from now on: for a process that is ours alone."""
    warnings.simplefilter("ignore")


@contextmanager
def hushed() -> Iterator[None]:
    """The same until the block ends."""
    with warnings.catch_warnings():
        hush()
        yield
