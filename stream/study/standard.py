"""highdicom's table of the standard's attributes, read without those that stand in sequences.

It asks which attributes a module has at its root. The whole table is 22 MB of JSON: as the library
reads it, it takes a process 100 MB while it is read, and 40 MB from then on.
"""

import sys
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
    found = msgspec.json.decode(TABLE.read_bytes(), type=dict[str, list[_Attribute]])
    return {
        module: [
            {"keyword": each.keyword, "type": each.type, "path": []}
            for each in attributes
            if bytes(each.path) == b"[]"
        ]
        for module, attributes in found.items()
    }


def thin_tables() -> None:
    """Have highdicom look into the small table from now on, where it is a release that has it."""
    for name in ("_standard_utils", "base"):
        module = sys.modules.get(f"highdicom.{name}")
        if module is not None and TABLE.is_file() and MAP in vars(module):
            vars(module)[MAP] = read_roots
