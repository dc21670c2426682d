"""What may be written into the journal: names and words from fixed lists, and numbers.

A patient's name can only enter a record as free text, so there is none: whatever is not listed here
is refused where it is written. An error is kept as the name of its class, never as its message.
"""

import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.calibration import Calibration
from neurosono.engine.contracts.errors import ERRORS_BY_NAME, InputError
from neurosono.engine.contracts.frame import SkipReason
from neurosono.engine.contracts.labels import NAME, validate_labels
from neurosono.engine.contracts.manifest import SHA256

FieldKind = type[int] | type[float] | type[bool] | frozenset[str] | re.Pattern[str]
"""What a field may hold: a number, a truth value, a word of a list, or a word of a pattern."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PLAIN_WORD = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""The name that a bundle or an engine was given by those who made it; no spaces."""
LABEL = NAME
EXAM_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")
"""Made by us of the hour and chance, so that nobody names an exam after its patient."""
STREAM_ID = re.compile(r"[0-9a-f]{32}")
STAGE = re.compile(r"[a-z_]{1,24}")

ROLES = _words("capture engine reader")
ERRORS = frozenset(ERRORS_BY_NAME)
SKIPS = frozenset(map(str, SkipReason))
KEEP_REASONS = _words("key freeze quality evidence plane finding")
"""Why a key frame is kept: by the user's key, or proposed by itself."""
VERDICTS = _words("accept reject reassign")
STATUS_OF_VERDICT = {"accept": "accepted", "reject": "rejected", "reassign": "reassigned"}

EVENTS: dict[str, dict[str, FieldKind]] = {
    "opened": {"rate_hz": float, "width_px": int, "height_px": int, "source": PLAIN_WORD},
    "ready": {"backend": PLAIN_WORD, "precision": PLAIN_WORD, "members": int},
    "ensemble-ready": {"backend": PLAIN_WORD, "precision": PLAIN_WORD, "members": int},
    "ensemble-failed": {"error": ERRORS},
    "carried-by": {"by": _words("student ensemble"), "judged": int},
    "resumed": {"used": int, "sampled": int},
    "reader-ready": {
        "reader": PLAIN_WORD,
        "backend": PLAIN_WORD,
        "precision": PLAIN_WORD,
        "members": int,
    },
    "failed": {"role": ROLES, "reader": PLAIN_WORD, "error": ERRORS},
    "restarted": {"role": ROLES, "reader": PLAIN_WORD, "count": int},
    "gave-up": {"role": ROLES, "reader": PLAIN_WORD, "count": int},
    "reconnected": {"count": int},
    "clock-jump": {"step_s": float, "elapsed_s": float},
    "lost": {"was_open": bool},
    "reconnecting": {"attempt": int, "delay_s": float},
    "timeout": {"after_s": float},
    "stream-restart": {"step_s": float},
    "second-sender": {"ignored": int},
    "damage": {},
    "recovered": {},
    "stuck": {"threads": int},
    "size-change": {"width_px": int, "height_px": int},
    "layout-change": {"x_px": int, "y_px": int, "w_px": int, "h_px": int},
    "text-masked": {"boxes": int, "area_share": float},
    "state": {
        "part": _words("ai signal display recording"),
        "value": _words("on off starting frozen hidden shown no-signal"),
    },
    "viewer-joined": {"viewers": int},
    "viewer-left": {"viewers": int},
    "recording-begun": {"overlay": bool},
    "recording-ended": {"segments": int, "pictures": int},
    "kept": {"key_frame": re.compile(r"[0-9a-f]{12}"), "reason": KEEP_REASONS, "seq": int},
    "reviewed": {"key_frame": re.compile(r"[0-9a-f]{12}"), "verdict": VERDICTS, "label": LABEL},
    "journal-held-up": {"fault": _words("full locked disk gone"), "for_ms": float},
    "journal-lost": {"entries": int},
}
"""Every event there is, and its fields; each field may be left out."""

ABOUT: dict[str, FieldKind] = {
    "bundle": PLAIN_WORD,
    "bundle_sha256": SHA256,
    "student": PLAIN_WORD,
    "student_sha256": SHA256,
    "mode": _words("live replay demo"),
    "source": _words("recording stills dicom phantom device rtsp udp srt http loop mixed"),
    "backend": PLAIN_WORD,
    "precision": PLAIN_WORD,
    "members": int,
    "release": PLAIN_WORD,
}
"""What an exam's beginning says, beside the labels and the calibration."""

READER: dict[str, FieldKind] = {"kind": PLAIN_WORD, "bundle": PLAIN_WORD, "sha256": SHA256}
"""What an exam's beginning says of each of its `readers`, by the name of its readings."""

CALIBRATIONS = ("calibration", "student_calibration")
"""What an exam's beginning says beside its labels and `ABOUT`: the student's where there is one."""

