"""The bundle that ships: small, honest about itself, and right on phantoms it has never seen."""

from pathlib import Path

import pytest

from neurosono.engine.bundle import DEMO_PATH, Bundle
from neurosono.engine.contracts.labels import DEFAULT_LABELS
from neurosono.stream.replay.options import ReplayOptions
from neurosono.stream.replay.run import replay
from tests.support.commands import assert_adds_up, run

MAX_BYTES = 20 * 1000 * 1000
UNSEEN = [(label, seed) for label in DEFAULT_LABELS for seed in (9001, 9002)]
"""Seeds that nothing was trained, chosen or calibrated on; and `phantom:` sources share no random
stream with cohorts."""


def test_it_is_small_and_says_what_it_is() -> None:
    size = sum(path.stat().st_size for path in DEMO_PATH.rglob("*") if path.is_file())
    assert size <= MAX_BYTES
    manifest = Bundle.load("demo", DEFAULT_LABELS).manifest
    assert len(manifest.members) == 3
    assert {member.width for member in manifest.members} == {0.5}
    card = str(manifest.card).lower()
    assert "phantom" in card
    assert "patients" in card
    assert manifest.calibration is not None


@pytest.mark.slow
def test_nine_of_ten_unseen_phantom_exams_are_right(tmp_path: Path) -> None:
    right, said = 0, {}
    for label, seed in UNSEEN:
        out = tmp_path / f"{label}-{seed}"
        source = f"phantom:{label}?seed={seed}&seconds=8"
        record = replay(ReplayOptions((source,), out, every=3, video=False))
        said[source] = record["prediction"]
        right += record["prediction"] == label
    assert right >= 9, said


def test_the_demo_command_does_the_main_job(tmp_path: Path) -> None:
    done = run("demo", "--out", tmp_path / "demo")
    assert done.returncode == 0, done.stderr
    record = assert_adds_up(tmp_path / "demo")
    assert record["bundle"]["name"] == "neurosono-demo"
    assert record["frames"]["decoded"] == 500
    words = " ".join(done.stderr.split())
    for name in ("overlay.mp4", "exam.json", "frames.jsonl", "not for diagnosis"):
        assert name in words
    assert record["prediction"] == "holoprosencephaly"
