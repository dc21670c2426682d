"""What a live session measures of itself."""

import os

import pytest

from neurosono.stream.live.ages import LONGEST_MS, Ages
from neurosono.stream.live.measures import MOST_LISTED, Measures
from neurosono.stream.page.audience import UNWATCHED_NS, Audience
from neurosono.stream.view.state import AiState

S = 1_000_000_000


def test_percentiles_of_ages_are_never_less_than_the_truth() -> None:
    ages = Ages()
    for tenths in range(1, 1001):
        ages.add(tenths / 10)
    found = ages.summarise()
    assert found == {"p50": 50.1, "p95": 95.1, "p99": 99.1, "max": 100.0, "count": 1000}


def test_an_age_beyond_the_scale_is_exact_as_the_maximum() -> None:
    ages, other = Ages(), Ages()
    ages.add(1.0)
    other.add(3 * LONGEST_MS)
    ages.merge(other)
    assert ages.summarise() is not None
    assert (ages.summarise() or {})["max"] == 3 * LONGEST_MS
    assert (ages.summarise() or {})["count"] == 2
    assert Ages().summarise() is None


def test_each_minute_has_its_own_ages_and_the_whole_has_all() -> None:
    measures = Measures(0, lambda: {"decoded": 7})
    pids = {"display": os.getpid()}
    measures.look(pids, 1 * S)
    measures.add("picture", 10.0)
    measures.look(pids, 61 * S)
    measures.add("picture", 400.0)
    measures.weigh(pids, 90 * S)
    found = measures.finish(90 * S)
    maxima = [row["age_ms"]["picture"]["max"] for row in found["timeline"]]
    assert maxima == [10.0, 400.0]
    assert found["age_ms"]["picture"]["count"] == 2
    assert [row["until_s"] for row in found["timeline"]] == [61.0, 90.0]
    assert found["timeline"][0]["frames"] == {"decoded": 7}
    for moment in ("start", "end"):
        assert found["memory_mib"][moment]["display"]["resident"] > 10


def test_spells_without_ai_are_listed_with_their_length_and_reason() -> None:
    measures = Measures(0, dict)
    measures.note_ai(AiState.STARTING, "loading", 0)
    measures.note_ai(AiState.ON, "", 1 * S)
    measures.note_ai(AiState.OFF, "the engine process died", 5 * S)
    measures.note_ai(AiState.OFF, "another reason", 6 * S)
    measures.note_ai(AiState.NO_SIGNAL, "no picture", 7 * S)
    measures.restart("engine", 6 * S)
    measures.weigh({}, 9 * S)
    found = measures.finish(9 * S)
    spells = [(each["ai"], each["begun_s"], each["seconds"]) for each in found["ai_off"]["listed"]]
    assert spells == [("AI STARTING", 0.0, 1.0), ("AI OFF", 5.0, 2.0), ("NO SIGNAL", 7.0, 2.0)]
    assert found["ai_off"]["seconds"] == 5.0
    assert found["restarts"] == {
        "count": {"engine": 1},
        "listed": [{"role": "engine", "at_s": 6.0}],
    }


def test_a_session_that_flickers_for_hours_keeps_its_size() -> None:
    measures = Measures(0, dict)
    for second in range(3 * MOST_LISTED):
        measures.note_ai(AiState.OFF, "late", 2 * second * S)
        measures.note_ai(AiState.ON, "", (2 * second + 1) * S)
        measures.restart("engine", second * S)
    measures.weigh({}, 0)
    found = measures.finish(0)
    assert len(found["ai_off"]["listed"]) == len(found["restarts"]["listed"]) == MOST_LISTED
    assert found["ai_off"]["count"] == found["restarts"]["count"]["engine"] == 3 * MOST_LISTED


class Notes:
    """Notes down what an audience says."""

    def __init__(self) -> None:
        self.said: list[object] = []

    def event(self, name: str, fields: object) -> None:
        self.said.append((name, fields))

    def state(self, part: str, value: str) -> None:
        self.said.append((part, value))

    def tell(self, words: str) -> None:
        self.said.append(words)


@pytest.fixture
def notes() -> Notes:
    return Notes()


def test_a_closed_screen_is_noticed_and_its_return_too(notes: Notes) -> None:
    audience = Audience(notes, notes.tell, 0)
    audience.look(1, 1 * S)
    audience.look(0, 2 * S)
    audience.look(0, 2 * S + UNWATCHED_NS)
    assert notes.said == [("viewer-joined", {"viewers": 1}), ("viewer-left", {"viewers": 0})]
    audience.look(0, 3 * S + UNWATCHED_NS)
    audience.look(0, 9 * S + UNWATCHED_NS)
    assert notes.said[2:] == [("display", "off"), "no screen is watching"]
    audience.look(2, 20 * S)
    assert notes.said[4:] == [
        ("viewer-joined", {"viewers": 2}),
        ("display", "on"),
        "2 screens watching again",
    ]


def test_a_page_that_is_loaded_anew_is_no_closed_screen(notes: Notes) -> None:
    audience = Audience(notes, notes.tell, 0)
    for second in range(20):
        audience.look(second % 2, second * S)
    assert "no screen is watching" not in notes.said
