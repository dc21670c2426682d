"""What a node refused, told to whoever runs it: senders hear of it, and seldom show it."""

import threading
from dataclasses import dataclass
from typing import Any

from pydicom.uid import UID, EnhancedUSVolumeStorage

AGAIN_S = 60.0
"""One sender refused for one reason is a line at once, and then one a minute."""
MOST = 100
"""Senders and reasons that are told apart at a time: strangers may take any number of titles."""
NAMED = 5
"""Classes that one line names."""


@dataclass
class _Told:
    untold: int
    since_s: float | None = None


class Refusals:
    """Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[tuple[str, str], _Told] = {}

    def note(self, sender: str, why: str) -> None:
        """Count one; `sender` is a stranger's own word."""
        plain = "".join(each if each.isascii() and each.isprintable() else "?" for each in sender)
        with self._lock:
            key = (plain[:64], why)
            if key not in self._found and len(self._found) >= MOST:
                key = ("others", "and more than are told apart here")
            self._found.setdefault(key, _Told(0)).untold += 1

    def take(self, now_s: float) -> list[str]:
        """Return what is to be told now; `now_s` is of a clock that nobody sets."""
        told = []
        with self._lock:
            for (sender, why), each in list(self._found.items()):
                if each.since_s is not None and now_s - each.since_s < AGAIN_S:
                    continue
                if not each.untold:
                    del self._found[sender, why]
                    continue
                times = f" {each.untold} times" if each.untold > 1 else ""
                told.append(f"{sender} was refused{times}: {why}")
                each.untold, each.since_s = 0, now_s
        return told


def explain_contexts(association: Any) -> str:
    """Return what of an association's offers is not taken and should be known; else nothing.

    Many offer all classes there are, so what is foreign here is named only where nothing is left.
    """
    taken = {each.abstract_syntax for each in association.accepted_contexts}
    left = [each for each in association.rejected_contexts if each.abstract_syntax not in taken]
    if any(each.abstract_syntax == EnhancedUSVolumeStorage for each in left):
        return "a volume's slices are no cine (Enhanced US Volume): send its cines and stills"
    undecoded = sorted({_name(each.abstract_syntax) for each in left if each.result == 0x04})
    if undecoded:
        return f"no transfer syntax that it has for {_list(undecoded)} can be decoded here"
    if not taken:
        names = sorted({_name(each.abstract_syntax) for each in left})
        return f"nothing that it sends is taken here ({_list(names)})"
    return ""


def _name(uid: str) -> str:
    return str(UID(uid).name)[:64]


def _list(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
