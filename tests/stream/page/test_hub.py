from threading import Event
from threading import enumerate as living_threads
from typing import Any

import cv2
import numpy as np
import pytest

from neurosono.engine.contracts.errors import InputError, RunError
from neurosono.stream.page.hub import MAX_COMMANDS, MAX_KEY_FRAMES, MAX_VIEWERS, Command, Hub
from neurosono.stream.page.mailbox import STATUS_GAP_NS
from neurosono.stream.page.protocol import (
    MessageKind,
    unpack_message,
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

    def expect(
        self, kind: MessageKind, *, acknowledge: bool = True
    ) -> tuple[dict[str, Any], bytes]:
        """Return the next message of one kind, waiting for the encoder."""
        while True:
            self._filled.clear()
            while (message := self.mailbox.take(self.now_ns)) is not None:
                found, head, jpeg = unpack_message(message)
                if acknowledge:
                    self.mailbox.answer(head["n"], 0.0, self.now_ns)
                if found is kind:
                    return head, jpeg
            assert self._filled.wait(10), f"no {kind!r} came"
            self.now_ns += STATUS_GAP_NS

    def await_waiting(self, kind: MessageKind) -> None:
        """Wait until something of one kind waits in the mailbox; leave it there."""
        while (kind, None) not in self.mailbox._waiting:
            assert self._filled.wait(10), f"no {kind!r} came"
            self._filled.clear()

    def take_all(self) -> list[MessageKind]:
        """Return the kinds of all that may go now."""
        kinds = []
        while (message := self.mailbox.take(self.now_ns)) is not None:
            kinds.append(unpack_message(message)[0])
        return kinds


@pytest.fixture
def hub():
    hub = Hub()
    hub.start()
    yield hub
    hub.stop()
    assert "hub-encoder" not in [thread.name for thread in living_threads()]


def test_a_picture_arrives_as_published_with_its_status(hub):
    watcher = Watcher(hub)
    gradient = np.tile(np.arange(0, 240, 3, dtype=np.uint8), (60, 1))
    hub.publish(gradient, make_status(5))
    head, jpeg = watcher.expect(MessageKind.PICTURE)
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
    jpegs = {watcher.expect(MessageKind.PICTURE)[1] for watcher in watchers}
    assert len(jpegs) == 1
    assert hub.counts.encoded == 1
    assert hub.viewers() == 3


def test_a_status_without_a_living_ai_carries_no_opinion(hub):
    watcher = Watcher(hub)
    for ai in ("AI OFF", "AI STARTING", "NO SIGNAL"):
        hub.publish(GREY, make_status(1, ai=ai))
        said = watcher.expect(MessageKind.PICTURE)[0]["about"]
        assert said["ai"] == ai
        assert said["probabilities"] is said["low"] is said["high"] is said["state"] is None
        assert said["prediction_set"] == []


def test_a_heatmap_of_an_engine_that_died_is_not_sent_any_more(hub):
    watcher = Watcher(hub)
    hub.publish_status(make_status(1))
    hub.publish_heatmap(np.dstack([GREY] * 3), {"label": "normal", "seq": 1, "age_ms": 60.0})
    watcher.await_waiting(MessageKind.HEATMAP)
    hub.publish_status(make_status(3, ai="AI OFF"))
    assert MessageKind.HEATMAP not in watcher.take_all()


def test_a_heatmap_has_an_age_or_is_refused(hub):
    picture = np.dstack([GREY] * 3)
    with pytest.raises(InputError, match="age"):
        hub.publish_heatmap(picture, {"label": "normal", "seq": 1})
    watcher = Watcher(hub)
    hub.publish_status(make_status(0, pts_s=10.0, age_ms=40.0))
    hub.publish_heatmap(picture, {"label": "normal", "seq": 1, "pts_s": 9.8})
    age_ms = watcher.expect(MessageKind.HEATMAP)[0]["about"]["age_ms"]
    assert 240.0 <= age_ms < 10_000.0


def test_a_second_read_shows_no_opinion_until_the_exam_ends(hub):
    watcher = Watcher(hub)
    hub.publish_status(make_status(1, mode="second-read"))
    hub.publish_evidence("normal", GREY, {"probability": 0.9})
    hub.publish_key_frame("k1", GREY, {"label": "normal", "verdict": "proposed"})
    hub.publish_heatmap(np.dstack([GREY] * 3), {"label": "normal", "seq": 1, "age_ms": 1.0})
    about = watcher.expect(MessageKind.KEY_FRAME)[0]["about"]
    assert (about["key_frame_id"], "label" in about) == ("k1", False)
    hub.publish(GREY, make_status(2, mode="second-read"))
    assert watcher.expect(MessageKind.PICTURE)[0]["about"]["probabilities"] is None
    watcher.now_ns += STATUS_GAP_NS
    assert {MessageKind.EVIDENCE, MessageKind.HEATMAP}.isdisjoint(watcher.take_all())
    hub.publish_status(make_status(3, mode="second-read", ended=True))
    assert watcher.expect(MessageKind.EVIDENCE)[0]["about"]["label"] == "normal"


def test_who_comes_later_gets_the_evidence_of_this_exam_only(hub):
    hub.publish_status(make_status(1, exam="first"))
    hub.publish_evidence("normal", GREY, {"rank": 0})
    hub.publish_key_frame("old", GREY, {"label": None, "verdict": "proposed"})
    hub.publish_status(make_status(2, exam="second"))
    hub.publish_evidence("rachischisis", GREY, {"rank": 1})
    watcher = Watcher(hub)
    about = watcher.expect(MessageKind.EVIDENCE)[0]["about"]
    assert (about["label"], about["rank"], about["exam"]) == ("rachischisis", 1, "second")
    assert watcher.take_all() == []


def test_kept_frames_are_bounded_and_the_newest_stay(hub):
    for number in range(MAX_KEY_FRAMES + 5):
        hub.publish_key_frame(f"k{number}", GREY, {"label": None, "verdict": "proposed"})
    watcher = Watcher(hub)
    found = [
        watcher.expect(MessageKind.KEY_FRAME)[0]["about"]["key_frame_id"]
        for _ in range(MAX_KEY_FRAMES)
    ]
    assert found == [f"k{number}" for number in range(5, MAX_KEY_FRAMES + 5)]


def test_thumbnails_are_small(hub):
    watcher = Watcher(hub)
    hub.publish_evidence("normal", np.zeros((600, 800), np.uint8), {})
    _, jpeg = watcher.expect(MessageKind.EVIDENCE)
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
