"""One thing said to the journal, as bytes for its notebook: never pickle."""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from neurosono.engine.contracts.arrays import Pixels, Singles
from neurosono.engine.contracts.codec import check_array, encode
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.contracts.result import Result
from neurosono.stream.journal.words import EXAM_ID, LABEL, PLAIN_WORD, SKIPS, STAGE, STREAM_ID

HEAD = struct.Struct("<BB22sqq")
"""kind, flag, exam id (ASCII), monotonic_ns, wall_ns."""


class EntryKind(IntEnum):
    """What an entry says."""

    BEGIN = 1
    RESULT = 2
    EVENT = 3
    KEEP = 4
    REVIEW = 5
    END = 6
    RESUME = 7
    READING = 8


@dataclass(frozen=True)
class Entry:
    """A kind, an exam, the two times, and the bytes that follow; `flag` is `judged` of a result."""

    kind: EntryKind
    exam_id: str
    monotonic_ns: int
    wall_ns: int
    body: bytes | memoryview = b""
    flag: bool = False

    def pack(self) -> tuple[bytes, bytes | memoryview]:
        """Return the entry as bytes, in two parts: its body is not copied."""
        head = HEAD.pack(
            self.kind, self.flag, self.exam_id.encode("ascii"), self.monotonic_ns, self.wall_ns
        )
        return head, self.body

    @classmethod
    def unpack(cls, data: bytes) -> "Entry":
        """Read what `pack` made; raises `ValueError` on anything else."""
        if len(data) < HEAD.size:
            raise ValueError("an entry is too short")
        kind, flag, exam_id, monotonic_ns, wall_ns = HEAD.unpack_from(data)
        name = exam_id.decode("ascii")
        if EXAM_ID.fullmatch(name) is None:
            raise ValueError("an entry names no exam")
        body = memoryview(data)[HEAD.size :]
        return cls(EntryKind(kind), name, monotonic_ns, wall_ns, body, bool(flag))


def pack_json(content: Mapping[str, Any]) -> bytes:
    """Return `content` as the body of an entry."""
    return json.dumps(content, separators=(",", ":")).encode()


class ResultCheck:
    """Sees that a result holds only what may be written, and that an exam can be made of it."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        self._labels = labels
        self._known = frozenset(labels)
        self._stages: set[str] = set()

    def pack(self, result: Result) -> bytes:
        """Return a result as the body of an entry, without its heatmap; raises `InputError`."""
        classes = len(self._labels)
        members, exam = result.member_probabilities, result.exam
        if result.used != (members is not None) or result.used != (
            result.probabilities is not None
        ):
            raise InputError("a used frame has probabilities and a skipped one has none")
        arrays = (exam.probabilities, exam.low, exam.high, exam.mean)
        if any(array is not None and array.shape != (classes,) for array in arrays) or (
            members is not None and (members.shape[1:] != (classes,) or members.dtype != np.float32)
        ):
            raise InputError(f"a result must hold {classes} classes, as its exam does")
        said = None if result.ensemble is None else result.ensemble.probabilities
        if said is not None and (said.shape[1:] != (classes,) or said.dtype != np.float32):
            raise InputError(f"an ensemble's answer must be of {classes} classes, in float32")
        if STREAM_ID.fullmatch(result.stream_id) is None:
            raise InputError("a stream's id must be 32 hex digits")
        if not self._known.issuperset(exam.prediction_set) or not SKIPS.issuperset(exam.skipped):
            raise InputError("a result names a label or a reason that its exam does not have")
        if result.plane is not None and PLAIN_WORD.fullmatch(result.plane) is None:
            raise InputError(f"a plane's name must be like {PLAIN_WORD.pattern}")
        if not self._stages.issuperset(result.stage_ms):
            if any(STAGE.fullmatch(stage) is None for stage in result.stage_ms):
                raise InputError(f"a stage's name must be like {STAGE.pattern}")
            self._stages.update(result.stage_ms)
        return encode(result if result.cam is None else replace(result, cam=None))


def pack_reading(reading: ReaderResult) -> bytes:
    """Return a reading as the body of an entry; raises `InputError` on free text in it."""
    if STREAM_ID.fullmatch(reading.stream_id) is None:
        raise InputError("a stream's id must be 32 hex digits")
    _check_words(reading.reader)
    _check_words(reading.said)
    _check_words(reading.told_mm_per_px)
    return encode(reading)


def _check_words(found: Any) -> None:
    """Raise `InputError` unless every name and word is plain."""
    if isinstance(found, Mapping):
        for name, each in found.items():
            _check_words(name)
            _check_words(each)
    elif isinstance(found, list | tuple):
        for each in found:
            _check_words(each)
    elif isinstance(found, str) and PLAIN_WORD.fullmatch(found) is None:
        raise InputError(
            f"a reading's words must be like {PLAIN_WORD.pattern}; free text is refused"
        )


class Kept(Struct, frozen=True):
    """A picture that was kept: of which frame, why, and its pixels.

    `pixels` is `(H, W)` grey or `(H, W, 3)` BGR, uint8: the ultrasound region and nothing beside
    it. `heatmap` is `(h, w)` grey levels, 255 for 1, of this very frame, or None.
    """

    name: str
    stream_id: str
    seq: int
    reason: str
    label: str | None
    pixels: Pixels
    heatmap: Pixels | None

    def __post_init__(self) -> None:
        shape = self.pixels.shape
        if self.pixels.dtype != np.uint8 or not (
            len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)
        ):
            raise InputError(
                f"a key frame must be (H, W) or (H, W, 3) uint8, found {shape} {self.pixels.dtype}"
            )
        check_array("a heatmap", self.heatmap, 2, np.uint8)
        if STREAM_ID.fullmatch(self.stream_id) is None:
            raise InputError("a stream's id must be 32 hex digits")
        if self.label is not None and LABEL.fullmatch(self.label) is None:
            raise InputError(f"a label must be like {LABEL.pattern}")


def to_levels(heatmap: Singles | None) -> Pixels | None:
    """Return a heatmap of 0 to 1 as grey levels."""
    if heatmap is None:
        return None
    return np.rint(np.clip(np.nan_to_num(heatmap) * 255, 0, 255)).astype(np.uint8)
