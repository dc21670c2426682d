"""The ventricles' bundle that ships: small, honest about itself, read beside the first one."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import neurosono
from neurosono.engine.bundle import DEMO_PATH, SHIPPED, Bundle, find_shipped
from neurosono.engine.contracts.frame import SkipReason
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.kinds import recall, tell_recorded
from neurosono.stream.phantom.exam import PhantomSpec, exam_frames
from tests.end_to_end.test_also import assert_readings_add_up
from tests.support.commands import assert_adds_up, run

MAX_BYTES = 4 * 1000 * 1000
LABELS = ("normal", "ventriculomegaly")
UNSEEN = [(seed, width_mm) for seed in (9001, 9002, 9003, 9005) for width_mm in (5.5, 16.0)]
"""`phantom:` sources share no random stream with cohorts; widths are far from the cut at 10 mm."""


def test_it_is_small_and_says_what_it_is() -> None:
    root = SHIPPED["vm"]
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    assert size <= MAX_BYTES
    manifest = Bundle.load("vm", LABELS).manifest
    card = manifest.card
    assert "phantom" in card["what"].lower()
    assert "nothing else" in card["intended_use"].lower()
    assert any("scale" in limit for limit in card["limits"])
    assert manifest.calibration is not None
    assert manifest.familiarity is not None


def held_plane(seed: int, width_mm: float) -> Iterator[NDArray[np.uint8]]:
    spec = PhantomSpec(
        "normal", seed=seed, seconds=1, fps=4, plane="transventricular", ventricle_mm=width_mm
    )
    return (frame.pixels for frame in exam_frames(spec))


def test_wide_and_narrow_ventricles_of_unseen_phantoms_are_told_apart() -> None:
    wide: dict[int, dict[float, float]] = {seed: {} for seed, _ in UNSEEN}
    for seed, width_mm in UNSEEN:
        answers = [
            answer.probabilities["ventriculomegaly"]
            for _, answer in neurosono.judge(held_plane(seed, width_mm), bundle="vm")
            if answer.probabilities
        ]
        wide[seed][width_mm] = float(np.mean(answers)) if answers else 0.5
    assert sum(each[16.0] > each[5.5] for each in wide.values()) >= 3, wide


def test_a_replay_reads_it_beside_the_demo(tmp_path: Path) -> None:
    out = tmp_path / "out"
    source = "phantom:normal?seed=9001&seconds=3&ventricle_mm=15"
    done = run("replay", source, "--bundle", "demo", "--also", "vm", "--out", out)
    assert done.returncode == 0, done.stderr
    record = assert_adds_up(out)
    assert_readings_add_up(record, "vm")
    assert record["bundle"]["name"] == "neurosono-demo"
    assert record["readings"]["vm"]["bundle"]["sha256"] == Bundle.load("vm").manifest.digest


def test_a_record_tells_what_it_read_without_naming_its_folder() -> None:
    digest = Bundle.load("vm").manifest.digest
    assert find_shipped(Bundle.load(DEMO_PATH).manifest.digest) is not None
    assert find_shipped("0" * 64) is None
    exam, counted = recall("classifier", digest), recall("classifier", "0" * 64)
    said = {"probabilities": {}, "members": [[0.9, 0.1]], "disagreement": 0.0}
    for seq in range(4):
        skipped = SkipReason.UNFAMILIAR_TO_MODEL if seq == 3 else None
        result = ReaderResult(
            stream_id="s",
            seq=seq,
            captured_ns=seq,
            pts_s=seq / 4,
            reader="vm",
            said=None if skipped else said,
            skip_reason=skipped,
        )
        exam.update(result)
        counted.update(result)
    known = json.loads(json.dumps(exam.snapshot()))
    assert known["frames"] == counted.snapshot()["frames"]
    assert known["frames"]["used"] == 3
    assert tell_recorded("classifier", known).lines
    assert tell_recorded("classifier", counted.snapshot()).lines == ()


def test_of_a_fetus_of_other_weeks_it_says_nothing() -> None:
    """It measures no head: told weeks are all that it knows, and without them it is silent."""
    pictures = list(held_plane(9001, 16.0))
    for weeks, used, words in ((None, 4, "not told"), (21.0, 4, ""), (32.0, 0, "not of the")):
        *_, last = neurosono.judge(pictures, also=["vm"], weeks=weeks)
        read = last[1].exams_read["vm"]
        assert read["frames"]["used"] == used
        assert read["frames"]["skipped"] == ({} if used else {"other-weeks": 4})
        lines = tell_recorded("classifier", {"kind": "classifier", **read}).lines
        assert words in " ".join(lines)
        assert ("nothing is said" in lines[0]) is bool(words)
