"""The classes, in the order in which every array holds them."""

import re
from collections.abc import Sequence

from neurosono.engine.contracts.errors import InputError

DEFAULT_LABELS: tuple[str, ...] = (
    "anencephaly",
    "encephalocele",
    "holoprosencephaly",
    "rachischisis",
    "normal",
)
"""The five classes of Qi et al. 2025 (arXiv 2501.02000), the anomalies in the paper's order."""

NORMAL_LABEL = "normal"
"""The one class that is not an anomaly, where a bundle has it."""


NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,38}[A-Za-z0-9._-])?")
"""How classes and planes may be called: what a table, a page, a file's name and the record all
carry as it is. A bracket is markup to a terminal's table, an escape code its command."""


def check_names(what: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return `names` as a tuple; raise `InputError` unless each is a plain name (`NAME`)."""
    found = tuple(names)
    bad = [each for each in found if not isinstance(each, str) or not NAME.fullmatch(each)]
    if bad:
        raise InputError(
            f"{what} must be named by 1 to 40 letters without accents, digits, spaces, dots, "
            f"dashes and underscores, found {ascii(bad[0])[:80]}: give another name"
        )
    return found


def validate_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Return `labels` as a tuple; raise `InputError` unless they are two or more distinct names."""
    found = check_names("labels", labels)
    if len(found) < 2 or len({each.casefold() for each in found}) != len(found):
        raise InputError(f"labels must be two or more distinct names, found {list(found)!r}")
    return found
