"""The one encoding of what travels between processes and of what is kept: MessagePack.

What is said is declared once, as a `msgspec.Struct` whose annotations are the format: names and
types are checked where bytes are read, and a field with a default may be missing, so bytes of an
older release are read as well. Arrays are raw bytes behind their kind and shape, bit for bit.
Never pickle.
"""

import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields
from functools import cache, partial
from typing import Any, TypeVar, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from neurosono.engine.contracts.errors import InputError, NeurosonoError, WireError

T = TypeVar("T", bound=msgspec.Struct)
K = TypeVar("K")

KINDS = tuple(np.dtype(name) for name in ("|u1", "<f4", "<f8"))
"""The kinds of arrays there are, little-endian; an array's code is `4 * kind + dimensions`."""
BESIDE = 64
"""Added to the code of an array whose bytes do not stand here, but beside what is encoded."""

_CODES = {kind: 4 * at for at, kind in enumerate(KINDS)}
_SHAPES = tuple(struct.Struct(f"<{dimensions}I") for dimensions in range(4))
_FORMS = {
    code + dimensions: (kind, sides)
    for kind, code in _CODES.items()
    for dimensions, sides in enumerate(_SHAPES)
}

UNREADABLE = (
    *(msgspec.MsgspecError, NeurosonoError, ValueError, TypeError),
    *(ArithmeticError, LookupError, RecursionError, MemoryError, struct.error),
)


def encode(value: Any) -> bytes:
    """Return a struct as bytes, with its arrays in it."""
    return _ENCODER.encode(value)


def encode_beside(value: Any) -> tuple[bytes, NDArray[Any] | None]:
    """Return a struct as bytes without its one array, and that array: a picture is not copied."""
    beside: list[NDArray[Any]] = []

    def put_beside(found: Any) -> Any:
        if not isinstance(found, np.ndarray):
            return _write(found)
        beside.append(np.ascontiguousarray(found))
        return msgspec.msgpack.Ext(*_describe(found, BESIDE))

    body = msgspec.msgpack.Encoder(enc_hook=put_beside).encode(value)
    if len(beside) > 1:
        raise TypeError(f"a {type(value).__name__} holds {len(beside)} arrays instead of one")
    return body, beside[0] if beside else None


def decode(data: bytes | memoryview, kind: type[T], beside: memoryview | None = None) -> T:
    """Read what `encode` or `encode_beside` made of a struct of `kind`.

    Arrays are copies of their own, but for the one `beside`, which shares its memory. Raises
    `WireError` on anything else: damaged, of another shape, or of values that `kind` refuses.
    """
    try:
        if beside is None:
            return cast(T, _decoder(kind).decode(data))
        left = [beside]
        hook = partial(_read, left)
        found = msgspec.msgpack.decode(data, type=kind, ext_hook=hook)
        if left:
            raise ValueError("bytes beside, and no array for them")
        return found
    except UNREADABLE as error:
        raise WireError(f"bytes of {kind.__name__} are not readable: {error}") from error


def describe(value: Any, name_array: Callable[[NDArray[Any]], Any]) -> Any:
    """Return a struct as plain dicts, lists, words and numbers, under the names it is encoded by.

    `name_array` says what becomes of an array.
    """

    def plain(found: Any) -> Any:
        return name_array(found) if isinstance(found, np.ndarray) else _write(found)

    return msgspec.to_builtins(value, enc_hook=plain)


def to_plain(value: Any) -> Any:
    """Return a dataclass as JSON has it: dicts, lists, words and numbers; all of its fields."""

    def list_tuples(said: Any) -> Any:
        if isinstance(said, dict):
            return {name: list_tuples(each) for name, each in said.items()}
        return [list_tuples(each) for each in said] if isinstance(said, list | tuple) else said

    # asdict, for msgspec's own walk passes over defaults that a dataclass was read without
    return list_tuples(msgspec.to_builtins(asdict(value), enc_hook=_write))


def read_plain(what: str, found: Any, kind: type[K]) -> K:
    """Read what `to_plain` gave of a dataclass, its fields and nothing else; `what` is it.

    Raises `InputError` saying what was expected and found.
    """
    expected = sorted(each.name for each in fields(kind))  # type: ignore[arg-type]
    names = sorted(found) if isinstance(found, dict) else found
    if names != expected:
        raise InputError(f"{what} must have {expected}, found {names}")
    try:
        made = msgspec.convert(found, kind)
    except msgspec.ValidationError as error:
        raise InputError(f"{what} is not readable: {error}") from error
    for other in _find_other_names(found, to_plain(made)):
        raise InputError(f"{what} is not readable: {other}")
    return made


def _find_other_names(found: Any, read: Any, at: str = "$") -> Iterator[str]:
    """Tell of what lies deeper down what was not there, so that a default was read, or not read."""
    if isinstance(found, dict):
        if found.keys() != read.keys():
            yield f"expected {sorted(read)}, found {sorted(found)} - at `{at}`"
            return
        for name, each in found.items():
            yield from _find_other_names(each, read[name], f"{at}.{name}")
    elif isinstance(found, list | tuple):
        for number, (each, other) in enumerate(zip(found, read, strict=True)):
            yield from _find_other_names(each, other, f"{at}[{number}]")


def check_array(what: str, found: Any, dimensions: int, kind: Any) -> None:
    """Raise `InputError` unless `found` is None or an array of so many dimensions and that kind."""
    if found is not None and (found.ndim != dimensions or found.dtype != kind):
        raise InputError(
            f"{what} must be of {dimensions} dimensions and {np.dtype(kind)}, "
            f"found {found.shape} {found.dtype}"
        )


def _describe(array: NDArray[Any], offset: int = 0) -> tuple[int, bytes]:
    kind = _CODES.get(array.dtype)
    if kind is None or array.ndim > 3:
        raise TypeError(f"no array of {array.dtype} in {array.ndim} dimensions is encoded")
    return offset + kind + array.ndim, _SHAPES[array.ndim].pack(*array.shape)


def _write(found: Any) -> Any:
    if isinstance(found, np.ndarray):
        code, shape = _describe(found)
        return msgspec.msgpack.Ext(code, shape + found.tobytes())
    if isinstance(found, np.generic):
        return found.item()
    for plain in (str, int, float):  # a kind of them, such as torch's version
        if isinstance(found, plain):
            return plain(found)
    raise TypeError(f"a {type(found).__name__} is not encoded")


def _read(beside: list[memoryview], code: int, data: memoryview) -> NDArray[Any]:
    form = _FORMS.get(code % BESIDE)
    if form is None or not 0 <= code < 2 * BESIDE:
        raise ValueError(f"no array has the code {code}")
    kind, sides = form
    shape, content = sides.unpack_from(data), data[sides.size :]
    if code >= BESIDE:
        if len(content) or not beside:
            raise ValueError("an array beside that is not there")
        content = beside.pop()
    if math.prod(shape) * kind.itemsize != len(content):
        raise ValueError(f"an array of {shape} {kind} is not in {len(content)} bytes")
    found: NDArray[Any] = np.ndarray(shape, kind, content)
    return found if code >= BESIDE else found.copy()


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_write)


@cache
def _decoder(kind: type[Any]) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(kind, ext_hook=partial(_read, []))
