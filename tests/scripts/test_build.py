"""`neurosono build` and what `neurosono doctor` then says."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from neurosono.engine.bundle import Bundle
from neurosono.scripts.build import check_frames
from tests.support.commands import run


def test_an_engine_is_built_in_a_copy_and_doctor_lists_it(
    bundle_root: Path, tmp_path: Path
) -> None:
    pytest.importorskip("tensorrt_rtx")
    out, report = tmp_path / "copy", tmp_path / "built.json"
    words = ("--engine", "tensorrt-rtx", "--precision", "fp16", "--members", "1")
    done = run("build", bundle_root, *words, "--out", out, "--json", report)
    assert done.returncode == 0, done.stderr
    built = json.loads(report.read_text())
    assert built["parity"]["frames"] == 40
    assert built["target"]["layers"] == "38 convolutions in HALF"
    found = json.loads(run("doctor", "--bundle", out, "--json", "-").stdout)
    engines = {each["engine"]: each for each in found["engines"]}
    assert engines["tensorrt-rtx"]["built"] == ["fp16 x1"]
    assert set(found["auto"]) == {"backend", "precision", "members", "reason", "rejected"}
    if not engines["tensorrt-rtx"]["runs"]:
        assert found["auto"]["backend"] == "openvino"
        assert "GPU" in found["auto"]["rejected"]["tensorrt-rtx"]


def test_a_build_that_fails_leaves_no_copy(bundle_root: Path, tmp_path: Path) -> None:
    out = tmp_path / "copy"
    done = run("build", bundle_root, "--precision", "int8", "--out", out)
    assert done.returncode == 2
    assert "name their --cache" in done.stderr
    assert "Traceback" not in done.stderr
    assert not out.exists()


def test_a_bundle_of_classes_that_no_phantom_has_is_compared_on_phantoms(
    bundle_root: Path,
) -> None:
    bundle = Bundle.load(bundle_root)
    other = replace(bundle, manifest=replace(bundle.manifest, labels=("wide", "normal")))
    found = check_frames(other, None)
    assert found.frames.shape == (40, 64, 64)
    assert len(set(found.exams)) == 5
