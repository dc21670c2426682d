"""`neurosono report study`: two arms of readings, from the journals that recorded them."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from neurosono.scripts.train.prepare import JsonOption


def study(
    truth: Annotated[
        Path,
        typer.Option(help="CSV: exam, case, reader, truth; and arm where no journal tells it."),
    ],
    journal: Annotated[
        list[Path] | None,
        typer.Option(
            help="A journal; may be repeated. [default: $XDG_DATA_HOME/neurosono/journal.sqlite]"
        ),
    ] = None,
    json: JsonOption = None,
) -> None:
    """Compare readings with the AI beside (concurrent) and after an answer alone (second read).

    An answer is a kept frame to which the reader gave a class. Exams are named by their ids.
    """
    from neurosono.scripts.console import write_json_report
    from neurosono.scripts.exams import open_recorded
    from neurosono.stream.report.compare import compare
    from neurosono.stream.report.trial import gather, read_table

    rows = read_table(truth)
    with ExitStack() as stack:
        readers = []
        for where in journal or (None,):
            opened = stack.enter_context(open_recorded(where))
            readers.append(stack.enter_context(opened.read()))
        found = compare(gather(readers, rows))
    _print(found)
    write_json_report(json, found)


def _print(found: dict[str, Any]) -> None:
    from rich.table import Table

    from neurosono.scripts.console import console

    table = Table("", title_justify="left", title="Readings")
    for arm in found["arms"]:
        table.add_column(arm)
    for words, say in _ROWS:
        table.add_row(words, *(say(each) for each in found["arms"].values()))
    console.print(table)
    change = found["second_read"]
    if change is not None:
        console.print(
            f"second read: {change['changed']} of {change['readings']} answers were changed, "
            f"{change['to_right']} to right, {change['to_wrong']} to wrong, "
            f"{change['between_wrong']} between wrong ones; {change['towards_the_ai']} towards the "
            f"AI, {change['away_from_the_ai']} away from it"
        )
        console.print(_say_pairs("before", "after", change))
    for name, each in found["arms_compared"].items():
        if each["pairs"]:
            first, second = name.replace("_", " ").split(" and ")
            console.print(_say_pairs(first, second, each))
            if each["seconds"] is not None:
                console.print(_say_seconds(f"{second} less {first}", each))
    if found["readers"] > 1:
        console.print(
            "McNemar's test takes each pair for itself; the intervals are of cases drawn with all "
            "their readings, for readings of one case are not independent."
        )


def _say_share(found: dict[str, Any] | None) -> str:
    if found is None or found["value"] is None:
        return "-"
    each = (f"{found[name]:.1%}" for name in ("value", "low", "high"))
    return "{} ({} to {})".format(*each) + f", {found['right']} of {found['count']}"


def _say_quartiles(found: dict[str, float] | None) -> str:
    if found is None:
        return "-"
    return f"{found['median']:.1f} ({found['low']:.1f} to {found['high']:.1f})"


def _say_pairs(first: str, second: str, found: dict[str, Any]) -> str:
    each = found["difference"]
    said = f"{second} less {first}: {each['value']:+.1%} right"
    if each["low"] is not None:
        said += f" ({each['low']:+.1%} to {each['high']:+.1%})"
    return (
        f"{said}, {found['pairs']} pairs, right {first} only {found['only_first_right']}, "
        f"{second} only {found['only_second_right']}, McNemar p = {found['p']:.3f}"
    )


def _say_seconds(words: str, found: dict[str, Any]) -> str:
    each = found["seconds"]
    said = f"{words}: {each['value']:+.1f} s to the answer"
    if each["low"] is not None:
        said += f" ({each['low']:+.1f} to {each['high']:+.1f})"
    return f"{said}, {found['timed']} pairs"


_ROWS: tuple[tuple[str, Callable[[dict[str, Any]], str]], ...] = (
    ("readings, answered", lambda arm: f"{arm['readings']}, {arm['answered']}"),
    ("right (95 % interval)", lambda arm: _say_share(arm["right"])),
    ("right before the AI was seen", lambda arm: _say_share(arm["right_alone"])),
    ("the AI alone", lambda arm: _say_share(arm["ai_right"])),
    ("seconds to the answer (quartiles)", lambda arm: _say_quartiles(arm["seconds"])),
    ("seconds to the answer alone", lambda arm: _say_quartiles(arm["seconds_alone"])),
    ("presses of keys", lambda arm: _say_quartiles(arm["presses"])),
)
