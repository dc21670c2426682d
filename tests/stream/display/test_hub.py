from itertools import pairwise
from threading import Event
from threading import enumerate as living_threads
from typing import Any

import cv2
import numpy as np
import pytest

from engine.contracts.errors import InputError, RunError, WireError
from engine.contracts.labels import DEFAULT_LABELS
from stream.display.hub import MAX_COMMANDS, MAX_KEY_FRAMES, MAX_VIEWERS, Command, Hub
from stream.display.mailbox import OTHER_CREDIT, PICTURE_CREDIT, STATUS_GAP_NS, Mailbox, Parcel
from stream.display.protocol import (
    Kind,
    encode_json,
    parse_answer,
    parse_command,
    unpack,
    withhold_opinion,
)
from tests.browser.publisher import make_status

GREY = np.full((60, 80), 90, dtype=np.uint8)
MS = 1_000_000


class Watcher:
    """A viewer without a socket: takes what its mailbox gives, at a time of the test's own."""

    def __init__(self, hub: Hub) -> None:
        self._filled = Event()
        self.mailbox = hub.attach(self._filled.set)
        self.now_ns = 10 * STATUS_GAP_NS

    def expect(self, kind: Kind, *, acknowledge: bool = True) -> tuple[dict[str, Any], bytes]:
        """Return the next message of one kind, waiting for the encoder."""
        while True:
            self._filled.clear()
            while (message := self.mailbox.take(self.now_ns)) is not None:
                found, head, jpeg = unpack(message)
                if acknowledge:
                    self.mailbox.answer(head["n"], 0.0, self.now_ns)
                if found is kind:
                    return head, jpeg
            assert self._filled.wait(10), f"no {kind!r} came"
            self.now_ns += STATUS_GAP_NS

    def await_waiting(self, kind: Kind) -> None:
        """Wait until something of one kind waits in the mailbox; leave it there."""
        while (kind, None) not in self.mailbox._waiting:
            assert self._filled.wait(10), f"no {kind!r} came"
            self._filled.clear()

    def take_all(self) -> list[Kind]:
        """Return the kinds of all that may go now."""
        kinds = []
        while (message := self.mailbox.take(self.now_ns)) is not None:
            kinds.append(unpack(message)[0])
        return kinds


@pytest.fixture
def hub():
    hub = Hub()
    hub.start()
    yield hub
    hub.stop()
    assert "hub-encoder" not in [thread.name for thread in living_threads()]


def parcel(kind: Kind, number: int, slot: Any = None) -> Parcel:
    return Parcel(kind, encode_json({"number": number}), number * MS, slot=slot)


def mailbox() -> Mailbox:
    return Mailbox(1, lambda: None)


def numbers(box: Mailbox, now_ns: int) -> list[int]:
    found = []
    while (message := box.take(now_ns)) is not None:
        found.append(unpack(message)[1]["about"]["number"])
    return found


def test_a_picture_arrives_as_published_with_its_status(hub):
    watcher = Watcher(hub)
    gradient = np.tile(np.arange(0, 240, 3, dtype=np.uint8), (60, 1))
    hub.publish(gradient, make_status(5))
    head, jpeg = watcher.expect(Kind.PICTURE)
    assert head["about"]["probabilities"] == make_status(5)["probabilities"]
    assert head["about"]["index"] == 5
    shown = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert shown.shape == (60, 80)
    assert np.abs(shown.astype(int) - gradient).max() <= 6


def test_nothing_is_encoded_while_nobody_watches(hub):
    for index in range(5):
        hub.publish(GREY, make_status(index))
    assert hub.counts.published == 5
    assert hub.counts.encoded == 0


def test_every_viewer_gets_it_and_one_jpeg_serves_all(hub):
    watchers = [Watcher(hub) for _ in range(3)]
    hub.publish(GREY, make_status(1))
    jpegs = {watcher.expect(Kind.PICTURE)[1] for watcher in watchers}
    assert len(jpegs) == 1
    assert hub.counts.encoded == 1
    assert hub.viewers() == 3


def test_the_newest_picture_wins_and_what_it_replaced_is_counted():
    box = mailbox()
    for number in range(10):
        box.put(parcel(Kind.PICTURE, number))
    assert numbers(box, 0) == [9]
    assert box.replaced == 9


def test_pictures_go_only_as_far_as_they_are_acknowledged():
    box = mailbox()
    sent = []
    for number in range(10):
        box.put(parcel(Kind.PICTURE, number))
        sent += numbers(box, 0)
    assert sent == [0, 1][:PICTURE_CREDIT]
    assert box.answer(1, 0.0, 7 * MS) == 7.0
    assert numbers(box, 7 * MS) == [9]


