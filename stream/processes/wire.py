"""What travels between processes: one ZeroMQ part a message, never pickle.

A message is a fixed header, then `meta_bytes` of JSON, then the raw bytes of one array or none.
A single part, because ZeroMQ's CONFLATE keeps one part of a multipart message.
"""

import json
import struct
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosono.engine.contracts.errors import NeurosonoError, WireError
from neurosono.engine.contracts.frame import DisplayFrame, Frame, SkipReason
from neurosono.engine.contracts.pair import Carried, Carrier, EnsembleAnswer
from neurosono.engine.contracts.result import ExamSnapshot, ExamState, Result

MAGIC = b"NSNO"
VERSION = 1
HEADER = struct.Struct("<4sBBHIIQqqd32s")
"""magic, version, kind, reserved, meta bytes, payload bytes, number (seq or index), captured_ns,
sent_ns (both the monotonic clock), pts_s, stream id (ASCII, zero-padded)."""

KIND_AT = 5
"""Where in a message its kind stands."""

FRAME, DISPLAY, RESULT, EVENT, CREDIT = 1, 2, 3, 4, 5
MAX_MESSAGE_BYTES = 256 * 1024 * 1024
"""A larger message is refused before it is held in memory: an 8K BGR screen is 100 MB."""


@dataclass(frozen=True)
class Event:
    """Something that is not a picture: `opened`, `ready`, `end`, `failed`, `engine-off`."""

    name: str
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Credit:
    """The receiver can take `count` more; another `epoch` is another receiver, counted anew."""

    count: int
    epoch: int


Message = Frame | DisplayFrame | Result | Event | Credit


@dataclass(frozen=True)
class Received:
    """A message, and when its sender let it go (monotonic clock, nanoseconds)."""

    message: Message
    sent_ns: int


def pack(message: Message) -> bytes:
    """Turn a message into bytes."""
    match message:
        case Frame():
            frame_meta = {"skip": message.skip_reason, "ms": message.stage_ms}
            return _join(FRAME, message, message.seq, frame_meta, message.pixels)
        case DisplayFrame():
            meta: dict[str, Any] = {
                "seq": message.seq,
                "skip": message.skip_reason,
                "region": message.region_px,
                "ms": message.stage_ms,
            }
            return _join(DISPLAY, message, message.index, meta, message.pixels)
        case Result():
            return _join(RESULT, message, message.seq, _describe_result(message), message.cam)
        case Event():
            return _join(EVENT, None, 0, {"name": message.name, "fields": message.fields}, None)
        case Credit():
            return _join(CREDIT, None, message.count, {"epoch": message.epoch}, None)


def unpack(data: bytes | memoryview) -> Received:
    """Read a message; raises `WireError` on anything that `pack` of this version did not make."""
    view = memoryview(data)
    if not HEADER.size <= len(view) <= MAX_MESSAGE_BYTES:
        raise WireError(f"a message of {len(view)} bytes is none of ours")
    magic, version, kind, _, meta_bytes, payload_bytes, *rest = HEADER.unpack_from(view)
    if magic != MAGIC or version != VERSION:
        raise WireError(
            f"expected a message {MAGIC!r} of version {VERSION}, found {magic!r} {version}: "
            "run the same release of neurosono in every process"
        )
    if HEADER.size + meta_bytes + payload_bytes != len(view):
        raise WireError(f"a message says it has other lengths than its {len(view)} bytes")
    number, captured_ns, sent_ns, pts_s, stream = rest
    try:
        meta = json.loads(bytes(view[HEADER.size : HEADER.size + meta_bytes]))
        array = _read_array(meta.get("array"), view[HEADER.size + meta_bytes :])
        clock = (stream.rstrip(b"\0").decode("ascii"), number, captured_ns, pts_s)
        message = _build(kind, clock, meta, array)
    except (KeyError, TypeError, ValueError, AttributeError, NeurosonoError) as error:
        raise WireError(f"a message of kind {kind} is not readable: {error!r}") from error
    return Received(message, sent_ns)


def _join(
    kind: int,
    clocked: Frame | DisplayFrame | Result | None,
    number: int,
    meta: dict[str, Any],
    array: NDArray[Any] | None,
) -> bytes:
    payload: bytes | memoryview = b""
    if array is not None:
        meta["array"] = [array.dtype.str, list(array.shape)]
        payload = np.ascontiguousarray(array).data.cast("B")
    described = json.dumps(meta, separators=(",", ":")).encode()
    header = HEADER.pack(
        MAGIC,
        VERSION,
        kind,
        0,
        len(described),
        len(payload),
        number,
        0 if clocked is None else clocked.captured_ns,
        time.monotonic_ns(),
        0.0 if clocked is None else clocked.pts_s,
        b"" if clocked is None else clocked.stream_id.encode("ascii"),
    )
    return b"".join((header, described, payload))


