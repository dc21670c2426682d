"""Finding patterns: drawn where the truth says, in heads of an age for them, and nowhere else."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.patterns.names import (
    FINDINGS,
    MEGA_CISTERNA,
    MILD_WIDTH,
    NO_CSP,
    OPEN_FOURTH,
    OTHER_CYST,
    SEVERE_WIDTH,
    SINGLE_VENTRICLE,
    VENTRICLE_CYST,
    name_width,
)
from neurosono.engine.structures.names import CISTERNA_MAGNA, CSP
from neurosono.scripts.commands import make_app
from neurosono.stream.phantom.cohort import deal_findings
from neurosono.stream.phantom.exam import PhantomFrame, PhantomSpec, exam_frames
from neurosono.stream.phantom.fetus import find_fetus
from neurosono.stream.phantom.findings import FINDING_WEEKS
from neurosono.stream.phantom.patient import draw_patient
from neurosono.stream.phantom.spec import NO_FINDING

SIDE_PX = (400, 300)


@cache
def _frames(finding: str) -> tuple[PhantomFrame, ...]:
    """Return the B-mode pictures of heads of the first two fetuses of an age for findings."""
    specs = deal_findings(2, [finding], 11, 8.0, 2.0)
    sized = (replace(each, width_px=SIDE_PX[0], height_px=SIDE_PX[1]) for each in specs)
    frames = [frame for spec in sized for frame in exam_frames(spec, structures=True)]
    return tuple(each for each in frames if each.kind == "bmode" and each.truth and each.truth.head)


def _labels(frame: PhantomFrame) -> set[str]:
    assert frame.truth is not None
    return {each.label for each in frame.truth.findings}


@pytest.mark.parametrize("finding", FINDINGS)
def test_a_finding_is_marked_in_some_slices_and_no_other_is(finding: str) -> None:
    told = [_labels(frame) for frame in _frames(finding)]
    assert {finding} in told
    assert all(each <= {finding} for each in told)
    assert not any(_labels(frame) for frame in _frames(NO_FINDING))


@pytest.mark.parametrize("finding", [VENTRICLE_CYST, OTHER_CYST, OPEN_FOURTH, SINGLE_VENTRICLE])
def test_fluid_is_darker_than_it_is_without_the_finding(finding: str) -> None:
    """The control of the same fetus differs by the finding alone, so the same place is compared."""
    inside, before = [], []
    for with_it, without in zip(_frames(finding), _frames(NO_FINDING), strict=True):
        assert with_it.truth is not None
        for each in with_it.truth.findings:
            middle = each.outline.mean(0)
            core = replace(each, outline=middle + 0.5 * (each.outline - middle))
            mask = core.mask(*SIDE_PX)  # without its wall
            inside.append(cv2.cvtColor(with_it.pixels, cv2.COLOR_BGR2GRAY)[mask].mean())
            before.append(cv2.cvtColor(without.pixels, cv2.COLOR_BGR2GRAY)[mask].mean())
    assert np.mean(inside) < 0.92 * np.mean(before)


def test_what_is_missing_or_grown_is_not_marked_as_normal() -> None:
    for finding, normal in ((NO_CSP, CSP), (MEGA_CISTERNA, CISTERNA_MAGNA)):
        seen = {each.label for f in _frames(finding) if f.truth for each in f.truth.structures}
        controls = [frame.truth for frame in _frames(NO_FINDING) if frame.truth]
        control = {each.label for truth in controls for each in truth.structures}
        assert normal not in seen
        assert normal in control


def test_a_mega_cisterna_magna_is_over_ten_millimetres_deep_and_a_normal_one_is_not() -> None:
    def depths_mm(finding: str, label: str) -> list[float]:
        found = []
        for frame in _frames(finding):
            truth = frame.truth
            assert truth is not None
            marks = (*truth.structures, *truth.findings)
            found += [m.box.h * truth.mm_per_px for m in marks if m.label == label]
        return found

    assert min(depths_mm(MEGA_CISTERNA, MEGA_CISTERNA)) > 10
    assert max(depths_mm(NO_FINDING, CISTERNA_MAGNA)) < 10


@pytest.mark.parametrize(("finding", "low", "high"), [(MILD_WIDTH, 10, 15), (SEVERE_WIDTH, 15, 21)])
def test_wide_ventricles_are_as_wide_as_they_are_called(
    finding: str, low: float, high: float
) -> None:
    widths = [
        each.thickness_px * frame.truth.mm_per_px
        for frame in _frames(finding)
        if frame.truth
        for each in frame.truth.findings
    ]
    assert low - 0.8 <= min(widths)
    assert max(widths) <= high


def test_ventricles_that_chance_or_a_class_made_wide_are_told_too() -> None:
    spec = PhantomSpec("normal", seed=4, seconds=6.0, fps=2.0, ventricle_mm=18.0)
    small = replace(spec, width_px=SIDE_PX[0], height_px=SIDE_PX[1])
    assert {SEVERE_WIDTH} in [_labels(frame) for frame in exam_frames(small, structures=True)]
    assert [name_width(mm) for mm in (9.99, 10.0, 14.99, 15.0)] == [
        None,
        MILD_WIDTH,
        MILD_WIDTH,
        SEVERE_WIDTH,
    ]


def test_ages_tell_no_finding() -> None:
    dealt = deal_findings(18, [NO_FINDING, *FINDINGS], 3, 1.0, 1.0)
    weeks = [draw_patient(each.namespace, each.seed, each.patient).weeks for each in dealt]
    assert all(FINDING_WEEKS[0] <= each <= FINDING_WEEKS[1] for each in weeks)
    alone = deal_findings(18, [SEVERE_WIDTH], 3, 1.0, 1.0)
    assert [each.patient for each in alone] == [each.patient for each in dealt]
    assert len({each.patient for each in dealt}) == 18


def test_what_cannot_be_is_refused() -> None:
    young = next(n for n in range(50) if draw_patient("single", n, 0).weeks < FINDING_WEEKS[0])
    with pytest.raises(InputError, match="18 to 26 weeks"):
        find_fetus(PhantomSpec("normal", seed=young, finding=NO_CSP))
    with pytest.raises(InputError, match="otherwise normal"):
        PhantomSpec("rachischisis", finding=NO_CSP)
    with pytest.raises(InputError, match="otherwise normal"):
        PhantomSpec("normal", finding=NO_CSP, ventricle_mm=9.0)
    with pytest.raises(InputError, match="is unknown"):
        PhantomSpec("normal", finding="cyst")
    with pytest.raises(InputError, match="distinct"):
        deal_findings(2, [NO_CSP, NO_CSP], 0, 1.0, 1.0)


def test_the_command_writes_them_beside_the_clips(tmp_path: Path) -> None:
    out = tmp_path / "cohort"
    words = ["phantom", "--out", str(out), "--exams", "2", "--seconds", "0.2", "--structures"]
    result = CliRunner().invoke(make_app(), [*words, "--finding", f"none,{SEVERE_WIDTH}"])
    assert result.exit_code == 0, result.output
    told = [json.loads(path.read_text()) for path in sorted(out.glob("normal/*/*.json"))]
    assert [each["finding"] for each in told] == [NO_FINDING, SEVERE_WIDTH]
    assert told[0]["ventricle_mm"] < 10 < 15 < told[1]["ventricle_mm"]
    assert all("findings" in frame for each in told for frame in each["frames"])
    refused = CliRunner().invoke(make_app(), [*words, "--finding", "all", "--ventricle-mm", "12"])
    assert isinstance(refused.exception, InputError)
