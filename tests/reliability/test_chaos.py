"""The short form of the harness and of the fuzzers: `python -m tests.chaos` is the long one."""

import io
import random
from pathlib import Path

import pytest
from rich.console import Console

from tests.chaos.__main__ import COLUMNS, tabulate
from tests.chaos.faults import FAULTS, list_possible
from tests.chaos.fuzz import fuzz_bundles, fuzz_files, fuzz_wire
from tests.chaos.run import Report, Seen, run


def test_the_table_is_whole_on_a_terminal_of_80_columns() -> None:
    slow = (9999.4, 9999.4, 9999.4, 9999.4, 9999.4, 60_211.0)
    report = Report([Seen(name, *slow) for name in FAULTS])
    report.seen.append(Seen("new exam", None, 0.0, None, None, None, None))
    told = io.StringIO()
    Console(file=told, width=80).print(tabulate(report))
    lines = [line.rstrip() for line in told.getvalue().splitlines()]
    assert max(map(len, lines)) <= 80
    assert all(heading in lines[1] for heading in COLUMNS)
    for name in FAULTS:
        (row,) = (line for line in lines if line.startswith(f"{name} "))
        worst = "9999/9999"
        opinion = "5000/9999" if name == "new exam" else worst
        count = "2" if name == "new exam" else "1"
        assert row[len(name) :].split() == [count, worst, opinion, *[worst] * 3, "60s/60s"]


@pytest.mark.slow
def test_faults_lose_nothing_and_leave_nothing(bundle_root: Path) -> None:
    import tempfile

    names = ["kill engine", "kill capture", "lock journal", "pause sender", "fuzz ring", "babble"]
    short, possible = ["jump clock", "cut tab"], list_possible()
    names += [name for name in short if name in possible]
    with tempfile.TemporaryDirectory(
        prefix="ns-", dir="/tmp"
    ) as folder:  # sockets' paths are short
        report = run(names, 1, Path(folder), str(bundle_root))
    assert [seen.fault for seen in report.seen if seen.recovery_ms is None] == []
    assert (report.shown - report.recorded, report.left, report.tracebacks) == (0, [], 0)
    assert max(seen.opinion_ms for seen in report.seen) <= 550, "500, and its way to the viewer"
    assert max(seen.tab_ms or 0.0 for seen in report.seen) <= 550, "500, and the paint that ends it"
    assert set(report.exits) <= {0}
    if left_out := set(short) - set(possible):
        pytest.skip(f"for want of a C compiler or a browser, not: {', '.join(sorted(left_out))}")


@pytest.mark.parametrize(
    ("fuzz", "count"), [(fuzz_wire, 2000), (fuzz_files, 18), (fuzz_bundles, 8)]
)
def test_what_is_made_wrong_is_refused(fuzz, count: int, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert fuzz(count, random.Random(7), tmp_path / "finds") == 0
