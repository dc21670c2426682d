"""Results for the exam record, made by a real exam; and a real process that records them."""

import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from neurosono.engine.contracts.calibration import Calibration
from neurosono.engine.contracts.codec import decode, encode
from neurosono.engine.contracts.frame import SkipReason
from neurosono.engine.contracts.labels import DEFAULT_LABELS
from neurosono.engine.contracts.result import Result
from neurosono.engine.exam.exam import Exam, measure_disagreement

STREAM = "0123456789abcdef" * 2
CALIBRATION = Calibration(temperature=1.5, conformal_threshold=0.6)
ABOUT: dict[str, Any] = {
    "labels": list(DEFAULT_LABELS),
    "calibration": CALIBRATION.to_json(),
    "bundle": "test",
    "bundle_sha256": "ab" * 32,
    "backend": "openvino",
    "precision": "int8",
    "members": 3,
    "mode": "replay",
    "source": "phantom",
}


def make_exam() -> Exam:
    return Exam(DEFAULT_LABELS, CALIBRATION)


def make_results(exam: Exam, count: int, seed: int = 0, first: int = 0) -> Iterator[Result]:
    """Yield what an engine says of frames `first` to `count`, every fifth of which is skipped.

    Two feeds of one seed are the same from any `first` on.
    """
    for seq in range(first, count):
        rng = np.random.default_rng((seed, seq))
        clock = (STREAM, seq, seq * 33_000_000, seq / 30)
        if rng.random() < 0.2:
            reason = SkipReason.FROZEN if rng.random() < 0.5 else SkipReason.NEAR_DUPLICATE
            exam.skip(reason)
            yield Result(*clock, exam.snapshot(), reason, stage_ms={"decode": rng.random()})
            continue
        members = rng.dirichlet(np.ones(len(DEFAULT_LABELS)), 3).astype(np.float32)
        calibrated = exam.update(members)
        yield Result(
            *(*clock, exam.snapshot(), None, calibrated, members),
            cam=rng.random((5, 7, 7)).astype(np.float32),
            disagreement=measure_disagreement(members),
            stage_ms={"decode": rng.random(), "network": 3 * rng.random()},
        )


def alter(path: Path, seq: int, change: Callable[[Result], Result]) -> None:
    """Put another result into the record in the place of frame `seq`'s."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for number, said in connection.execute("SELECT id, said FROM result").fetchall():
            result = decode(said, Result)
            if result.seq == seq:
                row = (encode(change(result)), number)
                connection.execute("UPDATE result SET said = ? WHERE id = ?", row)
                return
    raise AssertionError(f"no frame {seq} in the record")


def record_for_ever(path: Path) -> None:
    """Record results, and say after each that it is recorded, as a screen would show it."""
    from neurosono.stream.journal.journal import Journal

    journal = Journal.open(path)
    exam = journal.begin(ABOUT)
    sys.stdout.write(f"{exam.exam_id}\n")
    for result in make_results(make_exam(), 1_000_000):
        exam.record(result)
        sys.stdout.write(f"{result.seq}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    record_for_ever(Path(sys.argv[1]))
