"""`python -m tests.chaos --faults 200`: seeded faults on running sessions, and a table of them."""

import argparse
import random
import statistics
import tempfile
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.chaos.faults import FAULTS, list_possible
from tests.chaos.run import Report, Seen, run

COLUMNS = {
    "gap": "gap_ms",
    "opinion": "opinion_ms",
    "tab": "tab_ms",
    "AI off": "off_ms",
    "rec. off": "unrecorded_ms",
    "well": "recovery_ms",
}
"""Of the table: each heading, and what of `Seen` it is."""


def main() -> int:
    """Run what was asked for; exit with 1 where anything was lost or left behind."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bundle", default="demo")
    parser.add_argument("--only", nargs="*", choices=sorted(FAULTS), help="these kinds alone")
    asked = parser.parse_args()
    rng, kinds = random.Random(asked.seed), sorted(asked.only or list_possible())
    names: list[str] = []
    while len(names) < asked.faults:
        names += rng.sample(kinds, len(kinds))
    console = Console()
    for name in [] if asked.only else sorted(set(FAULTS) - set(kinds)):
        console.print(f"left out, for want of a C compiler or a browser: {name}")

    def tell(seen: Seen) -> None:
        console.print(f"{seen.fault}: {_row(seen)}")

    with tempfile.TemporaryDirectory(prefix="ns-", dir="/tmp") as folder:
        report = run(names[: asked.faults], asked.seed, Path(folder), asked.bundle, tell)
    console.print(tabulate(report))
    stuck = Counter(seen.fault for seen in report.seen if seen.recovery_ms is None)
    if stuck:
        told = ", ".join(f"{name} ({count})" for name, count in sorted(stuck.items()))
        console.print(f"not well again: {told}")
    lost = report.shown - report.recorded
    console.print(
        f"{report.shown} results shown, {lost} of them not recorded; exit codes {report.exits}; "
        f"{report.tracebacks} tracebacks; left behind: {report.left or 'nothing'}"
    )
    return int(bool(lost or report.left or report.tracebacks))


def _row(seen: Seen) -> str:
    return ", ".join(
        f"{name} {value:.0f}" for name, value in vars(seen).items() if isinstance(value, float)
    )


def tabulate(report: Report) -> Table:
    """Return what was seen of each kind of fault: 80 columns hold it, unless a name grows."""
    about = "after so long said: AI or signal off, record off, all well"
    table = Table(
        title="milliseconds, median/worst of each kind of fault",
        caption=f"gap between pictures; opinion's age in a message, and in a tab;\n{about}",
        box=None,
        padding=(0, 1, 0, 0),
    )
    for title in ("fault", "n", *COLUMNS):
        table.add_column(title, justify="left" if title == "fault" else "right", no_wrap=True)
    for name in sorted({seen.fault for seen in report.seen}):
        of_kind = [seen for seen in report.seen if seen.fault == name]
        cells = [_sum_up([getattr(seen, each) for seen in of_kind]) for each in COLUMNS.values()]
        table.add_row(name, str(len(of_kind)), *cells)
    return table


def _sum_up(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{_shorten(statistics.median(known))}/{_shorten(max(known))}" if known else "-"


def _shorten(value_ms: float) -> str:
    return f"{value_ms:.0f}" if value_ms < 9_999.5 else f"{value_ms / 1e3:.0f}s"


if __name__ == "__main__":
    raise SystemExit(main())
