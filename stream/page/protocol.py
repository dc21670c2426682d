"""What travels between the session and a browser: message kinds, the status, and the commands.

A message to the browser is one WebSocket binary frame: 1 byte kind, uint32 little-endian length of
the JSON, the JSON in UTF-8, then a JPEG or nothing. The browser answers in small JSON texts: an
acknowledgement for every message, and commands from a fixed vocabulary.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import msgspec
import numpy as np

from neurosono.engine.contracts.errors import WireError

_HEAD = struct.Struct("<BI")

MAX_ANSWER_BYTES = 4096
"""No answer of the page comes near it; a longer one is not ours."""

MAX_WORDS = 120
"""The longest text a command's field may carry."""

MAX_NUMBER = 2**53 - 1
"""The largest that a browser counts to (ECMAScript, Number.MAX_SAFE_INTEGER); the record takes some
more, but not any."""


class MessageKind(IntEnum):
    """What a message to the browser carries."""

    PICTURE = 1
    HEATMAP = 2
    EVIDENCE = 3
    STATUS = 4
    KEY_FRAME = 5
    READING = 6
    WORKLIST = 7


_VOCABULARY: dict[str, dict[str, type]] = {
    "freeze": {"index": int},
    "unfreeze": {},
    "keep": {"index": int, "seq": int},
    "review": {"key_frame_id": str, "verdict": str, "label": str},
    "new-exam": {},
    "end-exam": {},
    "hide-ai": {},
    "show-ai": {},
    "worklist": {},
    "take": {"accession": str, "step": str},
}
"""Every command and the fields it may carry."""

_REQUIRED = {"review": ("key_frame_id", "verdict"), "keep": ("index",), "take": ("accession",)}

VERDICTS = ("accept", "reject", "reassign")
"""What a person may say of a kept frame."""

_JUDGEMENTS: dict[str, Any] = {
    "probabilities": None,
    "low": None,
    "high": None,
    "prediction_set": [],
    "state": None,
    "state_sentence": "",
    "leaning": None,
    "alarm": False,
    "planes": {},
}
"""What of a status is the AI's opinion, and what stands in its place where it is withheld."""

_OPINIONS_OF_A_FRAME = ("label", "probability", "quality", "evidence")


@dataclass(frozen=True)
class Command:
    """What a person at a screen asks of the session.

    `name` is one of the vocabulary; `fields` its checked fields, and `viewer`, which numbers the
    screen that it came from.
    """

    name: str
    fields: dict[str, Any] = field(default_factory=dict)


def pack_message(kind: MessageKind, about: bytes, jpeg: bytes = b"") -> bytes:
    """Return one message; `about` is JSON in UTF-8."""
    return b"".join((_HEAD.pack(kind, len(about)), about, jpeg))


def unpack_message(message: bytes) -> tuple[MessageKind, dict[str, Any], bytes]:
    """Return kind, JSON and JPEG of a message, as a browser reads it; raises `WireError`."""
    try:
        kind, length = _HEAD.unpack_from(message)
        about = json.loads(message[_HEAD.size : _HEAD.size + length])
        return MessageKind(kind), about, message[_HEAD.size + length :]
    except (struct.error, ValueError) as error:
        raise WireError(
            f"a display message of {len(message)} bytes cannot be read: {error}"
        ) from error


def encode_json(value: Mapping[str, Any]) -> bytes:
    """Return compact JSON in UTF-8; what is not a finite number becomes null, as JSON has none."""
    try:
        return _JSON.encode(value)
    except UnicodeEncodeError:
        return _JSON.encode(_mend(value))


def withhold_opinion(status: Mapping[str, Any]) -> dict[str, Any]:
    """Return `status` as a viewer may see it: in a second read, without opinion until the end.

    Likewise no opinion passes while the AI is anything but on, whatever the session put there
    (docs/architecture.md, rule 1).
    """
    seen = dict(status)
    if is_blind(status) or status.get("ai") != "AI ON":
        seen |= _JUDGEMENTS
    if is_blind(status):
        seen |= {"readings": {}}  # each reader's own AI ON is in its own row
    return seen


def is_blind(status: Mapping[str, Any]) -> bool:
    """Whether the AI must stay hidden: a second read whose exam has not ended."""
    return status.get("mode") == "second-read" and not status.get("ended", False)


def without_opinion(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is said of a kept frame without what the AI thinks of it."""
    return {name: value for name, value in about.items() if name not in _OPINIONS_OF_A_FRAME}


def parse_answer(text: str) -> dict[str, Any]:
    """Return a browser's answer as a mapping; raises `WireError` where it is none."""
    if len(text) > MAX_ANSWER_BYTES:
        raise WireError(f"an answer of {len(text)} characters, expected up to {MAX_ANSWER_BYTES}")
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WireError(f"a viewer's answer is no JSON: {error}") from error
    if not isinstance(answer, dict):
        raise WireError(f"a viewer's answer must be a JSON object, found {type(answer).__name__}")
    return answer


def parse_command(answer: Mapping[str, Any], labels: Sequence[str], viewer: int) -> Command:
    """Return the command in a browser's answer; raises `WireError` where it is not one of ours."""
    name = answer.get("command")
    if not isinstance(name, str) or name not in _VOCABULARY:
        raise WireError(f"unknown command {name!r:.60}; expected one of {', '.join(_VOCABULARY)}")
    given = answer.get("fields", {})
    if not isinstance(given, dict):
        raise WireError(f"the fields of {name!r} must be an object")
    known = _VOCABULARY[name]
    for key, value in given.items():
        if key not in known or type(value) is not known[key]:
            raise WireError(f"the command {name!r} takes {list(known)}, found {key!r:.60}")
        if isinstance(value, str) and not 0 < len(value) <= MAX_WORDS:
            raise WireError(f"{key!r} of {name!r} must have 1 to {MAX_WORDS} characters")
        if isinstance(value, int) and not 0 <= value <= MAX_NUMBER:
            raise WireError(f"{key!r} of {name!r} must be 0 to {MAX_NUMBER}")
    missing = [key for key in _REQUIRED.get(name, ()) if key not in given]
    if missing:
        raise WireError(f"the command {name!r} needs {missing}")
    if name == "review":
        _check_review(given, labels)
    return Command(name, {**given, "viewer": viewer})


def _check_review(given: Mapping[str, Any], labels: Sequence[str]) -> None:
    if given["verdict"] not in VERDICTS:
        raise WireError(f"a verdict is one of {VERDICTS}, found {given['verdict']!r:.60}")
    if (given["verdict"] == "reassign") != ("label" in given):
        raise WireError("a label is given exactly where a frame is reassigned")
    if "label" in given and given["label"] not in labels:
        raise WireError(f"a label is one of {list(labels)}, found {given['label']!r:.60}")


def _plain(found: Any) -> Any:
    """Return what is a kind of number, word or mapping as that."""
    if isinstance(found, np.generic):
        return found.item()
    for plain in (str, int, float):
        if isinstance(found, plain):
            return plain(found)
    if isinstance(found, Mapping):
        return dict(found)
    raise TypeError(f"a {type(found).__name__} has no place in JSON")


def _mend(found: Any) -> Any:
    """Return it with half characters, as a broken name of a file has them, replaced."""
    if isinstance(found, str):
        return found.encode(errors="replace").decode()
    if isinstance(found, Mapping):
        return {_mend(name): _mend(each) for name, each in found.items()}
    return [_mend(each) for each in found] if isinstance(found, list | tuple) else found


_JSON = msgspec.json.Encoder(enc_hook=_plain)
