"""Which precision `auto` takes: the fastest here that passed its limits, the same every time."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from neurosono.engine import timing
from neurosono.engine.advice import advise
from neurosono.engine.bundle import Bundle, write_manifest
from neurosono.engine.choice import open_engine
from neurosono.engine.contracts.errors import BundleError
from neurosono.engine.timing import TIMED, Timed

PASSED = {"max_difference": 0.001, "top1_agreement": 1.0, "exam_agreement": 1.0}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(timing, "BUDGET_S", 0.0)
    return tmp_path / "cache" / "neurosono"


@pytest.fixture
def make(bundle_root: Path, tmp_path: Path) -> Callable[[dict[str, float]], Bundle]:
    """Return what makes a bundle of one graph as f32 and as fp16, the latter with some parity."""

    def make_bundle(parity: dict[str, float]) -> Bundle:
        root = tmp_path / "bundle"
        shutil.copytree(bundle_root, root)
        manifest = Bundle.load(root).manifest
        (exact,) = manifest.engines
        half = replace(exact, precision="fp16", parity=parity)
        write_manifest(root, replace(manifest, engines=(exact, half)))
        return Bundle.load(root)

    return make_bundle


def test_the_fastest_is_taken_and_of_equals_the_most_exact() -> None:
    assert Timed({"int8": 10.0, "bf16": 45.0, "f32": 29.0}, 2).rank() == ["int8", "f32", "bf16"]
    assert Timed({"int8": 10.0, "f32": 10.3}, 2).rank() == ["f32", "int8"]
    assert Timed({"bf16": 45.0, "f32": 29.0}, 2).describe().endswith("f32 29.0, bf16 45.0")


def test_candidates_are_timed_once_and_the_choice_is_kept(
    make: Callable[[dict[str, float]], Bundle], own_cache: Path
) -> None:
    bundle = make(PASSED)
    first = open_engine(bundle, "openvino")
    (kept,) = (own_cache / "timings").glob("*.json")
    found = json.loads(kept.read_text())
    assert set(found["ms"]) == {"f32", "fp16"}
    assert TIMED in first.reason
    assert first.reason in ("asked for; " + Timed(found["ms"], found["cores"]).describe(),)
    for faster in ("f32", "fp16"):
        found["ms"] = {"f32": 9.0, "fp16": 9.0, faster: 1.0}
        kept.write_text(json.dumps(found))
        for how in ({"threads": 1}, {"streams": 2}):  # an archive's worker, and a replay
            again = open_engine(bundle, **how)  # type: ignore[arg-type]
            assert again.backend.precision == faster
            assert f"{faster} 1.0" in again.reason
    assert open_engine(bundle, precision="f32").reason.count(TIMED) == 0
    assert open_engine(bundle, precision="auto").backend.precision == "fp16"


@pytest.mark.parametrize("damage", ["", "[]", '{"ms": {"f32": "fast"}}', '{"ms": {"int8": 1}}'])
def test_what_is_not_as_it_was_written_is_timed_anew(
    make: Callable[[dict[str, float]], Bundle], own_cache: Path, damage: str
) -> None:
    bundle = make(PASSED)
    open_engine(bundle)
    (kept,) = (own_cache / "timings").glob("*.json")
    kept.write_text(damage)
    open_engine(bundle)
    assert set(json.loads(kept.read_text())["ms"]) == {"f32", "fp16"}


def test_another_bundle_is_timed_by_itself(
    make: Callable[[dict[str, float]], Bundle], own_cache: Path
) -> None:
    bundle = make(PASSED)
    open_engine(bundle)
    write_manifest(bundle.root, replace(bundle.manifest, name="another"))
    open_engine(Bundle.load(bundle.root))
    assert len(list((own_cache / "timings").glob("*.json"))) == 2


def test_what_is_over_its_limits_is_no_candidate(
    make: Callable[[dict[str, float]], Bundle], own_cache: Path
) -> None:
    bundle = make(PASSED | {"max_difference": 0.2})
    choice = open_engine(bundle)
    assert choice.backend.precision == "f32"
    assert TIMED not in choice.reason
    assert not list((own_cache / "timings").glob("*.json"))
    assert open_engine(bundle, precision="fp16").backend.precision == "fp16", "by name it is"
    only = tuple(each for each in bundle.manifest.engines if each.precision == "fp16")
    write_manifest(bundle.root, replace(bundle.manifest, engines=only))
    with pytest.raises(BundleError, match="within its limits: choose one by --precision"):
        open_engine(Bundle.load(bundle.root), "openvino")


def test_where_nothing_can_be_kept_the_order_is_that_of_every_host(
    make: Callable[[dict[str, float]], Bundle], own_cache: Path
) -> None:
    (own_cache / "timings").mkdir(parents=True)
    (own_cache / "timings").chmod(0o777)
    choice = open_engine(make(PASSED))
    assert choice.backend.precision == "fp16"
    assert TIMED not in choice.reason


def test_whoever_builds_is_told_what_is_fast_here(
    make: Callable[[dict[str, float]], Bundle],
) -> None:
    said = advise(make(PASSED))
    assert said.startswith("ms a picture here: f32 ")
    assert "fp16" in said
    assert said.endswith("int8 (with --cache) is mostly faster still")
