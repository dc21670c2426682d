"""The structures' bundle that ships: small, honest about itself, and of use on real pictures."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

import neurosono
from neurosono.engine.bundle import SHIPPED, STRUCTURES_NAME, Bundle
from neurosono.engine.contracts.manifest import STRUCTURES as KIND
from neurosono.engine.structures.names import LEARNT_ON_PHANTOMS, PLANES
from neurosono.training.detect.rows import Row
from neurosono.training.detect.tables import HEADS_TABLE
from tests.support.clips import write_clip
from tests.support.commands import assert_adds_up, run

ROOT = SHIPPED[STRUCTURES_NAME]
MAX_BYTES = 6_000_000
AT_18_WEEKS_MM = 140.0
"""HC from which on a neurosonogram is made."""


@pytest.fixture(scope="module")
def reader() -> neurosono.OpenReader:
    return neurosono.open_bundle(STRUCTURES_NAME)


def test_it_is_small_and_says_what_it_is() -> None:
    size = sum(path.stat().st_size for path in ROOT.rglob("*") if path.is_file())
    assert size <= MAX_BYTES
    manifest = Bundle.load(STRUCTURES_NAME, kind=KIND).manifest
    card = manifest.card
    assert {engine.precision for engine in manifest.engines} == {"int8"}
    assert set(card["unproven"]) == LEARNT_ON_PHANTOMS
    assert "not for diagnosis" in card["intended_use"]
    for word in ("FETAL_PLANES_DB", "HC18", "Alzubaidi", "CC BY 4.0"):
        assert any(word in line for line in card["attribution"]), word
    assert "creativecommons.org" in card["changes"]
    figures = json.loads((ROOT / "report/figures.json").read_text())
    assert figures["precision"] == "int8"
    assert figures["folds"] == [card["recipe"]["held_out"]]


def test_heads_of_held_out_subjects_are_measured_in_millimetres(
    real_data: Path, reader: neurosono.OpenReader
) -> None:
    fold = Bundle.load(STRUCTURES_NAME, kind=KIND).manifest.card["recipe"]["held_out"]
    errors = []
    with (real_data / HEADS_TABLE).open(newline="") as table:
        for line in csv.DictReader(table):
            held_out = Row("", "hc18", f"hc18-{line['subject']}").fold == fold
            if not held_out or float(line["hc_mm"]) < AT_18_WEEKS_MM or len(errors) == 12:
                continue
            grey = cv2.imread(str(real_data / line["path"]), cv2.IMREAD_GRAYSCALE)
            said = reader.judge(grey, mm_per_px=float(line["pixel_mm"])).to_dict()
            errors.append(abs((said["hc_mm"] or 0) - float(line["hc_mm"])))
    assert len(errors) == 12
    assert np.median(errors) < 4, errors


def test_an_empty_picture_shows_nothing(reader: neurosono.OpenReader) -> None:
    said = reader.judge(np.zeros((480, 640), np.uint8)).to_dict()
    assert set(said["planes"]) == set(PLANES)
    assert said["head"] is None
    assert said["boxes"] == []


def test_the_demo_reads_a_clip_of_the_users_own(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4")
    done = run("demo", clip, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    record = assert_adds_up(tmp_path / "out")
    manifest = Bundle.load(STRUCTURES_NAME, kind=KIND).manifest
    assert record["readings"][STRUCTURES_NAME]["bundle"]["sha256"] == manifest.digest
