"""The whole report of a small real bundle: files, page, pictures, privacy."""

import json
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from neurosono.engine.backends.torch import TorchBackend
from neurosono.engine.bundle import Bundle, write_manifest
from neurosono.engine.contracts.cache import Cache, pseudonym
from neurosono.engine.contracts.errors import InputError, OutputError
from neurosono.engine.contracts.labels import DEFAULT_LABELS
from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.contracts.predictions import Predictions
from neurosono.engine.judgement import judge
from neurosono.engine.members import load_member
from neurosono.engine.network import Ensemble
from neurosono.training.report import (
    PAGE_NAME,
    REPORT_NAME,
    is_trained_on,
    write_held_out_report,
    write_report,
)
from neurosono.training.report.page import render_page
from neurosono.training.report.pictures import FramePictures, lay_over
from neurosono.training.report.published import PUBLISHED
from neurosono.training.report.worst import choose_worst
from tests.support.pages import assert_harmless, poison
from tests.training.conftest import write_cohort
from tests.training.simulated import LABELS, make_exams, simulate

SALT = "digest-of-the-training-cache"


@dataclass(frozen=True)
class Given:
    """A bundle, a cohort that its two members judged fold by fold, and the report on it."""

    root: Path
    cache: Cache
    frames: Predictions
    report: dict[str, Any]

    @property
    def page(self) -> str:
        return (self.root / "report" / PAGE_NAME).read_text()


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory, bundle_root: Path) -> Given:
    folder = tmp_path_factory.mktemp("report")
    cache = write_cohort(folder / "cache", patients=4, frames=3, labels=DEFAULT_LABELS)
    root = shutil.copytree(bundle_root, folder / "bundle")
    bundle = Bundle.load(root)
    members = tuple(replace(m, name=f"{n:02d}") for n, m in enumerate(bundle.manifest.members))
    spec = replace(bundle.manifest.preprocessing, resize_px=cache.spec.resize_px)
    card = {"training_data": {"digest": SALT}, "limits": ["<b>only tests</b>"]}
    write_manifest(
        root, replace(bundle.manifest, members=members, card=card, preprocessing=spec, name="A & B")
    )
    frames = _judge_by_fold(Bundle.load(root), cache)
    report = write_report(root, frames, cache=cache, scope="held out")
    return Given(root, cache, frames, report)


def _judge_by_fold(bundle: Bundle, cache: Cache) -> Predictions:
    patients = sorted(cache.label_of_patient)
    parts = []
    for fold, member in enumerate(bundle.manifest.members):
        backend = TorchBackend(
            Ensemble([load_member(bundle, member)], bundle.manifest.preprocessing)
        )
        rows = cache.rows_of(patients[fold::2])
        parts.append(judge(backend, cache, rows, fold=fold, salt=SALT))
    return Predictions.join(parts)


def test_every_number_stands_in_the_json(given: Given) -> None:
    text = (given.root / "report" / REPORT_NAME).read_text()
    assert "NaN" not in text
    found = json.loads(text)
    assert found == given.report
    assert (found["notice"], found["scope"]) == (NOTICE, "held out")
    assert found["data"] == {
        "patients": 20,
        "exams": 20,
        "frames": 60,
        "patients_by_class": dict.fromkeys(DEFAULT_LABELS, 4),
    }
    said = given.frames.probabilities.argmax(1) == given.frames.targets
    assert found["raw"]["frames"]["accuracy"]["value"] == pytest.approx(said.mean())
    assert found["calibrated"]["frames"]["accuracy"] == found["raw"]["frames"]["accuracy"]
    assert found["calibrated"]["frames"]["auroc"] != found["raw"]["frames"]["auroc"]
    for level in ("frames", "exams"):
        shown = found["calibrated"][level]
        assert set(shown["curves"]) == set(DEFAULT_LABELS)
        assert all(shown[key]["low"] <= shown[key]["value"] for key in ("accuracy", "macro_auroc"))


def test_the_page_opens_with_the_notice_and_needs_nothing_else(given: Given) -> None:
    page = given.page
    body = page[page.index("<body>") :]
    assert body.index(NOTICE) < body.index("<h1>")
    assert "http" not in page.replace("http-equiv", "")
    bare = re.sub(r"data:image/[^\"]*", "", page)
    assert not re.search(r"<script|<link|<iframe|@import|@font-face|//\w", bare)
    loaded = re.findall(r'(?:src|href)="([^"#]{1,30})', page)
    assert loaded
    assert all(address.startswith("data:image/") for address in loaded)
    assert "default-src 'none'; img-src data:" in page
    assert page.count("<svg") >= 6
    assert "xmlns" not in page
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids)), "plots share no id"


