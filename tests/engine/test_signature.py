import base64
import json
import shutil
from pathlib import Path

import pytest

from neurosono.engine.bundle import Bundle, read_manifest_bytes
from neurosono.engine.contracts.errors import BundleError, InputError, OutputError
from neurosono.engine.signature import SIGNATURE_NAME, make_key, read_trusted_keys, sign
from tests.support.commands import run
from tests.support.signatures import trust_one

KEYS_NAME = "trusted-keys"


@pytest.fixture
def root(tmp_path: Path, bundle_root: Path) -> Path:
    return Path(shutil.copytree(bundle_root, tmp_path / "bundle"))


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """Return a list of one trusted key; its private one lies beside it."""
    return trust_one(tmp_path)


def test_a_signed_bundle_is_known_by_its_signer(root: Path, keys: Path) -> None:
    with pytest.raises(BundleError, match="is not signed"):
        Bundle.load(root, trusted=keys)
    sign(root, read_manifest_bytes(root), keys.with_name("private.pem"))
    assert Bundle.load(root, trusted=keys).signer == "radiology"
    assert Bundle.load(root).signer is None


def test_the_key_is_private_and_never_written_over(keys: Path) -> None:
    private = keys.with_name("private.pem")
    assert private.stat().st_mode & 0o777 == 0o600
    with pytest.raises(OutputError, match="is there already"):
        make_key(private)


def test_a_stranger_s_signature_is_none(root: Path, keys: Path, tmp_path: Path) -> None:
    make_key(tmp_path / "stranger.pem")
    sign(root, read_manifest_bytes(root), tmp_path / "stranger.pem")
    with pytest.raises(BundleError, match="nobody here trusts"):
        Bundle.load(root, trusted=keys)


def test_a_manifest_that_was_altered_and_made_whole_again_is_told(root: Path, keys: Path) -> None:
    sign(root, read_manifest_bytes(root), keys.with_name("private.pem"))
    manifest = root / "manifest.json"
    manifest.write_bytes(manifest.read_bytes() + b"\n")  # the digest of what it says still fits
    assert Bundle.load(root).signer is None
    with pytest.raises(BundleError, match="altered since radiology signed it"):
        Bundle.load(root, trusted=keys)


def test_an_altered_file_is_told_of_a_signed_bundle_too(root: Path, keys: Path) -> None:
    sign(root, read_manifest_bytes(root), keys.with_name("private.pem"))
    file = next((root / "members").iterdir())
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(BundleError, match="is not what its manifest says"):
        Bundle.load(root, trusted=keys)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"{}",
        b"[" * 100_000,
        b'{"schema": "neurosono-signature/1", "key": 3, "signature": "?"}',
        json.dumps(
            {
                "schema": "neurosono-signature/1",
                "key": base64.b64encode(bytes(31)).decode(),
                "signature": base64.b64encode(bytes(64)).decode(),
            }
        ).encode(),
    ],
)
def test_a_signature_that_is_none_is_told(root: Path, keys: Path, said: bytes) -> None:
    (root / SIGNATURE_NAME).write_bytes(said)
    with pytest.raises(BundleError, match="sign it anew"):
        Bundle.load(root, trusted=keys)


@pytest.mark.parametrize("line", ["radiology", "a b c", "radiology !!!!", "rädiology AAAA"])
def test_a_list_of_keys_that_is_none_is_told(tmp_path: Path, line: str) -> None:
    (tmp_path / KEYS_NAME).write_text(line, encoding="utf-8")
    with pytest.raises(InputError, match="NAME KEY"):
        read_trusted_keys(tmp_path / KEYS_NAME)
    with pytest.raises(InputError, match="cannot be read"):
        read_trusted_keys(tmp_path / "nowhere")


def test_a_key_that_others_may_read_signs_nothing(root: Path, keys: Path) -> None:
    private = keys.with_name("private.pem")
    private.chmod(0o644)
    with pytest.raises(InputError, match="chmod 600"):
        sign(root, read_manifest_bytes(root), private)
    private.write_text("no key")
    private.chmod(0o600)
    with pytest.raises(InputError, match="make-key"):
        sign(root, read_manifest_bytes(root), private)


def test_commands_sign_verify_and_refuse(root: Path, tmp_path: Path) -> None:
    made = run("bundle", "make-key", tmp_path / "key.pem", "--name", "maker")
    (tmp_path / KEYS_NAME).write_text(made.stderr + made.stdout)
    source = "phantom:normal?seed=4&seconds=1&width=320&height=240"
    asked = ("replay", source, "--bundle", root, "--trusted-keys", tmp_path / KEYS_NAME)
    done = run(*asked, "--out", tmp_path / "out")
    assert done.returncode == 2, done.stderr
    assert "is not signed" in done.stderr
    assert not (tmp_path / "out").exists()
    assert run("bundle", "sign", root, "--key", tmp_path / "key.pem").returncode == 0
    done = run("bundle", "verify", root, "--trusted-keys", tmp_path / KEYS_NAME)
    assert done.returncode == 0, done.stderr
    assert "signed by maker" in done.stderr + done.stdout
    done = run(*asked, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
