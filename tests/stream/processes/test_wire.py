"""Messages: what goes in comes out, and nothing else is believed."""

import struct
from dataclasses import is_dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosono.engine.contracts.errors import WireError
from neurosono.engine.contracts.frame import DisplayFrame, Frame, SkipReason
from neurosono.engine.contracts.result import ExamSnapshot, ExamState, Result
from neurosono.stream.processes.wire import HEADER, Credit, Event, Message, pack, unpack

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
    if is_dataclass(value):
        return {name: flatten(part) for name, part in vars(value).items()}
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


def test_another_version_is_named() -> None:
    data = bytearray(pack(FRAME))
    data[4] = 2
    with pytest.raises(WireError, match="of version 1, found b'NSNO' 2"):
        unpack(bytes(data))


def test_a_huge_claim_is_refused_before_it_is_believed() -> None:
    data = bytearray(pack(FRAME))
    struct.pack_into("<I", data, 12, 2**32 - 1)
    with pytest.raises(WireError, match="other lengths"):
        unpack(bytes(data))


@pytest.mark.parametrize("dtype", ["|O", "<f8", "|S1000000000"])
def test_no_dtype_but_ours_is_read(dtype: str) -> None:
    data = pack(FRAME).replace(b'"|u1"', f'"{dtype}"'.encode())
    grown = len(data) - len(pack(FRAME))
    head = bytearray(data)
    (meta_bytes,) = struct.unpack_from("<I", head, 8)
    struct.pack_into("<I", head, 8, meta_bytes + grown)
    with pytest.raises(WireError, match="not readable"):
        unpack(bytes(head))


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
    assert HEADER.size == 80