def test_the_page_says_what_the_json_says(given: Given) -> None:
    for level in ("exams", "frames"):
        value = given.report["calibrated"][level]["macro_auroc"]
        shown = f"{100 * value['value']:.1f} % <small>({100 * value['low']:.1f} to "
        assert shown in given.page
    for published in ("94.5 %", "98.25 %", "arXiv:2501.02000", "60.43 %"):
        assert published in given.page


def test_each_picture_shows_what_the_networks_see_most_of_too(given: Given) -> None:
    shown = sum(len(exam["frames"]) for exam in given.report["worst"])
    assert given.page.count('alt="Eigen-CAM"') == shown > 0


def test_what_comes_from_outside_is_escaped(given: Given) -> None:
    assert "A &amp; B" in given.page
    assert "&lt;b&gt;only tests" in given.page
    assert "<b>only tests" not in given.page


def test_no_word_of_a_report_becomes_a_tag(given: Given) -> None:
    row = next(frame["row"] for exam in given.report["worst"] for frame in exam["frames"])
    pictures = {row: FramePictures("data:,", "data:,", "data:,", unseen=False)}
    hostile = poison({name: part for name, part in given.report.items() if name != "published"})
    said = assert_harmless(render_page(hostile | {"published": PUBLISHED}, pictures))
    assert said > 50


def test_patients_appear_as_pseudonyms_only(given: Given) -> None:
    text = given.page + (given.root / "report" / REPORT_NAME).read_text()
    assert not [patient for patient in given.cache.label_of_patient if patient in text]
    assert "clip.mp4" not in text
    worst = given.report["worst"][0]["exam"]
    assert worst in given.page
    assert worst in {pseudonym(f"{row.patient}/{row.exam}", SALT) for row in given.cache.rows}


def test_worst_exams_come_with_frames_and_the_maps_of_who_judged_them(given: Given) -> None:
    shown = sum(len(exam["frames"]) for exam in given.report["worst"])
    assert shown == 12
    assert given.page.count('src="data:image/jpeg') == 4 * shown
    assert "trained on this patient" not in given.page


def test_a_member_that_did_not_judge_the_frame_is_not_passed_off_as_blind(
    given: Given, tmp_path: Path
) -> None:
    swapped = replace(given.frames, folds=1 - given.frames.folds)
    write_report(given.root, swapped, cache=given.cache, scope="x", out=tmp_path)
    page = (tmp_path / PAGE_NAME).read_text()
    assert page.count("trained on this patient") == 12


def test_without_a_cache_there_are_no_pictures_and_the_page_says_so(
    given: Given, tmp_path: Path
) -> None:
    write_report(given.root, given.frames, cache=None, scope="x", out=tmp_path)
    page = (tmp_path / PAGE_NAME).read_text()
    assert "image/jpeg" not in page
    assert "no frame cache was at hand" in page


