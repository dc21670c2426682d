"""The patterns' bundle that ships: small, honest about itself, and of use on phantoms."""

from pathlib import Path

import cv2
import numpy as np
import pytest

import neurosono
from neurosono.engine.bundle import PATTERNS_NAME, SHIPPED, Bundle
from neurosono.engine.contracts.manifest import PATTERNS as KIND
from neurosono.engine.patterns.names import FINDINGS, LABELS
from neurosono.engine.patterns.rules import Rules
from neurosono.stream.phantom.cohort import deal_findings
from neurosono.stream.phantom.exam import exam_frames
from neurosono.stream.phantom.findings import FINDING_WEEKS as DRAWN_WEEKS
from neurosono.stream.phantom.spec import NO_FINDING
from neurosono.training.patterns.subject import FINDING_WEEKS

ROOT = SHIPPED[PATTERNS_NAME]
MAX_BYTES = 4_000_000
SEED = 9700
"""Of phantoms that nobody trained on or set a threshold by."""


@pytest.fixture(scope="module")
def reader() -> neurosono.OpenReader:
    return neurosono.open_bundle(PATTERNS_NAME)


def test_it_is_small_and_says_what_it_is() -> None:
    size = sum(path.stat().st_size for path in ROOT.rglob("*") if path.is_file())
    assert size <= MAX_BYTES
    manifest = Bundle.load(PATTERNS_NAME, kind=KIND).manifest
    card = manifest.card
    assert manifest.labels == LABELS
    assert set(card["unproven"]) >= set(FINDINGS)
    assert "not for diagnosis" in card["intended_use"]
    assert any("phantoms alone" in line for line in card["limits"])
    assert any("CC BY 4.0" in line for line in card["attribution"])
    measured = card["measured"]
    assert measured["contradictions"]["after"] == 0
    assert measured["real"]["any_picture"]["value"] <= 0.05
    assert Rules.from_card(card).dwell >= 3
    assert tuple(card["weeks"]) == FINDING_WEEKS == DRAWN_WEEKS


def _count(reader: neurosono.OpenReader, finding: str, exams: int) -> tuple[int, int, int]:
    """Return pictures that show a finding, those in which it is said, and others said."""
    shown = right = others = 0
    for spec in deal_findings(exams, [finding], SEED, 6.0, 1.0):
        for frame in exam_frames(spec, structures=True):
            if frame.kind != "bmode" or frame.truth is None or frame.truth.head is None:
                continue
            x, y, w, h = frame.region
            grey = cv2.cvtColor(frame.pixels[y : y + h, x : x + w], cv2.COLOR_BGR2GRAY)
            said = reader.judge(np.asarray(grey, np.uint8), weeks=22).to_dict()
            found = {box["label"] for box in said["boxes"] if box["finding"]}
            visible = {each.label for each in frame.truth.findings if each.visible > 0.9}
            shown += finding in visible
            right += finding in visible and finding in found
            others += bool(found - {finding})
    return shown, right, others


def test_it_finds_a_single_ventricle_and_none_in_a_control(reader: neurosono.OpenReader) -> None:
    shown, right, _ = _count(reader, "crescent-single-ventricle", 4)
    assert shown >= 5
    assert right > shown / 3
    _, _, alarms = _count(reader, NO_FINDING, 4)
    assert alarms <= 1


def test_an_empty_picture_shows_nothing(reader: neurosono.OpenReader) -> None:
    assert reader.judge(np.zeros((480, 640), np.uint8)).to_dict()["boxes"] == []


def test_real_normal_heads_stay_quiet(real_data: Path, reader: neurosono.OpenReader) -> None:
    """Of women on whom thresholds were set; the card says what others had."""
    pictures = sorted((real_data / "fpdb_brain_fullres" / "images").glob("*.png"))[::8]
    assert len(pictures) > 10
    loud = 0
    for path in pictures:
        said = reader.judge(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), weeks=22).to_dict()
        loud += any(box["finding"] for box in said["boxes"])
    assert loud <= 1
