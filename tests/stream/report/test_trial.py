"""Two arms of readings: from journals as a session writes them, to what the AI changed."""

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest
from typer.testing import CliRunner

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import InputError
from neurosono.scripts.commands import make_app
from neurosono.stream.journal.journal import Clock, Journal
from neurosono.stream.live.desk import Desk
from neurosono.stream.live.record import LiveRecord
from neurosono.stream.page.hub import Hub
from neurosono.stream.page.protocol import Command
from neurosono.stream.report.compare import compare, mcnemar
from neurosono.stream.report.trial import CaseReading, Said, gather, read_table
from neurosono.stream.view.recent import Recent
from tests.support.records import make_exam, make_results

BEGUN_NS = 1_800_000_000 * 10**9
LABELS = make_exam().labels
TRUE, FALSE = LABELS[0], LABELS[1]
PICTURE = np.zeros((90, 120), np.uint8)


class Time:
    """Both clocks of a journal, moved by hand."""

    now_ns = BEGUN_NS

    def __call__(self) -> int:
        return self.now_ns


class Sitting:
    """A reader before the screen: a record and a desk as a live session has them."""

    def __init__(self, journal: Journal, clock: Time, bundle: Bundle, *, blind: bool) -> None:
        self._clock = clock
        clock.now_ns = BEGUN_NS
        self.record = LiveRecord(journal, bundle)
        self.desk = Desk(Hub(), self.record, Recent(), lambda: None, blind=blind)
        self.desk.open_exam(LABELS)
        self._result = next(iter(make_results(make_exam(), 1)))
        self.record.record(self._result)

    def answer(self, at_s: float, label: str) -> None:
        """Keep a frame and give it a class."""
        self._clock.now_ns = BEGUN_NS + round(at_s * 1e9)
        exam = self.record._open()
        name = exam.keep(self._result.seq, PICTURE, "key")
        exam.review(str(name), "reassign", label)

    def press(self, at_s: float, name: str) -> None:
        self._clock.now_ns = BEGUN_NS + round(at_s * 1e9)
        self.desk.obey(Command(name))

    def close(self) -> str:
        self.record.end({})
        return self.record.exam_id


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def journal(tmp_path: Path, clock: Time) -> Iterator[Journal]:
    with Journal.open(tmp_path / "exams.sqlite", clock=Clock(clock, clock)) as opened:
        yield opened


def write_table(path: Path, *rows: dict[str, str]) -> Path:
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return path


def test_a_record_tells_what_was_said_before_and_after_the_ai_was_seen(
    journal: Journal, clock: Time, bundle_root: Path, tmp_path: Path
) -> None:
    bundle = Bundle.load(bundle_root)
    second = Sitting(journal, clock, bundle, blind=True)
    second.answer(6.0, FALSE)
    second.answer(8.0, FALSE)
    second.press(10.0, "end-exam")
    second.answer(13.0, TRUE)
    beside = Sitting(journal, clock, bundle, blind=False)
    beside.answer(5.0, TRUE)
    told = {"case": "c1", "reader": "r1", "truth": TRUE}
    ids = [sitting.close() for sitting in (second, beside)]
    table = write_table(tmp_path / "truth.csv", *({"exam": each, **told} for each in ids))
    with journal.read() as reader:
        one, two = gather([reader], read_table(table))
        with pytest.raises(InputError, match="2 journals have"):
            gather([reader, reader], read_table(table))
    assert (one.arm, two.arm) == ("second-read", "concurrent")
    assert (one.alone, one.seen) == (Said(FALSE, 8.0), Said(TRUE, 13.0))
    assert (two.alone, two.seen) == (None, Said(TRUE, 5.0))
    assert (one.presses, two.presses) == (6, 2)
    found = compare([one, two])
    assert found["second_read"]["to_right"] == 1
    assert found["arms_compared"]["alone_and_concurrent"]["only_second_right"] == 1

    result = CliRunner().invoke(
        make_app(),
        [
            *("report", "study", "--truth", str(table), "--journal"),
            *(str(tmp_path / "exams.sqlite"), "--json", str(tmp_path / "found.json")),
        ],
    )
    assert result.exit_code == 0, result.output
    assert "1 of 1 answers were changed, 1 to right, 0 to wrong" in " ".join(result.output.split())
    assert json.loads((tmp_path / "found.json").read_text()) == json.loads(json.dumps(found))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"truth": "a cyst"}, "row 2, column truth: one of"),
        ({"exam": "20200101"}, "row 2, column exam: no journal has one exam"),
        ({"reader": ""}, "row 2, column reader: empty"),
        ({"arm": "both"}, "row 2, column arm: one of concurrent, second-read"),
    ],
)
def test_a_table_that_cannot_be_is_refused(
    journal: Journal,
    clock: Time,
    bundle_root: Path,
    tmp_path: Path,
    change: dict[str, str],
    why: str,
) -> None:
    exam = Sitting(journal, clock, Bundle.load(bundle_root), blind=False).close()
    row = {"exam": exam, "case": "c1", "reader": "r1", "truth": TRUE, "arm": "concurrent"}
    table = write_table(tmp_path / "truth.csv", row | change)
    with journal.read() as reader, pytest.raises(InputError, match=why):
        gather([reader], read_table(table))
    again = write_table(tmp_path / "twice.csv", row, row)
    with journal.read() as reader, pytest.raises(InputError, match="in row 2 already"):
        gather([reader], read_table(again))


def make_reading(case: int, arm: str, alone: str | None, seen: str | None) -> CaseReading:
    def said(label: str | None, at_s: float) -> Said | None:
        return None if label is None else Said(label, at_s)

    return CaseReading(
        "exam", f"c{case}", "r1", TRUE, arm, said(alone, 6.0), said(seen, 11.0), TRUE, presses=2
    )


def test_directions_of_change_are_counted_and_tested() -> None:
    said = [(FALSE, TRUE)] * 6 + [(TRUE, FALSE)] + [(TRUE, TRUE)] * 8 + [(FALSE, FALSE)] * 3
    second = [make_reading(k, "second-read", *each) for k, each in enumerate(said)]
    silent = make_reading(18, "second-read", TRUE, None)  # who says nothing again stands by it
    beside = [make_reading(k, "concurrent", None, TRUE) for k in range(4)]
    found = compare([*second, silent, *beside])
    change: dict[str, Any] = found["second_read"]
    assert (change["changed"], change["to_right"], change["to_wrong"]) == (7, 6, 1)
    assert (change["towards_the_ai"], change["away_from_the_ai"]) == (6, 1)
    assert change["p"] == pytest.approx(binomtest(1, 7, 0.5).pvalue)
    assert change["difference"]["value"] == pytest.approx(5 / 19)
    assert change["difference"]["low"] < 5 / 19 < change["difference"]["high"]
    arm = found["arms"]["second-read"]
    assert (arm["right"]["right"], arm["right_alone"]["right"], arm["answered"]) == (15, 10, 19)
    assert arm["seconds_alone"]["median"] == 6.0
    assert found["arms_compared"]["alone_and_concurrent"]["only_second_right"] == 4
    assert found["arms_compared"]["second_read_and_concurrent"]["pairs"] == 4
    few = compare([replace(each, case="one") for each in second[:2]])
    assert few["second_read"]["difference"]["low"] is None, "one case has no interval"


@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 1), (5, 5), (3, 17), (40, 2)])
def test_mcnemar_is_the_exact_binomial_test(first: int, second: int) -> None:
    expected = binomtest(first, first + second, 0.5).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(expected)