def test_pictures_of_other_patients_are_refused(given: Given, tmp_path: Path) -> None:
    other = write_cohort(tmp_path / "other", patients=4, frames=3, labels=DEFAULT_LABELS, seed=9)
    with pytest.raises(InputError, match="is not the one that these predictions are of"):
        write_report(given.root, given.frames, cache=other, scope="x", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_training_left_is_found_and_its_cache_known_again(
    given: Given, tmp_path: Path
) -> None:
    root = shutil.copytree(given.root, tmp_path / "bundle")
    bundle = Bundle.load(root)
    assert not is_trained_on(given.cache, bundle), "it has no predictions"
    with pytest.raises(InputError, match="run `neurosono train` first"):
        write_held_out_report(bundle, given.cache)
    given.frames.write(root / "report" / "predictions.csv")
    given.frames.write(root / "report" / "predictions_paper.csv")
    assert is_trained_on(given.cache, bundle)
    other = write_cohort(tmp_path / "other", patients=4, frames=3, labels=DEFAULT_LABELS, seed=9)
    assert not is_trained_on(other, bundle)
    found = write_held_out_report(bundle, given.cache)
    assert found["optimism"]["exams"]["nested_minus_paper"]["value"] == 0.0
    assert "too good" not in found["scope"]

    card = bundle.manifest.card | {"recipe": {"selection": "paper"}}
    write_manifest(root, replace(bundle.manifest, card=card))
    found = write_held_out_report(Bundle.load(root), None, out=tmp_path / "out")
    assert "too good" in found["scope"]
    assert "too good" in (tmp_path / "out" / PAGE_NAME).read_text()


def test_a_bundle_that_is_not_calibrated_shows_raw_only(given: Given, tmp_path: Path) -> None:
    root = shutil.copytree(given.root, tmp_path / "raw")
    manifest = replace(Bundle.load(root).manifest, calibration=None)
    write_manifest(root, manifest)
    found = write_report(root, given.frames, cache=None, scope="x")
    assert found["calibrated"] is None
    assert "Raw and calibrated" not in (root / "report" / PAGE_NAME).read_text()


def test_the_same_predictions_give_the_same_files(given: Given, tmp_path: Path) -> None:
    write_report(given.root, given.frames, cache=given.cache, scope="held out", out=tmp_path)
    for name in (PAGE_NAME, REPORT_NAME):
        assert (tmp_path / name).read_bytes() == (given.root / "report" / name).read_bytes()


def test_a_folder_that_cannot_be_written_is_one_sentence(given: Given, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="choose another --out"):
        write_report(given.root, given.frames, cache=None, scope="x", out=tmp_path / "file")


def test_optimism_is_nested_minus_paper_on_the_same_patients(given: Given, tmp_path: Path) -> None:
    truth = np.eye(len(LABELS))[given.frames.targets] * 0.9 + 0.02
    paper = given.frames.with_probabilities(truth)
    found = write_report(
        given.root, given.frames, cache=None, paper=paper, scope="x", out=tmp_path
    )["optimism"]
    for level in ("frames", "exams"):
        nested = given.report["raw"][level]["accuracy"]
        assert found[level]["paper"] == {"value": 1.0, "low": 1.0, "high": 1.0}
        gap = found[level]["nested_minus_paper"]
        assert gap["value"] == pytest.approx(nested["value"] - 1)
        assert gap["low"] == pytest.approx(nested["low"] - 1)
    assert "Optimism of the published protocol" in (tmp_path / PAGE_NAME).read_text()

    same = write_report(
        given.root, given.frames, cache=None, paper=given.frames, scope="x", out=tmp_path
    )["optimism"]
    assert same["frames"]["nested_minus_paper"] == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_readers_stand_in_the_report(given: Given, tmp_path: Path) -> None:
    lines = [f"{row.patient},Dr <A>,{row.label}" for row in given.cache.rows[::3]]
    table = tmp_path / "readers.csv"
    table.write_text("\n".join(["patient,reader,answer", *lines]))
    found = write_report(
        given.root, given.frames, cache=None, readers=table, scope="x", out=tmp_path
    )
    reader = found["readers"]["readers"][0]
    assert reader["recognition"]["reader"]["all"]["value"] == 1.0
    page = (tmp_path / PAGE_NAME).read_text()
    assert "Dr &lt;A&gt;: 20 exams" in page
    assert "Dr <A>" not in page


def test_the_surest_wrong_exam_comes_first_then_the_least_sure_right_one() -> None:
    exams = make_exams([0, 0, 0, 0], [0, 1, 2, 0])
    given = exams.probabilities.copy()
    given[0] = [0.9, 0.1, 0.0, 0.0, 0.0]
    given[1] = [0.3, 0.5, 0.2, 0.0, 0.0]
    given[2] = [0.1, 0.0, 0.8, 0.1, 0.0]
    given[3] = [0.4, 0.3, 0.2, 0.1, 0.0]
    found = choose_worst(exams.with_probabilities(given))
    assert [each.exam for each in found] == ["e002", "e001", "e003", "e000"]
    assert [each.rival for each in found] == [2, 1, 1, 1]
    assert [each.wrong for each in found] == [True, True, False, False]


def test_frames_shown_are_those_that_gave_the_rival_most() -> None:
    frames = simulate(patients=5, frames=8, skill=-2.0)
    worst = choose_worst(frames)[0]
    own = np.flatnonzero(frames.exams == worst.exam)
    given = frames.probabilities[own, worst.rival]
    assert list(worst.frames) == list(own[np.argsort(-given)[:2]])
    assert worst.frame_count == 8


def test_a_map_colours_its_place_and_leaves_the_rest_as_it_was() -> None:
    grey = np.full((64, 64), 100, dtype=np.uint8)
    heat = np.zeros((4, 4), dtype=np.float32)
    heat[0, 0] = 1.0
    painted = lay_over(grey, heat)
    assert (painted[40:, 40:] == 100).all()
    hot = painted[2, 2].astype(int)
    assert hot[2] > hot[0] + 50, "blue, green, red: hot is yellow"
    assert painted.shape == (64, 64, 3)
    assert cv2.imencode(".jpg", painted)[0]


def test_predictions_of_other_labels_are_refused(given: Given, tmp_path: Path) -> None:
    other = replace(given.frames, labels=("a", "b", "c", "d", "e"))
    with pytest.raises(InputError, match="the predictions are of labels"):
        write_report(given.root, other, cache=None, scope="x", out=tmp_path)


def test_a_site_in_any_script_is_drawn_without_a_word(given: Given, tmp_path: Path) -> None:
    """The measuring font has no such letters; a dollar sign is no formula."""
    sites = np.where(given.frames.folds == 0, "厦门", "$A_1$")
    frames = replace(given.frames, sites=sites)
    write_report(given.root, frames, cache=None, scope="x", out=tmp_path)
    page = (tmp_path / PAGE_NAME).read_text()
    assert page.count("厦门") == page.count("$A_1$") == 2, "in the table and in the plot"