def test_a_sleeping_viewer_holds_a_bounded_number_of_messages():
    box = mailbox()
    taken = 0
    for number in range(1000):
        for kind in Kind:
            box.put(parcel(kind, number))
        now_ns = number * STATUS_GAP_NS
        taken += len(numbers(box, now_ns))
    assert taken == PICTURE_CREDIT + OTHER_CREDIT
    assert box.silent_ns(1000 * STATUS_GAP_NS) > 900 * STATUS_GAP_NS


def test_a_viewer_without_credit_for_pictures_still_hears_how_things_stand():
    box = mailbox()
    for number in range(3):
        box.put(parcel(Kind.PICTURE, number))
        numbers(box, 0)
    times_ns = []
    for step in range(1, 100):
        box.put(parcel(Kind.STATUS, step))
        while (message := box.take(step * 10 * MS)) is not None:
            kind, head, _ = unpack(message)
            assert kind is Kind.STATUS
            times_ns.append(step * 10 * MS)
            box.answer(head["n"], 0.0, step * 10 * MS)
    gaps = [later - earlier for earlier, later in pairwise(times_ns)]
    assert gaps == [STATUS_GAP_NS] * len(gaps)
    assert len(gaps) >= 8


def test_a_status_newer_than_the_picture_is_not_swallowed_by_it():
    box = mailbox()
    box.put(parcel(Kind.PICTURE, 1))
    box.put(parcel(Kind.STATUS, 2))
    assert numbers(box, 0) == [1]
    assert numbers(box, STATUS_GAP_NS) == [2]


def test_the_page_can_tell_how_long_a_message_was_held():
    box = mailbox()
    box.put(parcel(Kind.PICTURE, 3))
    head = unpack(box.take(10 * MS) or b"")[1]
    assert (head["held_ms"], head["sent_ms"]) == (7.0, 10.0)
    assert "echo" not in head
    box.answer(head["n"], 1234.5, 15 * MS)
    box.put(parcel(Kind.PICTURE, 16))
    assert unpack(box.take(18 * MS) or b"")[1]["echo"] == {"t_ms": 1234.5, "held_ms": 3.0}


def test_a_status_without_a_living_ai_carries_no_opinion(hub):
    watcher = Watcher(hub)
    for ai in ("AI OFF", "AI STARTING", "NO SIGNAL"):
        hub.publish(GREY, make_status(1, ai=ai))
        said = watcher.expect(Kind.PICTURE)[0]["about"]
        assert said["ai"] == ai
        assert said["probabilities"] is said["low"] is said["high"] is said["state"] is None
        assert said["prediction_set"] == []


def test_a_heatmap_of_an_engine_that_died_is_not_sent_any_more(hub):
    watcher = Watcher(hub)
    hub.publish_status(make_status(1))
    hub.publish_heatmap(np.dstack([GREY] * 3), {"label": "normal", "seq": 1, "age_ms": 60.0})
    watcher.await_waiting(Kind.HEATMAP)
    hub.publish_status(make_status(3, ai="AI OFF"))
    assert Kind.HEATMAP not in watcher.take_all()


def test_a_heatmap_has_an_age_or_is_refused(hub):
    picture = np.dstack([GREY] * 3)
    with pytest.raises(InputError, match="age"):
        hub.publish_heatmap(picture, {"label": "normal", "seq": 1})
    watcher = Watcher(hub)
    hub.publish_status(make_status(0, pts_s=10.0, age_ms=40.0))
    hub.publish_heatmap(picture, {"label": "normal", "seq": 1, "pts_s": 9.8})
    age_ms = watcher.expect(Kind.HEATMAP)[0]["about"]["age_ms"]
    assert 240.0 <= age_ms < 10_000.0


def test_a_second_read_shows_no_opinion_until_the_exam_ends(hub):
    watcher = Watcher(hub)
    hub.publish_status(make_status(1, mode="second-read"))
    hub.publish_evidence("normal", GREY, {"probability": 0.9})
    hub.publish_key_frame("k1", GREY, {"label": "normal", "verdict": "proposed"})
    hub.publish_heatmap(np.dstack([GREY] * 3), {"label": "normal", "seq": 1, "age_ms": 1.0})
    about = watcher.expect(Kind.KEY_FRAME)[0]["about"]
    assert (about["key_frame_id"], "label" in about) == ("k1", False)
    hub.publish(GREY, make_status(2, mode="second-read"))
    assert watcher.expect(Kind.PICTURE)[0]["about"]["probabilities"] is None
    watcher.now_ns += STATUS_GAP_NS
    assert {Kind.EVIDENCE, Kind.HEATMAP}.isdisjoint(watcher.take_all())
    hub.publish_status(make_status(3, mode="second-read", ended=True))
    assert watcher.expect(Kind.EVIDENCE)[0]["about"]["label"] == "normal"


