"""Messages: what goes in comes out, and nothing else is believed."""

import struct
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct, structs

from neurosono.engine.contracts.codec import encode, to_plain
from neurosono.engine.contracts.errors import WireError
from neurosono.engine.contracts.frame import DisplayFrame, Frame, SkipReason
from neurosono.engine.contracts.result import ExamSnapshot, ExamState, Result
from neurosono.stream.processes.wire import (
    HEADER,
    KIND_AT,
    VERSION,
    Credit,
    Event,
    Message,
    pack,
    unpack,
)

STREAM = "0123456789abcdef0123456789abcdef"


def make_result(cam: bool) -> Result:
    rng = np.random.default_rng(0)
    exam = ExamSnapshot(
        rng.random(5),
        rng.random(5),
        rng.random(5),
        ("a", "b"),
        ExamState.STABLE,
        7,
        3.25,
        {"f": 2},
        mean=rng.random(5),
        alarm=True,
    )
    return Result(
        STREAM,
        9,
        123,
        4.5,
        exam,
        None,
        rng.random(5),
        rng.random((3, 5)).astype(np.float32),
        rng.random((5, 7, 7)).astype(np.float32) if cam else None,
        0.1,
        {"network": 1.5},
        gate=0.75,
        unfamiliarity=0.25,
        plane="spine",
    )


FRAME = Frame(STREAM, 4, 77, 1.25, np.arange(64, dtype=np.uint8).reshape(8, 8), None, {"decode": 2})
SKIPPED = Frame(STREAM, 5, 78, 1.5, None, SkipReason.FROZEN)
COLOUR = DisplayFrame(
    STREAM, 6, 79, 1.75, np.full((4, 6, 3), 9, np.uint8), 5, SkipReason.FROZEN, (1, 1, 2, 2)
)
GREY = DisplayFrame(STREAM, 7, 80, 2.0, np.full((4, 6), 9, np.uint8))
MESSAGES: list[Message] = [
    FRAME,
    SKIPPED,
    COLOUR,
    GREY,
    make_result(cam=True),
    make_result(cam=False),
    Event("end", {"decoded": 3, "error": None}),
    Credit(4, 1234),
]


def flatten(value: object) -> object:
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, value.tolist())
    if isinstance(value, Struct):
        return {name: flatten(part) for name, part in structs.asdict(value).items()}
    return value


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_comes_out_as_it_went_in(message: Message) -> None:
    received = unpack(pack(message))
    assert type(received.message) is type(message)
    assert flatten(received.message) == flatten(message)
    assert received.sent_ns > 0


def test_an_exam_without_evidence_travels() -> None:
    unknown = np.full(5, np.nan)
    exam = ExamSnapshot(unknown, unknown, unknown, (), ExamState.COLLECTING, 0, 0.0, {})
    out = unpack(pack(Result(STREAM, 0, 0, 0.0, exam, SkipReason.DOPPLER))).message
    assert isinstance(out, Result)
    assert np.isnan(out.exam.probabilities).all()
    assert not out.used


def damage(message: Message, body: bytes) -> bytes:
    """Return a message of the same kind whose body is another."""
    kind = pack(message)[KIND_AT]
    return HEADER.pack(b"NSNO", VERSION, kind, 0, len(body), 0, 1) + body


def test_another_version_is_named() -> None:
    data = bytearray(pack(FRAME))
    data[4] = 1
    with pytest.raises(WireError, match="of version 2, found b'NSNO' 1"):
        unpack(bytes(data))


def test_a_huge_claim_is_refused_before_it_is_believed() -> None:
    data = bytearray(pack(FRAME))
    struct.pack_into("<I", data, 12, 2**32 - 1)
    with pytest.raises(WireError, match="other lengths"):
        unpack(bytes(data))


def test_only_arrays_of_ours_travel_and_are_believed() -> None:
    with pytest.raises(TypeError, match="no array of"):
        pack(Event("x", {"array": np.zeros(3, dtype=object)}))
    body = encode(Event("x", {"array": np.zeros(3)}))
    code = body.index(bytes((0xC7, 4 + 24, 9)))  # ext 8 of 28 bytes: <f8, one dimension
    for other in (3 * 4 + 1, 200, 64 + 9):
        with pytest.raises(WireError, match="not readable"):
            unpack(damage(Event("x"), body[: code + 2] + bytes((other,)) + body[code + 3 :]))
    lying = body[: code + 3] + bytes((4,)) + body[code + 4 :]  # four numbers, in the room of three
    with pytest.raises(WireError, match="not readable"):
        unpack(damage(Event("x"), lying))


@pytest.mark.parametrize(
    "said",
    [
        {"seq": "seven"},
        {"exam": None},
        {"members": np.zeros(5, np.float32)},
        {"probabilities": np.zeros((5, 5))},
        {"skip_reason": "bored"},
        {"stage_ms": {"network": "long"}},
    ],
)
def test_a_field_of_another_type_or_shape_is_a_wire_error(said: dict[str, object]) -> None:
    made = make_result(cam=False)
    whole = {each.encode_name: getattr(made, each.name) for each in structs.fields(Result)}
    assert whole.keys() >= said.keys()
    with pytest.raises(WireError, match="Result are not readable"):
        unpack(damage(made, encode(whole | said)))


def test_nesting_without_end_is_a_wire_error() -> None:
    body = encode({"name": "x", "fields": {"a": 0}})[:-1] + b"\x91" * 100_000
    with pytest.raises(WireError, match="Event are not readable"):
        unpack(damage(Event("x"), body))


@pytest.mark.parametrize(
    "event",
    [
        Event("failed", {"role": "engine", "error": "RunError"}),
        Event("engine-off", {"next_seq": 3, "answered": 4}),
        Event("recorded"),
        Event("opened", {"rate_hz": "fast"}),
    ],
    ids=lambda event: str(event.name),
)
def test_an_event_without_what_its_hearer_needs_is_a_wire_error(event: Event) -> None:
    with pytest.raises(WireError, match="travels without a"):
        unpack(pack(event))


def test_pixels_that_nothing_speaks_of_are_refused() -> None:
    data = bytearray(pack(SKIPPED) + b"1234")
    struct.pack_into("<I", data, 12, 4)
    with pytest.raises(WireError, match="bytes beside"):
        unpack(bytes(data))


def test_a_field_unknown_here_is_passed_over_and_one_with_a_default_may_be_missing() -> None:
    body = encode({"name": "x", "of-tomorrow": 1})
    assert unpack(damage(Event("x"), body)).message == Event("x")


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_bytes_are_a_wire_error_or_a_message(data: st.DataObject) -> None:
    whole = bytearray(pack(data.draw(st.sampled_from(MESSAGES))))
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    for candidate in (bytes(whole), bytes(whole[:cut])):
        try:
            unpack(candidate)
        except WireError:
            continue


@given(st.binary(max_size=300))
def test_any_bytes_are_a_wire_error(data: bytes) -> None:
    if data[:4] != b"NSNO":
        with pytest.raises(WireError):
            unpack(data)


def test_the_header_is_the_published_one() -> None:
    assert HEADER.size == 24


def test_kinds_of_plain_values_are_written_as_these() -> None:
    """Torch's version is a kind of string, and a card holds it."""

    class Version(str):
        __slots__ = ()

    assert to_plain(Card(Version("2.14"), np.float64(0.5))) == {"version": "2.14", "score": 0.5}


@dataclass(frozen=True)
class Card:
    version: str
    score: float
