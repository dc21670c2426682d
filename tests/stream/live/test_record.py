"""What befalls a live exam, in the words of its record and of its report."""

import ast
import string
from pathlib import Path

import pytest

from neurosono.engine.bundle import Bundle
from neurosono.stream.journal import describe
from neurosono.stream.journal.journal import Journal
from neurosono.stream.journal.words import EVENTS
from neurosono.stream.live.record import LiveRecord
from neurosono.stream.report.events import _WORDS
from neurosono.stream.report.gather import describe_report
from tests.support.records import make_exam, make_results

CONNECTED = {"codec": "h264", "width_px": 800, "height_px": 600, "rate_hz": 30.0, "kind": "udp"}


def test_what_the_source_and_the_screen_tell_stands_in_the_report(
    tmp_path: Path, bundle_root: Path
) -> None:
    with Journal.open(tmp_path / "exams.sqlite") as journal:
        record = LiveRecord(journal, Bundle.load(bundle_root))
        record.event("connected", CONNECTED)
        for result in make_results(make_exam(), 5):
            record.record(result)
        record.event("lost", {"reason": "no data from Mueller", "was_open": True})
        record.event("connected", CONNECTED)
        record.event("clock-jump", {"step_s": -2.25, "elapsed_s": 0.04, "pts_s": 1.0})
        record.event("size-change", {"width_px": 480, "height_px": 360, "pts_s": 1.0})
        record.event("layout-change", {"x_px": 1, "y_px": 2, "w_px": 300, "h_px": 200})
        record.event("text-masked", {"boxes": 2, "area_share": 0.02})
        record.end({"decoded": 5})
        with journal.read() as reader:
            told = [event.name for event in reader.events(record.exam_id)]
            words = [each.words for each in describe_report(reader, "last").history.incidents]
    assert told[:4] == ["opened", "lost", "opened", "reconnected"]
    assert words == [
        "the connection to the source was lost",
        "the source was connected again",
        "the source's clock jumped by -2.2 s",
        "the picture's size changed to 480 x 360",
        "the ultrasound moved on the scanner's screen",
        "text inside the region was masked",
    ]


@pytest.mark.parametrize("name", sorted(_WORDS))
def test_a_report_asks_only_for_what_an_event_can_tell(name: str) -> None:
    asked = {field for _, field, _, _ in string.Formatter().parse(_WORDS[name]) if field}
    assert asked <= set(EVENTS[name])


def test_somebody_says_every_event_and_every_state() -> None:
    """A list that nobody fills would let a report promise what no record can hold."""
    stream = Path(describe.__file__).parents[1]
    lists = {
        stream / "journal" / "words.py",
        stream / "report" / "events.py",
        stream / "live" / "log.py",
    }
    said = {
        node.value
        for path in stream.rglob("*.py")
        if path not in lists
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
    }
    states = [kind for kind in EVENTS["state"].values() if isinstance(kind, frozenset)]
    assert set(EVENTS).union(*states) <= said
