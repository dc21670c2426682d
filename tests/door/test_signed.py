"""The front door opens what a trusted key signed, and nothing else where it is asked so."""

from pathlib import Path

import pytest

import neurosono
from neurosono.archive.exam import open_worker
from neurosono.archive.options import Asked
from neurosono.engine.bundle import Bundle
from tests.support.signatures import WRONG, sign_copy, trust_one

SOURCE = "phantom:normal?seed=4&seconds=1&width=320&height=240"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trust_one(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def signed(keys: Path, bundle_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sign_copy(bundle_root, tmp_path_factory.mktemp("signed") / "bundle", keys)


def test_what_is_signed_is_opened_and_judges(
    signed: Path, keys: Path, opened: neurosono.OpenBundle
) -> None:
    known = neurosono.open_bundle(signed, trusted_keys=keys)
    assert known.bundle.signer == "radiology"
    pairs = neurosono.judge(SOURCE, known, also=[signed], trusted_keys=keys)
    assert len(list(pairs)) > 10
    with pytest.raises(neurosono.BundleError, match="opened without asking"):
        neurosono.judge(SOURCE, opened, trusted_keys=keys)


@pytest.mark.parametrize("wrong", sorted(WRONG))
def test_what_is_not_is_refused(
    wrong: str, signed: Path, keys: Path, bundle_root: Path, tmp_path: Path
) -> None:
    root, words = sign_copy(bundle_root, tmp_path / "bundle", keys, wrong), WRONG[wrong]
    with pytest.raises(neurosono.BundleError, match=words):
        neurosono.open_bundle(root, trusted_keys=keys)
    for bundle, also in ((root, ()), (signed, (root,))):
        with pytest.raises(neurosono.BundleError, match=words):
            neurosono.judge(SOURCE, bundle, also=also, trusted_keys=keys)
        with pytest.raises(neurosono.BundleError, match=words):
            neurosono.live(f"loop:{SOURCE}", bundle, also=also, trusted_keys=keys)
    assert neurosono.open_bundle(root).bundle.signer is None, "as nobody asks"


def test_an_archive_s_workers_ask_again(
    signed: Path, keys: Path, bundle_root: Path, tmp_path: Path
) -> None:
    digest = Bundle.load(signed).manifest.digest
    assert open_worker(Asked(str(signed), digest, trusted_keys=str(keys))).digest == digest
    swapped = sign_copy(bundle_root, tmp_path / "bundle", keys, "unsigned")
    with pytest.raises(neurosono.BundleError, match="is not signed"):
        open_worker(Asked(str(swapped), digest, trusted_keys=str(keys)))
