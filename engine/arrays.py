"""The arrays of an `.npz` file, read as if it came from anywhere."""

import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LARGEST_BYTES = 64_000_000
"""All arrays of one file together; the largest that we write, a plane of features, has 4 MB."""

_FAILURES = (
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What NumPy and `zipfile` raise on damaged files; they share no base class."""


def read_arrays(path: Path, names: Sequence[str]) -> list[NDArray[np.generic]]:
    """Return the arrays of these names; raises `ValueError` with the reason, whatever is wrong."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(each.file_size for each in archive.infolist())
        if size > LARGEST_BYTES:
            raise ValueError(f"it unpacks to {size} bytes, {LARGEST_BYTES} is the most")
        with warnings.catch_warnings(), np.load(path, allow_pickle=False) as found:
            warnings.simplefilter("ignore")  # a damaged header is parsed as Python would
            return [np.asarray(found[name]) for name in names]
    except _FAILURES as error:
        words = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(words[:200]) from error
