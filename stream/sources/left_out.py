"""What was given and is not shown: by name on the terminal, by reason in files."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

NAMED = 20
"""How many files one message names; the others are counted."""


class Reason(StrEnum):
    """Why something is left out. Only these words enter a file: a name may be a patient's."""

    NO_MEDIUM = "no kind of picture"
    NO_PICTURES = "DICOM without pictures"
    OWN_RESULT = "a result of neurosono"
    VOLUME = "a volume, whose slices are no cine"
    EMPTY = "empty"
    HIDDEN = "hidden"
    SYSTEM = "made by a file browser"
    SECOND_STREAM = "another video stream"
    THUMBNAIL = "smaller copy of the picture"
    TRAILING = "bytes behind the end"
    TRACE = "trace beside the picture"
    SECOND_PICTURE = "second picture beside the larger"


@dataclass(frozen=True)
class LeftOut:
    """One file, or a part of one, that is not shown."""

    name: str
    reason: Reason


def count_reasons(left_out: Iterable[LeftOut]) -> dict[str, int]:
    """Return how many were left out, by reason, never by name."""
    counts = Counter(str(each.reason) for each in left_out)
    return {reason: counts[reason] for reason in sorted(counts)}


def tell_left_out(left_out: Iterable[LeftOut]) -> list[str]:
    """Return a line for each of the first files, and one for all the others."""
    every = list(left_out)
    # repr: a name may hold bytes that are no text, which neither a terminal nor a message can carry
    lines = [f"not used: {each.name!r}: {each.reason}" for each in every[:NAMED]]
    rest = count_reasons(every[NAMED:])
    if rest:
        words = ", ".join(f"{count} {reason}" for reason, count in rest.items())
        lines.append(f"not used, and not named here: {words}")
    return lines
