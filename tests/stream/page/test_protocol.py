import json
from types import MappingProxyType

import numpy as np
import pytest

from neurosono.engine.contracts.errors import WireError
from neurosono.engine.contracts.labels import DEFAULT_LABELS
from neurosono.stream.page.hub import Command
from neurosono.stream.page.protocol import (
    encode_json,
    parse_answer,
    parse_command,
    withhold_opinion,
)
from tests.browser.publisher import make_status


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
        {"command": "freeze", "fields": {"index": -1}},
        {"command": "keep", "fields": {"index": 1, "seq": 2**53}},
        {"command": "keep", "fields": {"index": 10**400}},
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


def test_what_json_lacks_otherwise_is_made_plain():
    class Name(str): ...

    status = {
        Name("of"): (Name("a"), np.int64(3), True, None),
        "broken": "a\udcffb",
        "µ": MappingProxyType({}),
    }
    assert json.loads(encode_json(status)) == {
        "of": ["a", 3, True, None],
        "broken": "a?b",
        "µ": {},
    }


def test_an_opinion_passes_when_it_may():
    status = make_status(0)
    assert withhold_opinion(status) == status