def _read_array(described: Any, payload: memoryview) -> NDArray[Any] | None:
    if described is None:
        if len(payload):
            raise ValueError("a payload without a description")
        return None
    dtype, shape = described
    if dtype not in ("|u1", "<f4"):
        raise ValueError(f"dtype {dtype!r}")
    return np.frombuffer(payload, dtype=dtype).reshape([int(side) for side in shape])


def _build(
    kind: int, clock: tuple[str, int, int, float], meta: dict[str, Any], array: NDArray[Any] | None
) -> Message:
    stream_id, number, captured_ns, pts_s = clock
    match kind:
        case 1:
            return Frame(*clock, array, _read_reason(meta["skip"]), dict(meta["ms"]))
        case 2 if array is not None:
            return DisplayFrame(
                stream_id,
                number,
                captured_ns,
                pts_s,
                array,
                meta["seq"],
                _read_reason(meta["skip"]),
                None if meta["region"] is None else tuple(meta["region"]),
                dict(meta["ms"]),
            )
        case 3:
            return _build_result(clock, meta, array)
        case 4:
            return Event(str(meta["name"]), dict(meta["fields"]))
        case 5:
            return Credit(number, int(meta["epoch"]))
    raise ValueError("no such kind")


def _read_reason(found: str | None) -> SkipReason | None:
    return None if found is None else SkipReason(found)


def _listed(array: NDArray[Any] | None) -> list[Any] | None:
    return None if array is None else array.tolist()


def _describe_result(result: Result) -> dict[str, Any]:
    exam = result.exam
    return {
        "skip": result.skip_reason,
        "probabilities": _listed(result.probabilities),
        "members": _listed(result.member_probabilities),
        "disagreement": result.disagreement,
        "gate": result.gate,
        "unfamiliarity": result.unfamiliarity,
        "plane": result.plane,
        "ensemble": _describe_answer(result.ensemble),
        "ms": result.stage_ms,
        "exam": {
            "probabilities": exam.probabilities.tolist(),
            "low": exam.low.tolist(),
            "high": exam.high.tolist(),
            "set": list(exam.prediction_set),
            "state": exam.state,
            "used": exam.used,
            "effective": exam.effective_frames,
            "skipped": exam.skipped,
            "mean": _listed(exam.mean),
            "alarm": exam.alarm,
            "carried": describe_carried(exam.carried),
        },
    }


def describe_carried(carried: Carried | None) -> dict[str, Any] | None:
    """Return which of student and ensemble carries an exam, as JSON."""
    return None if carried is None else asdict(carried)


def build_carried(found: dict[str, Any] | None) -> Carried | None:
    """Read what `describe_carried` gave."""
    return None if found is None else Carried(**{**found, "by": Carrier(found["by"])})


def _describe_answer(answer: EnsembleAnswer | None) -> list[Any] | None:
    if answer is None:
        return None
    return [answer.seq, _listed(answer.probabilities), answer.network_ms]


def _build_answer(found: list[Any] | None) -> EnsembleAnswer | None:
    if found is None:
        return None
    seq, members, network_ms = found
    said = None if members is None else np.array(members, dtype=np.float32)
    return EnsembleAnswer(int(seq), said, float(network_ms))


def _build_result(
    clock: tuple[str, int, int, float], meta: dict[str, Any], cam: NDArray[Any] | None
) -> Result:
    exam, frame, members = meta["exam"], meta["probabilities"], meta["members"]
    snapshot = ExamSnapshot(
        np.array(exam["probabilities"], dtype=np.float64),
        np.array(exam["low"], dtype=np.float64),
        np.array(exam["high"], dtype=np.float64),
        tuple(str(label) for label in exam["set"]),
        ExamState(exam["state"]),
        int(exam["used"]),
        float(exam["effective"]),
        {str(reason): int(count) for reason, count in exam["skipped"].items()},
        None if exam["mean"] is None else np.array(exam["mean"], dtype=np.float64),
        bool(exam["alarm"]),
        build_carried(exam.get("carried")),
    )
    return Result(
        *clock,
        snapshot,
        _read_reason(meta["skip"]),
        None if frame is None else np.array(frame, dtype=np.float64),
        None if members is None else np.array(members, dtype=np.float32),
        cam,
        meta["disagreement"],
        dict(meta["ms"]),
        meta["gate"],
        meta["unfamiliarity"],
        meta["plane"],
        _build_answer(meta.get("ensemble")),
    )
