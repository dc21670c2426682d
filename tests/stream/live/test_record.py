"""What befalls a live exam, in the words of its record and of its report."""

import ast
import string
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.frame import DisplayFrame
from neurosono.stream.journal import describe
from neurosono.stream.journal.journal import Journal
from neurosono.stream.journal.words import EVENTS
from neurosono.stream.keep.film import Film
from neurosono.stream.keep.recording import Recorder
from neurosono.stream.live.record import LiveRecord
from neurosono.stream.report.events import _WORDS
from neurosono.stream.report.gather import describe_report
from neurosono.stream.view.state import AiState, OverlayState
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


def test_a_film_says_that_the_ai_is_off_though_no_picture_comes(
    tmp_path: Path, bundle_root: Path
) -> None:
    bundle = Bundle.load(bundle_root)
    picture = DisplayFrame("s", 0, 1_000_000_000, 0.0, np.full((240, 320), 90, np.uint8), 0)
    (result,) = make_results(make_exam(), 1)
    on = OverlayState(AiState.ON, result=result, engine="openvino f32 x2")
    with (
        Journal.open(tmp_path / "exams.sqlite") as journal,
        Recorder(tmp_path / "films", Film.OVERLAY, bundle.manifest) as recorder,
    ):
        record = LiveRecord(journal, bundle, recorder=recorder)
        record.record(result)
        record.see(picture, on)
        record.turn(replace(on, ai=AiState.OFF, ai_reason="the last answer is old"), 1_500_000_000)
        record.end({"decoded": 1})
        with journal.read() as reader:
            told = {each.name: dict(each.fields) for each in reader.events(record.exam_id)}
    assert told["recording-begun"] == {"overlay": True}
    assert set(told["recording-ended"]) == {"segments", "pictures"}
    (film,) = (tmp_path / "films").rglob("*.mp4")
    with av.open(str(film)) as container:
        shown = [
            (float(each.time or 0), each.to_ndarray(format="bgr24").astype(int))
            for each in container.decode(video=0)
        ]
    assert [round(at_s, 2) for at_s, _ in shown] == [0.0, 0.5]
    assert np.abs(shown[1][1] - shown[0][1]).max() > 60, "the panel says AI OFF"


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
