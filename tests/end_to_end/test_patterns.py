"""`--also` a bundle of patterns: what a replay says of findings, and what a record tells again."""

import json
from pathlib import Path
from typing import Any

import pytest

from neurosono.engine.kinds import recall, tell_recorded
from neurosono.engine.patterns.groups import GROUPS
from neurosono.engine.patterns.names import FINDINGS, MEGA_CISTERNA, NO_CSP, SEVERE_WIDTH
from neurosono.engine.patterns.words import NO_DIAGNOSIS
from tests.support.clips import write_clip
from tests.support.commands import assert_adds_up, read_lines, run
from tests.support.patterns import DWELL, make_patterns_bundle

SOURCE = "phantom:normal?seed=7&seconds=3&fps=10&width=400&height=300"


@pytest.fixture(scope="module")
def out(bundle_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("patterns")
    patterns = make_patterns_bundle(folder / "bundle")
    told = ("--bundle", bundle_root, "--also", patterns, "--out", folder / "out")
    done = run("replay", SOURCE, *told)
    assert done.returncode == 0, done.stderr
    said = " ".join((done.stdout + done.stderr).split())
    assert "severe ventriculomegaly" in said
    assert NO_DIAGNOSIS in said
    return folder / "out"


def test_findings_are_told_with_their_frames_and_contradict_nothing(out: Path) -> None:
    exam = assert_adds_up(out)["readings"]["patterns"]
    lines = [line["readings"]["patterns"] for line in read_lines(out)]
    used = [line for line in lines if line["used"]]
    assert exam["frames"]["used"] == len(used) > 10
    excluded = [set(group.labels) for group in GROUPS if not group.cover]
    for line in used:
        labels = {box["label"] for box in line["boxes"]}
        assert all(len(labels & group) <= 1 for group in excluded)
        assert MEGA_CISTERNA not in labels, "below its threshold"
    seen = {name for name in FINDINGS if exam["findings"][name]["seen"]}
    assert seen == {NO_CSP, SEVERE_WIDTH}
    for name in seen:
        each = exam["findings"][name]
        assert each["looks"] >= DWELL
        best = next(line for line in read_lines(out) if line["seq"] == each["best"]["seq"])
        assert name in {box["label"] for box in best["readings"]["patterns"]["boxes"]}
    pictures = {path.name for path in (out / "planes").iterdir()}
    assert pictures == {f"patterns-{name}.png" for name in seen}


def test_a_record_adds_up_to_the_same_findings_without_the_bundle(out: Path) -> None:
    exam = json.loads((out / "exam.json").read_bytes())["readings"]["patterns"]
    again = recall("patterns")
    for line in read_lines(out):
        again.update(_as_recorded(line))
    assert json.loads(json.dumps(again.snapshot()["findings"])) == exam["findings"]
    told = tell_recorded("patterns", again.snapshot())
    assert told.lines[-1] == NO_DIAGNOSIS
    assert len(told.lines) == 3


def _as_recorded(line: dict[str, Any]) -> Any:
    from neurosono.engine.contracts.frame import Frame, SkipReason
    from neurosono.engine.contracts.reader import ReaderResult

    said = dict(line["readings"]["patterns"])
    reason = said.pop("skip_reason")
    skipped = None if reason is None else SkipReason(reason)
    frame = Frame("", line["seq"], 0, line["pts_s"], None, skip_reason=SkipReason.FROZEN)
    spoken = None if skipped else said
    return ReaderResult.of(frame, "patterns", said=spoken, skip_reason=skipped)


@pytest.mark.parametrize(
    ("told", "seen", "words"),
    [
        ((), False, "fetus's are not known: give --weeks"),
        (("--weeks", "33"), False, "no findings: 33 weeks as told; learnt at 18 to 26 weeks"),
        (("--weeks", "21"), True, NO_DIAGNOSIS),
    ],
)
def test_a_bundle_that_is_bound_to_weeks_abstains_of_others(
    bundle_root: Path, tmp_path: Path, told: tuple[str, ...], seen: bool, words: str
) -> None:
    bound = make_patterns_bundle(tmp_path / "bundle", weeks=(18.0, 26.0))
    out = tmp_path / "out"
    clip = write_clip(tmp_path / "clip.mp4", 75)  # which tells no scale, so no HC either
    asked = ("--bundle", bundle_root, "--also", bound, "--every", "5", "--out", out)
    done = run("replay", clip, *asked, *told)
    assert done.returncode == 0, done.stderr
    assert words in " ".join((done.stdout + done.stderr).split())
    exam = assert_adds_up(out)["readings"]["patterns"]
    assert any(each["seen"] for each in exam["findings"].values()) is seen
    assert exam["weeks"]["told"] == (float(told[1]) if told else None)
    boxes = [
        box
        for line in read_lines(out)
        if line["readings"]["patterns"]["used"]
        for box in line["readings"]["patterns"]["boxes"]
    ]
    assert boxes, "the normal structures are told of any"
    assert any(box["finding"] for box in boxes) is seen
    kept = out / "planes"
    assert (kept.is_dir() and any(kept.iterdir())) is seen
