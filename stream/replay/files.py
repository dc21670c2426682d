"""What a replay leaves: `frames.jsonl`, a line a sampled frame, and `exam.json`."""

import contextlib
import fcntl
import json
import os
import tempfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from neurosono.engine.contracts.errors import OutputError
from neurosono.engine.contracts.frame import SkipReason
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.contracts.result import Result
from neurosono.engine.exam.exam import average_members, measure_disagreement
from neurosono.engine.files import create_private, writing
from neurosono.stream.view.summary import describe_result, name_values

OUTPUT_NAMES = (
    *("exam.json", "frames.jsonl", "overlay.mp4"),
    *(".frames.jsonl.partial", "overlay.partial.mp4"),
)
"""Every name that a replay writes under, whole or not yet."""

SHOWN = (
    *("seq", "pts_s", "probabilities", "used", "skip_reason"),
    *(
        "disagreement",
        "gate",
        "unfamiliarity",
        "plane",
        "strangeness",
        "mm_per_px",
        "mm_per_px_from",
        "told_mm_per_px",
    ),
)
"""What a line of `frames.jsonl` shows of its result, beside `ensemble` and `ms`."""

EXAM_NAME, FRAMES_NAME, OVERLAY_NAME = "exam.json", "frames.jsonl", "overlay.mp4"


def prepare_folder(out: Path) -> bool:
    """Make `out` and see that it can be written; returns whether it was made now.

    Raises `OutputError`.
    """
    remedy = "choose another --out, or free the place"
    with writing(f"to {out}", remedy):
        made = not out.exists()
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):  # of no name: nobody else has the same
            pass
    return made


def lock_folder(out: Path) -> int:
    """Take `out` for this replay alone, until the returned descriptor is closed.

    Raises `OutputError` where another replay has it.
    """
    descriptor = os.open(out, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise OutputError(
            f"another replay is writing to {out}: wait for it, or choose another --out"
        ) from error
    return descriptor


SPACE = "free some space or choose another --out"


class GateTally:
    """What the gate said of an exam's frames, added up."""

    def __init__(self) -> None:
        self._scores: list[float] = []
        self._refused: dict[str, int] = {}
        self._planes: dict[str, int] = {}

    def add(self, result: Result) -> None:
        """Add one result; those that never reached a gate are not counted."""
        if result.gate is None:
            return
        self._scores.append(result.gate)
        if result.skip_reason not in (None, SkipReason.UNFAMILIAR_TO_MODEL):
            _count(self._refused, str(result.skip_reason))
        if result.plane is not None:
            _count(self._planes, result.plane)

    def summarise(self) -> dict[str, Any] | None:
        """Return `gate` of `exam.json`; None where no frame was shown to a gate."""
        if not self._scores:
            return None
        return {
            "asked": len(self._scores),
            "refused": self._refused,
            "median_score": round(float(np.median(self._scores)), 4),
            "planes": self._planes,
        }


def _count(counts: dict[str, int], word: str) -> None:
    counts[word] = counts.get(word, 0) + 1


class FramesWriter:
    """Writes `frames.jsonl` in the order of `seq`, aside until `close`.

    A line is whole once its result and the reading of each of `readers` have come.
    """

    def __init__(self, out: Path, labels: tuple[str, ...], readers: tuple[str, ...] = ()) -> None:
        self._labels, self._readers = labels, readers
        self._path = out / FRAMES_NAME
        self._partial = out / f".{FRAMES_NAME}.partial"
        self._waiting: dict[int, dict[str, Any]] = {}
        self._readings: dict[int, dict[str, Any]] = {}
        self._next_seq = 0
        self.gate = GateTally()
        with writing(self._partial, SPACE):
            self._file: IO[str] = os.fdopen(create_private(self._partial), "w", encoding="utf-8")

    def write(self, result: Result) -> None:
        """Take a result; its line is written once all before it have come."""
        self.gate.add(result)
        self._waiting[result.seq] = self._describe(result)
        self._write_whole()

    def read(self, reading: ReaderResult) -> None:
        """Take what a reader says of a frame."""
        self._readings.setdefault(reading.seq, {})[reading.reader] = reading.describe()
        self._write_whole()

    def _write_whole(self) -> None:
        """Write the lines that are whole and whose turn it is."""
        with writing(self._path, SPACE):
            while self._next_seq in self._waiting and len(
                self._readings.get(self._next_seq, ())
            ) == len(self._readers):
                self._write_line(self._waiting.pop(self._next_seq))

    def close(self) -> None:
        """Write what still waits and give the file its name."""
        with writing(self._path, SPACE):
            for seq in sorted(self._waiting):
                self._write_line(self._waiting[seq])
            self._waiting.clear()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._partial.replace(self._path)

    def abort(self) -> None:
        """Leave nothing behind."""
        with contextlib.suppress(OSError):  # a full disk: what is not flushed goes with the file
            self._file.close()
        self._partial.unlink(missing_ok=True)

    def _write_line(self, line: dict[str, Any]) -> None:
        if self._readers:
            said = self._readings.pop(line["seq"], {})
            line = line | {"readings": {name: said.get(name) for name in self._readers}}
        self._file.write(json.dumps(line) + "\n")
        self._next_seq = line["seq"] + 1

    def _describe(self, result: Result) -> dict[str, Any]:
        said = describe_result(self._labels, result)
        line = {name: said[name] for name in SHOWN}
        return line | self._describe_ensemble(result) | {"ms": said["stage_ms"]}

    def _describe_ensemble(self, result: Result) -> dict[str, Any]:
        """Return what the ensemble said meanwhile: of which frame, its plain mean."""
        answer = result.ensemble
        if answer is None:
            return {}
        members = answer.probabilities
        said = None if members is None else average_members(members, len(self._labels))
        told: dict[str, Any] = {"seq": answer.seq, "mean": name_values(self._labels, said)}
        if members is not None:
            told["disagreement"] = measure_disagreement(members)
        return {"ensemble": told}
