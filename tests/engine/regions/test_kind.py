"""A regions bundle as it is opened and read: crops of its own boxes, and what it does not know."""

from pathlib import Path

import numpy as np
import pytest

import neurosono
from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import BundleError
from neurosono.engine.contracts.frame import Frame
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.kinds import Heard, find_kind
from neurosono.engine.preprocess import preprocess
from tests.support.regions import draw_head, make_regions_bundle
from tests.support.structures import make_structures_bundle


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_regions_bundle(tmp_path_factory.mktemp("regions") / "bundle")


def read(root: Path, *pictures: np.ndarray) -> tuple[list[Heard], dict[str, object]]:
    """Return what is heard of each picture, and the exam that they add up to."""
    bundle = Bundle.load(root, kind="regions")
    kind = find_kind(bundle)
    reader, exam = kind.open(bundle, 1), kind.begin(bundle)
    found = []
    for seq, picture in enumerate(pictures):
        height, width = picture.shape
        pixels = preprocess(picture, bundle.manifest.preprocessing)
        frame = Frame("s", seq, seq, seq / 25, pixels, region_px=(50, 10, width, height))
        found.append(reader.read(frame))
        exam.update(ReaderResult.of(frame, "regions", said=found[-1].said))
    snapshot: dict[str, object] = exam.snapshot()
    return found, snapshot


@pytest.mark.parametrize(("level", "verdict"), [(110, "normal"), (220, "abnormal")])
def test_both_planes_give_a_verdict(root: Path, level: int, verdict: str) -> None:
    heard, exam = read(root, draw_head(level), draw_head(level, ground=70))
    planes = [each.to_dict()["plane"] for each in heard]
    assert planes == ["trans-ventricular", "trans-cerebellum"]
    assert exam["verdict"] == verdict
    ventricular = heard[0].to_dict()
    assert list(ventricular["regions"]) == ["csp", "atrium", "falx"]
    assert all(each["found"] for each in ventricular["regions"].values())
    assert ventricular["head"]["cx"] == pytest.approx(50 + 200, abs=3)
    assert ventricular["head"]["cy"] == pytest.approx(10 + 150, abs=3)
    assert {each["label"] for each in ventricular["boxes"]} == {
        "csp",
        "lv",
        "choroid-plexus",
        "falx",
    }
    cerebellar = heard[1].to_dict()
    found = {name: each["found"] for name, each in cerebellar["regions"].items()}
    assert found == {"cerebellum": True, "cisterna-magna": False, "thalami": False}


def test_without_a_head_nothing_is_judged(root: Path) -> None:
    heard, exam = read(root, np.zeros((300, 400), np.uint8))
    assert heard[0].to_dict()["plane"] is None
    said = heard[0].to_dict()
    assert said["regions"] == {}
    assert said["goodness"] is None
    assert not said["unfamiliar"]
    assert exam["state"] == "waiting"


def test_what_is_unlike_the_learnt_is_no_evidence(root: Path) -> None:
    heard, exam = read(root, draw_head(255), draw_head(220, ground=70))
    assert heard[0].to_dict()["unfamiliar"]
    assert heard[0].to_dict()["strangeness"] > 1
    assert exam["state"] == "unfamiliar"
    assert exam["verdict"] is None


def test_one_picture_is_judged_at_the_front_door(root: Path) -> None:
    said = neurosono.open_bundle(root, threads=1).judge(draw_head(220)).to_dict()
    assert said["regions"]["csp"]["contribution"] > 0
    assert said["used"]


def test_a_bundle_that_lacks_a_part_is_refused(tmp_path: Path) -> None:
    structures = make_structures_bundle(tmp_path / "structures")
    with pytest.raises(BundleError, match="where a regions is asked for"):
        Bundle.load(structures, kind="regions")
    root = make_regions_bundle(tmp_path / "regions")
    (root / "engines/openvino-f32/familiarity-trans-cerebellum.npz").unlink()
    with pytest.raises(BundleError, match="misses engines/openvino-f32/familiarity"):
        Bundle.load(root, kind="regions")
