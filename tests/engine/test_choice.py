"""Which engine is opened, and what is said of it."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from neurosono.engine.bundle import Bundle, write_manifest
from neurosono.engine.choice import open_engine
from neurosono.engine.contracts.errors import BundleError, EngineUnavailableError
from neurosono.engine.contracts.manifest import EngineEntry
from neurosono.engine.gpu import find_gpu
from neurosono.engine.kept import find_cache

no_gpu = pytest.mark.skipif(find_gpu() is not None, reason="this host has a GPU")


@pytest.fixture
def bundle(bundle_root: Path, tmp_path: Path) -> Bundle:
    shutil.copytree(bundle_root, tmp_path / "bundle")
    return Bundle.load(tmp_path / "bundle")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@no_gpu
def test_auto_says_why_it_and_not_a_better_one(bundle: Bundle) -> None:
    choice = open_engine(bundle)
    assert choice.backend.name == "openvino"
    assert choice.reason == "the fastest engine of the bundle that runs here (f32); no GPU"
    assert [name for name, _ in choice.rejected] == ["tensorrt", "tensorrt-rtx", "torch-cuda"]


@no_gpu
@pytest.mark.parametrize(
    ("engine", "words"),
    [("torch-cuda", "no NVIDIA GPU"), ("tensorrt", "no engine tensorrt"), ("cuda", "choose one")],
)
def test_an_engine_by_name_is_that_one_or_a_sentence(
    bundle: Bundle, engine: str, words: str
) -> None:
    with pytest.raises((BundleError, EngineUnavailableError), match=words):
        open_engine(bundle, engine)


def test_an_engine_that_failed_gives_way_to_the_next(bundle: Bundle) -> None:
    choice = open_engine(bundle, "torch", "f32", avoid=["torch"])
    assert choice.backend.name == "openvino"
    assert "torch failed in this session" in choice.reason


def test_no_other_engine_of_a_gpu_that_failed_is_tried_first(bundle: Bundle) -> None:
    assert open_engine(bundle, avoid=["tensorrt"]).rejected == ()


def test_the_last_engine_is_tried_again_though_it_failed(bundle: Bundle) -> None:
    weightless = tuple(replace(member, file=None) for member in bundle.manifest.members)
    write_manifest(bundle.root, replace(bundle.manifest, members=weightless))
    choice = open_engine(Bundle.load(bundle.root), avoid=("openvino",))
    assert choice.backend.name == "openvino"


def test_a_bundle_without_engines_runs_on_its_weights(bundle: Bundle) -> None:
    write_manifest(bundle.root, replace(bundle.manifest, engines=()))
    assert open_engine(Bundle.load(bundle.root)).backend.name == "torch"


def test_f16_and_fp16_are_one_precision(bundle: Bundle) -> None:
    entry = bundle.manifest.engines[0]
    for written in ("f16", "fp16"):
        write_manifest(
            bundle.root,
            replace(bundle.manifest, engines=(replace(entry, precision=written),)),
        )
        loaded = Bundle.load(bundle.root)
        for asked in ("f16", "fp16"):
            assert open_engine(loaded, "openvino", asked).backend.precision == "fp16"


@no_gpu
def test_a_gpu_engine_without_a_gpu_falls_back(bundle: Bundle) -> None:
    entry = replace(bundle.manifest.engines[0], backend="tensorrt-rtx", precision="fp16")
    engines = (entry, *bundle.manifest.engines)
    write_manifest(bundle.root, replace(bundle.manifest, engines=engines))
    loaded = Bundle.load(bundle.root)
    assert open_engine(loaded).backend.name == "openvino"
    with pytest.raises(BundleError, match="check frames of tensorrt-rtx"):
        open_engine(loaded, "tensorrt-rtx")
    with pytest.raises(EngineUnavailableError, match="cannot be cut"):
        open_engine(loaded, "tensorrt-rtx", members=1)


def test_a_cache_is_the_users_own_and_of_one_engine(bundle: Bundle, own_cache: Path) -> None:
    entry = bundle.manifest.engines[0]
    other = EngineEntry("openvino", "f32", 2, entry.files[:1])
    found = find_cache(entry)
    assert found is not None
    assert own_cache in found.parents
    assert found != find_cache(other)
    assert found != find_cache(entry, "one thread")
    (own_cache / "neurosono" / "engines").chmod(0o777)
    assert find_cache(entry) is None, "what others may write is not run"
