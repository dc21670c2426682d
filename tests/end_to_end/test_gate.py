"""A replay with a gate says of each frame what the gate said, and its accounts still add up."""

import json
from pathlib import Path

import numpy as np
import pytest

from neurosono.engine.bundle import Bundle
from neurosono.engine.gate import Gate
from neurosono.engine.gate_folder import add_gate
from neurosono.engine.preprocess import preprocess
from neurosono.stream.pictures.region import full_region
from neurosono.stream.sources import open_source
from tests.support.bundles import make_bundle
from tests.support.commands import run
from tests.support.gates import make_gate

REAL_HEADS = "fpdb_brain_fullres/images"
REAL_OTHERS = "fpdb_nonbrain_planes/femur"


@pytest.mark.parametrize(("threshold", "reason"), [(0.001, None), (0.999, "not-head-or-spine")])
def test_frames_and_exam_tell_of_the_gate(
    tmp_path: Path, threshold: float, reason: str | None
) -> None:
    root = make_bundle(tmp_path / "bundle", members=1)
    add_gate(root, make_gate(tmp_path / "gate", threshold=threshold, unfamiliar=1.0))
    done = run(
        *("replay", "phantom:normal?seed=3&seconds=2", "--bundle", str(root)),
        *("--no-video", "--out", str(tmp_path / "out")),
    )
    assert done.returncode == 0, done.stderr
    lines = [
        json.loads(line) for line in (tmp_path / "out" / "frames.jsonl").read_text().splitlines()
    ]
    exam = json.loads((tmp_path / "out" / "exam.json").read_text())
    asked = [line for line in lines if line["gate"] is not None]
    assert asked
    assert exam["gate"]["asked"] == len(asked)
    assert all(0 <= line["gate"] <= 1 and 0 <= line["unfamiliarity"] <= 1 for line in asked)
    assert all(line["used"] == (reason is None) for line in asked)
    assert {line["skip_reason"] for line in asked} == {reason}
    assert exam["frames"]["sampled"] == len(lines)
    assert exam["frames"]["used"] + sum(exam["frames"]["skipped"].values()) == len(lines)
    assert exam["gate"]["refused"] == ({} if reason is None else {reason: len(asked)})
    assert (exam["prediction"] is None) == (reason is not None)
    assert "gate" in exam["latency_ms"]


def open_shipped() -> Gate:
    gate = Gate.open(Bundle.load("demo"))
    assert gate is not None, "the shipped bundle carries its gate"
    return gate


@pytest.mark.realdata
def test_the_shipped_gate_knows_real_heads_from_real_femurs(real_data: Path) -> None:
    gate, spec = open_shipped(), Bundle.load("demo").manifest.preprocessing

    def judge(folder: str) -> list[bool]:
        passed = []
        for path in sorted((real_data / folder).iterdir()):
            for picture in open_source([str(path)]).pictures():
                square = full_region(*picture.pixels.shape[:2]).crop(picture.pixels)
                passed.append(gate.judge(preprocess(square, spec)).refusal is None)
        return passed

    heads, others = judge(REAL_HEADS), judge(REAL_OTHERS)
    assert len(heads) > 100
    assert len(others) >= 90
    assert np.mean(heads) >= 0.99
    assert np.mean(others) <= 0.15  # 11 % of women held out


def test_the_shipped_gate_lets_phantom_exams_by(tmp_path: Path) -> None:
    open_shipped()
    done = run(
        *("replay", "phantom:normal?seed=5001&seconds=2", "--no-video"),
        *("--out", str(tmp_path / "out")),
    )
    assert done.returncode == 0, done.stderr
    lines = [
        json.loads(line) for line in (tmp_path / "out" / "frames.jsonl").read_text().splitlines()
    ]
    refused = [line for line in lines if line["gate"] is not None and not line["used"]]
    assert len(refused) <= 0.1 * len(lines)
