"""`neurosono sources`: what a live picture can come from, here."""

from pathlib import Path
from typing import Annotated

import typer


def sources(
    json: Annotated[Path | None, typer.Option(help="Also write them there; - for stdout.")] = None,
) -> None:
    """List the capture cards of this machine with their modes, and the other kinds of source."""
    from rich.table import Table

    from neurosono.scripts.console import console, write_json_report
    from neurosono.stream.sources.live.device_modes import ModeWish, choose_mode
    from neurosono.stream.sources.live.devices import list_cards
    from neurosono.stream.sources.live.links import EXAMPLES, LinkKind

    cards = list_cards()
    found = []
    if cards:
        table = Table(title="Capture cards", title_justify="left")
        for column in ("source", "card", "modes", "taken unless told"):
            table.add_column(column)
        for card in cards:
            chosen = str(choose_mode(card.modes, ModeWish())) if card.modes else "-"
            table.add_row(card.path, card.name, "\n".join(map(str, card.modes)) or "-", chosen)
            modes = [mode.__dict__ for mode in card.modes]
            found.append({"source": card.path, "name": card.name, "modes": modes, "chosen": chosen})
        console.print(table)
    else:
        console.print("No capture card is plugged in (there is no /dev/video* that captures).")
    kinds = Table(title="Other live sources", title_justify="left")
    kinds.add_column("for example", no_wrap=True)
    kinds.add_column("what it is")
    for kind, (example, meaning) in EXAMPLES.items():
        if kind is not LinkKind.DEVICE:
            kinds.add_row(f"neurosono live {example}", meaning)
    console.print(kinds)
    examples = [
        {"kind": kind.value, "example": example, "meaning": meaning}
        for kind, (example, meaning) in EXAMPLES.items()
    ]
    write_json_report(json, {"cards": found, "kinds": examples})