def test_who_comes_later_gets_the_evidence_of_this_exam_only(hub):
    hub.publish_status(make_status(1, exam="first"))
    hub.publish_evidence("normal", GREY, {"rank": 0})
    hub.publish_key_frame("old", GREY, {"label": None, "verdict": "proposed"})
    hub.publish_status(make_status(2, exam="second"))
    hub.publish_evidence("rachischisis", GREY, {"rank": 1})
    watcher = Watcher(hub)
    about = watcher.expect(Kind.EVIDENCE)[0]["about"]
    assert (about["label"], about["rank"], about["exam"]) == ("rachischisis", 1, "second")
    assert watcher.take_all() == []


def test_kept_frames_are_bounded_and_the_newest_stay(hub):
    for number in range(MAX_KEY_FRAMES + 5):
        hub.publish_key_frame(f"k{number}", GREY, {"label": None, "verdict": "proposed"})
    watcher = Watcher(hub)
    found = [
        watcher.expect(Kind.KEY_FRAME)[0]["about"]["key_frame_id"] for _ in range(MAX_KEY_FRAMES)
    ]
    assert found == [f"k{number}" for number in range(5, MAX_KEY_FRAMES + 5)]


def test_thumbnails_are_small(hub):
    watcher = Watcher(hub)
    hub.publish_evidence("normal", np.zeros((600, 800), np.uint8), {})
    _, jpeg = watcher.expect(Kind.EVIDENCE)
    decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert decoded.shape == (240, 320)


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4)), np.zeros((0, 4), np.uint8)]
)
def test_another_array_is_refused(hub, pixels):
    with pytest.raises(InputError, match="must be"):
        hub.publish(pixels, make_status(0))


def test_too_many_screens_are_turned_away(hub):
    watchers = [Watcher(hub) for _ in range(MAX_VIEWERS)]
    with pytest.raises(RunError, match="watch already"):
        Watcher(hub)
    hub.detach(watchers[0].mailbox)
    assert Watcher(hub).mailbox.number == MAX_VIEWERS + 1


def test_commands_are_drained_in_order_and_bounded(hub):
    for _ in range(MAX_COMMANDS + 3):
        hub.ask(Command("freeze", {"viewer": 1}))
    assert len(hub.commands()) == MAX_COMMANDS
    assert hub.commands() == []
    assert hub.counts.commands_refused == 3


def test_a_review_is_understood():
    fields = {"key_frame_id": "k1", "verdict": "reassign", "label": "normal"}
    command = parse_command({"command": "review", "fields": fields}, DEFAULT_LABELS, 4)
    assert command == Command("review", {**fields, "viewer": 4})


@pytest.mark.parametrize(
    "answer",
    [
        {"command": "rm -rf"},
        {"command": ["freeze"]},
        {"command": "freeze", "fields": []},
        {"command": "freeze", "fields": {"index": "1"}},
        {"command": "freeze", "fields": {"index": True}},
        {"command": "freeze", "fields": {"viewer": 2}},
        {"command": "keep"},
        {"command": "review", "fields": {"key_frame_id": "k", "verdict": "maybe"}},
        {"command": "review", "fields": {"key_frame_id": "", "verdict": "accept"}},
        {"command": "review", "fields": {"key_frame_id": "k" * 200, "verdict": "accept"}},
        {"command": "review", "fields": {"key_frame_id": "k", "verdict": "reassign"}},
        {"command": "review", "fields": {"key_frame_id": "k", "verdict": "accept", "label": "x"}},
    ],
)
def test_a_command_outside_the_vocabulary_is_refused(answer):
    with pytest.raises(WireError):
        parse_command(answer, DEFAULT_LABELS, 1)


@pytest.mark.parametrize("text", ["", "[]", "nonsense", "[" * 3000, "x" * 5000])
def test_an_answer_that_is_no_object_is_refused(text):
    with pytest.raises(WireError):
        parse_answer(text)


def test_numbers_that_json_lacks_become_null():
    status = {"probabilities": [float("nan"), np.float64(0.5)], "age_ms": float("inf")}
    assert encode_json(status) == b'{"probabilities":[null,0.5],"age_ms":null}'


def test_an_opinion_passes_when_it_may():
    status = make_status(0)
    assert withhold_opinion(status) == status
