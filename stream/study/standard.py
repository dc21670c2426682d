"""highdicom's table of the standard's attributes, read without those that stand in sequences.

It asks which attributes a module has at its root. The whole table is 22 MB of JSON: as the library
reads it, it takes a process 100 MB while it is read, and 40 MB from then on. So it is mapped, and
one module after the other decoded.
"""

import mmap
import sys
from collections.abc import Iterator
from functools import lru_cache
from importlib import resources
from typing import Any

import msgspec

TABLE = resources.files("highdicom") / "_standard" / "module_attribute_map.json"
MAP = "get_module_attribute_map"


class _Attribute(msgspec.Struct, gc=False):
    keyword: str
    type: str
    path: msgspec.Raw


@lru_cache(1)
def read_roots() -> dict[str, list[dict[str, Any]]]:
    """Return the attributes at the root of each module, as highdicom has them."""
    with resources.as_file(TABLE) as path, path.open("rb") as file:
        # not closed by hand: what is decoded of it holds it until it is gone itself
        table = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    modules = msgspec.json.decode(table, type=dict[str, msgspec.Raw])
    return {name: list(_read_roots(modules.pop(name))) for name in list(modules)}


def _read_roots(module: msgspec.Raw) -> Iterator[dict[str, Any]]:
    for each in msgspec.json.decode(module, type=list[_Attribute]):
        if bytes(each.path) == b"[]":
            yield {"keyword": each.keyword, "type": each.type, "path": []}


def thin_tables() -> None:
    """Have highdicom look into the small table from now on, where it is a release that has it."""
    for name in ("_standard_utils", "base"):
        module = sys.modules.get(f"highdicom.{name}")
        if module is not None and TABLE.is_file() and MAP in vars(module):
            vars(module)[MAP] = read_roots
