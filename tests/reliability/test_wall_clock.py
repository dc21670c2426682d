"""A clock on the wall that jumps touches no age, no deadline and no order."""

import ast
import itertools
from pathlib import Path

import neurosono.stream
from neurosono.stream.journal.journal import Clock, Journal
from neurosono.stream.journal.rebuild import rebuild_exam
from tests.support.records import ABOUT, make_exam, make_results

ROOT = Path(neurosono.stream.__file__).resolve().parent.parent

STAMPS = {
    "archive": set[str](),
    "engine": {"kept.py"},
    "neurosono": {"studies.py"},
    "node": {"clock.py", "steps.py"},
    "stream": {
        *("bench/run.py", "hospital/clock.py", "hospital/errands.py", "hospital/outbox.py"),
        *("hospital/query.py", "journal/journal.py", "live/igtl_out.py"),
        *("live/log.py", "live/register.py", "report/gather.py"),
    },
}
"""Who asks what time it is: to write it down, to ask for the list of a day, to know how long a
machine was off, or to drop what nobody used for weeks. Nobody else may."""

ASKING = {"time", "time_ns", "now", "utcnow", "today", "gmtime", "localtime"}


def asks_the_wall(source: str) -> bool:
    found = False
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in ASKING:
            base = node.value
            name = base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")
            found = found or name in ("time", "datetime", "date")
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            found = found or bool({each.name for each in node.names} & ASKING)
    return found


def test_only_what_is_written_for_people_asks_for_the_time_of_day() -> None:
    for folder, known in STAMPS.items():
        found = {
            str(path.relative_to(ROOT / folder))
            for path in (ROOT / folder).rglob("*.py")
            if asks_the_wall(path.read_text())
        }
        assert found == known, "an age or a deadline is measured by time.monotonic"
    assert asks_the_wall("import time\nx = time.time()")
    assert asks_the_wall("from datetime import datetime\nx = datetime.now()")
    assert not asks_the_wall("import time\nx = time.monotonic_ns()")


def test_a_record_keeps_its_order_whatever_the_wall_says(tmp_path: Path) -> None:
    hour_ns = 3600 * 10**9
    jumps = itertools.cycle([5 * hour_ns, -9 * hour_ns, -1, 48 * hour_ns, -30 * hour_ns])
    wall_ns = [1_700_000_000 * 10**9]

    def jump() -> int:
        wall_ns[0] += next(jumps)
        return wall_ns[0]

    path = tmp_path / "journal.sqlite"
    given = list(make_results(make_exam(), 40))
    with Journal.open(path, clock=Clock(wall_ns=jump)) as journal:
        exams = [journal.begin(ABOUT) for _ in range(6)]
        assert all(exams[-1].record(result) for result in given)
        journal.flush()
        with journal.read() as reader:
            assert [each.exam_id for each in reader.exams()] == [
                each.exam_id for each in reversed(exams)
            ]
            found = list(reader.results(exams[-1].exam_id))
        assert [each.result.seq for each in found] == [each.seq for each in given]
        times = [each.monotonic_ns for each in found]
        assert times == sorted(times)
        assert any(b.wall_ns < a.wall_ns for a, b in itertools.pairwise(found)), "it did jump"
        rebuilt = rebuild_exam(journal, exams[-1].exam_id)
    assert rebuilt.snapshot().used == given[-1].exam.used
