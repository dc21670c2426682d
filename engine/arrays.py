"""The arrays of an `.npz` file, read as if it came from anywhere."""

import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

LARGEST_BYTES = 64_000_000
"""All arrays of one file together; the largest that we write, a plane of features, has 4 MB."""

Arrays = TypeVar("Arrays", bound="DataclassInstance")

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


def join(parts: Sequence[Arrays]) -> Arrays:
    """Return several dataclasses of arrays, one or more, as one: each array behind the others'."""
    kind = type(parts[0])
    names = [each.name for each in fields(kind)]
    return kind(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
