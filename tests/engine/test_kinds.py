"""A bundle has a kind: it is opened as what it is, and refused where another is asked for."""

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

import neurosono
from neurosono.engine.bundle import SHIPPED, Bundle
from neurosono.engine.contracts.calibration import Calibration
from neurosono.engine.contracts.errors import BundleError, InputError
from neurosono.engine.contracts.labels import DEFAULT_LABELS
from neurosono.engine.exam.exam import Exam
from neurosono.engine.kinds import KINDS, find_kind
from neurosono.engine.patterns.names import LABELS
from neurosono.engine.structures.biometry import measure_head
from neurosono.engine.structures.ellipse import Ellipse
from tests.support.patterns import THRESHOLD, make_patterns_bundle
from tests.support.regions import make_regions_bundle
from tests.support.structures import make_structures_bundle, write_bundle

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from neurosono.engine.exam.accumulator import Accumulator


@pytest.fixture(scope="module")
def structures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_structures_bundle(tmp_path_factory.mktemp("kinds") / "bundle")


@pytest.fixture(scope="module")
def patterns(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_patterns_bundle(tmp_path_factory.mktemp("kinds") / "patterns")


@pytest.fixture(scope="module")
def regions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_regions_bundle(tmp_path_factory.mktemp("kinds") / "regions")


def draw_head(height: int = 300, width: int = 400) -> tuple[np.ndarray, Ellipse]:
    picture = np.zeros((height, width), np.uint8)
    head = Ellipse(width / 2, height / 2, 120, 90, 20)
    cv2.fillPoly(picture, [np.rint(head.points()).astype(np.int32)], (160,))
    return picture, head


def test_a_classifier_names_no_kind_so_that_its_digest_stays(bundle_root: Path) -> None:
    assert "kind" not in json.loads((bundle_root / "manifest.json").read_bytes())
    assert Bundle.load(bundle_root).manifest.kind == "classifier"
    assert "kind" not in json.loads((SHIPPED["demo"] / "manifest.json").read_bytes())


def test_one_of_another_kind_is_refused_either_way(structures: Path, bundle_root: Path) -> None:
    with pytest.raises(
        BundleError, match=r"kind structures, where a classifier is asked for.*--also"
    ):
        Bundle.load(structures)
    with pytest.raises(BundleError, match="kind classifier, where a structures is asked for"):
        Bundle.load(bundle_root, kind="structures")
    with pytest.raises(BundleError, match="where a classifier is asked for"):
        next(neurosono.judge("phantom:normal?seconds=1", bundle=structures))


def test_the_kind_is_part_of_the_name(structures: Path, tmp_path: Path) -> None:
    manifest = json.loads((structures / "manifest.json").read_bytes())
    del manifest["kind"]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="was altered since it was written"):
        Bundle.load(tmp_path, kind=None)


def test_an_altered_graph_is_refused(tmp_path: Path) -> None:
    root = make_structures_bundle(tmp_path / "bundle")
    graph = root / "engines/openvino-f32/model.xml"
    graph.write_text(graph.read_text() + " ")
    with pytest.raises(BundleError, match="is not what its manifest says"):
        neurosono.open_bundle(root)


def test_every_kind_is_a_file_that_opens_and_begins(
    structures: Path, regions: Path, patterns: Path, bundle_root: Path
) -> None:
    roots = (bundle_root, structures, regions, patterns)
    found = [Bundle.load(root, kind=None) for root in roots]
    assert [each.manifest.kind for each in found] == list(KINDS)
    for each in found:
        kind = find_kind(each)
        exam = kind.begin(each)
        again = kind.begin(each)
        again.take_up(exam.to_json())
        assert again.snapshot() == exam.snapshot()
        with pytest.raises(InputError, match="saved state"):
            again.take_up({})
        assert kind.open(each, 1).describe()["backend"] == "openvino"


