"""`python -m tests.chaos --faults 200`: seeded faults on running sessions, and a table of them."""

import argparse
import random
import statistics
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.chaos.faults import FAULTS, list_possible
from tests.chaos.run import Report, Seen, run


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
    console.print(_tabulate(report))
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


def _tabulate(report: Report) -> Table:
    table = Table(title="milliseconds, median / worst of each kind of fault")
    columns = ("gap_ms", "opinion_ms", "tab_ms", "off_ms", "unrecorded_ms", "recovery_ms")
    for title in ("fault", "times", *columns, "not well again"):
        table.add_column(title, justify="left" if title == "fault" else "right")
    for name in sorted({seen.fault for seen in report.seen}):
        of_kind = [seen for seen in report.seen if seen.fault == name]
        cells = [_sum_up([getattr(seen, column) for seen in of_kind]) for column in columns]
        stuck = sum(seen.recovery_ms is None for seen in of_kind)
        table.add_row(name, str(len(of_kind)), *cells, str(stuck or ""))
    return table


def _sum_up(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{statistics.median(known):.0f} / {max(known):.0f}" if known else "-"


if __name__ == "__main__":
    raise SystemExit(main())