END: dict[str, FieldKind] = {
    "complete": bool,
    "decoded": int,
    "displayed": int,
    "dropped": int,
    "sampled": int,
    "used": int,
    "broken_at_frame": int,
    "repaired_timestamps": int,
}
"""What an exam's end says; those of `exam.json` that are counts."""


def check_event(name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event's fields; raise `InputError` on what is not in `EVENTS`."""
    if name not in EVENTS:
        raise InputError(f"no event {name!r}: add it to EVENTS, or use one of {sorted(EVENTS)}")
    return _check(f"event {name}", fields, EVENTS[name])


def check_word(what: str, value: str, words: frozenset[str]) -> str:
    """Return `value`; raise `InputError` unless it is one of `words`."""
    if value not in words:
        raise InputError(f"{what} must be one of {sorted(words)}, found {value!r}")
    return value


def check_about(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an exam begins with; raise `InputError` on anything not in `ABOUT`.

    `labels` and `calibration` (as in `calibration.json`) must be there: with them an exam can be
    computed again although its bundle is gone.
    """
    calibrations = {name: about[name] for name in CALIBRATIONS if name in about}
    readers = {
        name: _check(f"the reader {name}", fields, READER)
        for name, fields in about.get("readers", {}).items()
    }
    for name in readers:
        _check("a reader's name", {"reader": name}, {"reader": PLAIN_WORD})
    rest = {
        name: value
        for name, value in about.items()
        if name not in ("labels", "readers") and name not in calibrations
    }
    if {"labels", "calibration", "bundle_sha256"} - set(about):
        raise InputError("an exam begins with its labels, calibration and bundle_sha256")
    labels = validate_labels(about["labels"])
    for label in labels:
        _check("an exam's labels", {"label": label}, {"label": LABEL})
    checked = _check("an exam's beginning", rest, ABOUT) | {"labels": list(labels)}
    if readers:
        checked["readers"] = readers
    for name, found in calibrations.items():
        checked[name] = Calibration.from_json(dict(found)).to_json()
    return checked


def describe_bundle(
    bundle: Bundle,
    student: Bundle | None = None,
    readers: Mapping[str, Bundle] = MappingProxyType({}),
) -> dict[str, Any]:
    """Return the part of an exam's beginning that its bundles answer for."""
    about: dict[str, Any] = {
        "bundle": _name_plainly(bundle),
        "bundle_sha256": bundle.manifest.digest,
        "labels": list(bundle.manifest.labels),
        "calibration": bundle.calibration.to_json(),
    }
    if readers:
        about["readers"] = {
            name: {
                "kind": each.manifest.kind,
                "bundle": _name_plainly(each),
                "sha256": each.manifest.digest,
            }
            for name, each in readers.items()
        }
    if student is None:
        return about
    return about | {
        "student": _name_plainly(student),
        "student_sha256": student.manifest.digest,
        "student_calibration": student.calibration.to_json(),
    }


def _name_plainly(bundle: Bundle) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", bundle.manifest.name)[:64] or "unnamed"


def pick_end(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the counts of `exam.json` (flat, or under `frames`); all its words stay behind.

    Not refused but left out, because `exam.json` itself may hold them: its `source`, its `error`.
    """
    found = {**record, **dict(record.get("frames") or {})}
    picked = {name: found[name] for name in END if found.get(name) is not None}
    return _check("an exam's end", picked, END)


def _check(what: str, fields: Mapping[str, Any], kinds: Mapping[str, FieldKind]) -> dict[str, Any]:
    for name, value in fields.items():
        if name not in kinds:
            raise InputError(
                f"{what} has no field {name!r}: it may hold {sorted(kinds)}, and no free text"
            )
        if not _fits(value, kinds[name]):
            # the value itself is not repeated: it may be what must not be written down
            raise InputError(f"{what}: {name} must be {_name(kinds[name])}; free text is refused")
    return {name: _plain(value) for name, value in fields.items()}


def _fits(value: Any, kind: FieldKind) -> bool:
    if isinstance(kind, frozenset):
        return isinstance(value, str) and value in kind
    if isinstance(kind, re.Pattern):
        return isinstance(value, str) and kind.fullmatch(value) is not None
    if kind is bool or isinstance(value, bool):
        return kind is bool and isinstance(value, bool)
    number = (int, np.integer) if kind is int else (int, float, np.integer, np.floating)
    return isinstance(value, number) and math.isfinite(value)


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return str(value)
    return value.item() if isinstance(value, np.generic) else value


def _name(kind: FieldKind) -> str:
    if isinstance(kind, frozenset):
        return f"one of {sorted(kind)}"
    return f"like {kind.pattern}" if isinstance(kind, re.Pattern) else f"a finite {kind.__name__}"