def test_who_keeps_an_exam_loads_no_network(
    structures: Path, regions: Path, bundle_root: Path
) -> None:
    script = (
        "import sys; from neurosono.engine.bundle import Bundle; "
        "from neurosono.engine.kinds import find_kind; "
        "[find_kind(b).begin(b) for b in (Bundle.load(p, kind=None) for p in sys.argv[1:])]; "
        "assert 'openvino' not in sys.modules and 'torch' not in sys.modules"
    )
    told = [sys.executable, "-c", script, str(structures), str(regions), str(bundle_root)]
    subprocess.run(told, check=True, timeout=120)


def test_one_picture_is_read_in_its_own_pixels(structures: Path) -> None:
    picture, head = draw_head()
    opened = neurosono.open_bundle(structures, threads=1)
    said = opened.judge(picture, mm_per_px=0.5).to_dict()
    assert said["plane"] == "trans-ventricular"
    size = measure_head(head, 0.5)
    assert said["hc_mm"] == pytest.approx(size.hc, rel=0.02)
    assert said["bpd_mm"] == pytest.approx(size.bpd, rel=0.02)
    assert said["head"]["cx"] == pytest.approx(head.cx, abs=2)
    ventricle = next(each for each in said["boxes"] if each["label"] == "lv")
    # the square is 96 px for 400: the middle cell's 64 by 32 px, four and a sixth times larger
    assert (ventricle["w"], ventricle["h"]) == pytest.approx((64 * 400 / 96, 32 * 400 / 96), abs=1)
    assert said["age"]["weeks"] == pytest.approx(37, abs=2)


def test_without_a_scale_nothing_is_in_millimetres(structures: Path) -> None:
    said = neurosono.open_bundle(structures, threads=1).judge(draw_head()[0]).to_dict()
    assert said["mm_per_px"] is None
    assert said["hc_mm"] is None
    assert said["age"] is None
    assert said["hc_px"] > 600


def test_what_cannot_be_is_refused(structures: Path) -> None:
    opened = neurosono.open_bundle(structures, threads=1)
    with pytest.raises(InputError, match="millimetres per pixel"):
        opened.judge(draw_head()[0], mm_per_px=15.0)
    with pytest.raises(InputError, match="must be"):
        opened.judge(np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(InputError, match="has one engine"):
        neurosono.open_bundle(structures, members=1)


@pytest.mark.parametrize("name", [name for name in SHIPPED if name not in ("demo", "vm")])
def test_a_name_that_does_not_ship_says_so(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SHIPPED, name, Path("nowhere") / name)
    with pytest.raises(BundleError, match=rf"no bundle `{name}` ships .*train {name} ship"):
        neurosono.open_bundle(name)


def test_the_classifiers_own_exam_adds_up_by_the_same_protocol() -> None:
    rng = np.random.default_rng(2)
    exam: Accumulator[NDArray[np.float32]] = Exam(DEFAULT_LABELS, Calibration())
    again: Accumulator[NDArray[np.float32]] = Exam(DEFAULT_LABELS, Calibration())
    for _ in range(20):
        exam.update(rng.dirichlet(np.ones(5), 2).astype(np.float32))
    again.take_up(json.loads(json.dumps(exam.to_json())))
    more = rng.dirichlet(np.ones(5), 2).astype(np.float32)
    exam.update(more)
    again.update(more)
    assert np.array_equal(exam.snapshot().probabilities, again.snapshot().probabilities)


def test_what_contradicts_itself_yields_and_what_is_unsure_is_not_said(patterns: Path) -> None:
    """The network says a normal ventricle at 0.60 and a wide one at 0.87 in one place."""
    picture, _ = draw_head()
    said = neurosono.open_bundle(patterns, threads=1).judge(picture).to_dict()
    assert [each["label"] for each in said["boxes"]] == [
        "falx",
        "non-visualised-csp",
        "severe-ventriculomegaly",
    ]
    findings = [each for each in said["boxes"] if each["finding"]]
    assert len(findings) == 2
    assert all(each["score"] > THRESHOLD and each["unproven"] for each in findings)


def test_patterns_without_rules_are_refused(tmp_path: Path) -> None:
    card = {"intended_use": "tests"}
    root = write_bundle(tmp_path / "bundle", "p", "patterns", LABELS, (), card)
    with pytest.raises(BundleError, match="no rules for its findings"):
        neurosono.open_bundle(root)
