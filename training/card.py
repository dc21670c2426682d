"""The part of a model card that only its maker can write: what it is, for what, and its limits."""

import difflib
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.structures.weeks import CARD_KEY, Weeks

CARDS_PATH = Path(__file__).parent / "cards"


@dataclass(frozen=True)
class CardText:
    """What the maker of a bundle says of it; `limits` always begin with the notice.

    `weeks` are the gestational weeks that it learnt from, for which alone it speaks; None: bound to
    none.
    """

    what: str = "Members trained by `neurosono train`."
    data: str = "Not described."
    intended_use: str = "Research on recorded exams; see the limits."
    limits: tuple[str, ...] = ("Nothing about it was validated clinically.",)
    weeks: Weeks | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the card's keys, without the weeks where there are none."""
        found = asdict(self) | {"limits": [NOTICE, *self.limits]}
        bound = found.pop(CARD_KEY)
        return found if bound is None else found | {CARD_KEY: list(bound.values())}


def load_card(where: str | Path | None) -> CardText:
    """Read a card, a TOML file or a shipped one by name; raise `InputError` on an unknown key."""
    if where is None:
        return CardText()
    path = Path(where)
    shipped = CARDS_PATH / f"{where}.toml"
    path = shipped if not path.exists() and shipped.exists() else path
    try:
        found = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"card {path} cannot be read: {error}") from error
    known = list(asdict(CardText()))
    for key, value in found.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0)
            raise InputError(f"a card has no {key!r}: did you mean {near[0]!r}?")
        if key == CARD_KEY:
            continue
        lines = value if key == "limits" and isinstance(value, list) else [value]
        if not all(isinstance(line, str) and line for line in lines):
            raise InputError(f"{key} of card {path} must be text, found {value!r}")
    if "limits" in found:
        found["limits"] = tuple(found["limits"])
    if CARD_KEY in found:
        found[CARD_KEY] = _read_weeks(found[CARD_KEY], path)
    return CardText(**found)


def _read_weeks(found: Any, path: Path) -> Weeks:
    try:
        low, high = found
        return Weeks(float(low), float(high))
    except (TypeError, ValueError, InputError) as error:
        raise InputError(
            f"weeks of card {path} must be the first and the last, as [19, 24]; found {found!r}"
        ) from error
