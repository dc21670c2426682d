from itertools import pairwise
from typing import Any

from neurosono.stream.page.mailbox import (
    OTHER_CREDIT,
    PICTURE_CREDIT,
    STATUS_GAP_NS,
    Answer,
    Mailbox,
    Parcel,
)
from neurosono.stream.page.protocol import MessageKind, encode_json, unpack_message

MS = 1_000_000


def parcel(kind: MessageKind, number: int, slot: Any = None) -> Parcel:
    return Parcel(kind, encode_json({"number": number}), number * MS, slot=slot)


def mailbox() -> Mailbox:
    return Mailbox(1, lambda: None)


def numbers(box: Mailbox, now_ns: int) -> list[int]:
    found = []
    while (message := box.take(now_ns)) is not None:
        found.append(unpack_message(message)[1]["about"]["number"])
    return found


def test_the_newest_picture_wins_and_what_it_replaced_is_counted():
    box = mailbox()
    for number in range(10):
        box.put(parcel(MessageKind.PICTURE, number))
    assert numbers(box, 0) == [9]
    assert box.replaced == 9


def test_pictures_go_only_as_far_as_they_are_acknowledged():
    box = mailbox()
    sent = []
    for number in range(10):
        box.put(parcel(MessageKind.PICTURE, number))
        sent += numbers(box, 0)
    assert sent == [0, 1][:PICTURE_CREDIT]
    assert box.answer(1, 0.0, 7 * MS) == Answer(None, b'{"number":0}')
    assert numbers(box, 7 * MS) == [9]


def test_a_sleeping_viewer_holds_a_bounded_number_of_messages():
    box = mailbox()
    taken = 0
    for number in range(1000):
        for kind in MessageKind:
            box.put(parcel(kind, number))
        now_ns = number * STATUS_GAP_NS
        taken += len(numbers(box, now_ns))
    assert taken == PICTURE_CREDIT + OTHER_CREDIT
    assert box.silent_ns(1000 * STATUS_GAP_NS) > 900 * STATUS_GAP_NS


def test_a_viewer_without_credit_for_pictures_still_hears_how_things_stand():
    box = mailbox()
    for number in range(3):
        box.put(parcel(MessageKind.PICTURE, number))
        numbers(box, 0)
    times_ns = []
    for step in range(1, 100):
        box.put(parcel(MessageKind.STATUS, step))
        while (message := box.take(step * 10 * MS)) is not None:
            kind, head, _ = unpack_message(message)
            assert kind is MessageKind.STATUS
            times_ns.append(step * 10 * MS)
            box.answer(head["n"], 0.0, step * 10 * MS)
    gaps = [later - earlier for earlier, later in pairwise(times_ns)]
    assert gaps == [STATUS_GAP_NS] * len(gaps)
    assert len(gaps) >= 8


def test_a_status_newer_than_the_picture_is_not_swallowed_by_it():
    box = mailbox()
    box.put(parcel(MessageKind.PICTURE, 0))
    assert numbers(box, 0) == [0]
    box.put(parcel(MessageKind.PICTURE, 1))
    box.put(parcel(MessageKind.STATUS, 2))
    assert numbers(box, 0) == [1]
    assert numbers(box, STATUS_GAP_NS) == [2]


def test_a_viewer_that_keeps_up_hears_an_answer_at_once():
    box = mailbox()
    for number in range(0, 10, 2):
        now_ns = number * MS
        box.put(parcel(MessageKind.PICTURE, number))
        assert numbers(box, now_ns) == [number]
        box.put(parcel(MessageKind.STATUS, number + 1))
        assert numbers(box, now_ns) == [number + 1]
        box.put(parcel(MessageKind.STATUS, number + 1))
        assert numbers(box, now_ns) == [], "it has not even said that it had the one before"
        for sent in (number + 1, number + 2):
            box.answer(sent, 0.0, now_ns)


def test_the_page_can_tell_how_long_a_message_was_held():
    box = mailbox()
    box.put(parcel(MessageKind.PICTURE, 3))
    head = unpack_message(box.take(10 * MS) or b"")[1]
    assert (head["held_ms"], head["sent_ms"]) == (7.0, 10.0)
    assert "echo" not in head
    box.answer(head["n"], 1234.5, 15 * MS)
    box.put(parcel(MessageKind.PICTURE, 16))
    assert unpack_message(box.take(18 * MS) or b"")[1]["echo"] == {"t_ms": 1234.5, "held_ms": 3.0}


def test_on_a_slow_link_pictures_go_one_by_one_until_one_is_quick():
    box = mailbox()

    def offer(number: int, at_ms: int) -> list[int]:
        box.put(parcel(MessageKind.PICTURE, number))
        return numbers(box, at_ms * MS)

    assert offer(0, 0) == [0]
    assert offer(1, 0) == [1]
    box.answer(1, 0.0, 400 * MS)
    assert offer(2, 400) == [], "one is on its way, and the last took 400 ms"
    box.put(parcel(MessageKind.HEATMAP, 20))
    assert numbers(box, 420 * MS) == [], "nor does a heatmap stand in its way"
    box.answer(2, 0.0, 450 * MS)
    assert numbers(box, 450 * MS) == [2]
    assert offer(3, 460) == []
    box.answer(3, 0.0, 700 * MS)
    assert numbers(box, 700 * MS) == [3], "250 ms: quicker, and not quick"
    assert offer(4, 710) == []
    box.answer(4, 0.0, 800 * MS)
    assert numbers(box, 800 * MS) == [4, 20]
    assert offer(5, 810) == [5]
