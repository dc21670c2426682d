"""`--require-signed` and `--trusted-keys`: of every command that uses a bundle it was given."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from neurosono.engine.contracts.errors import BundleError
from neurosono.scripts.commands import make_app
from tests.support.signatures import WRONG, sign_copy, trust_one

MAKERS = {"build", "calibrate", "bundle sign", "bundle verify"}
"""Those who change a bundle, and sign it anew; and `train`. `verify` is the question itself."""

SOURCE = "phantom:normal?seed=4&seconds=1"
COMMANDS = {
    "replay": ["replay", SOURCE, "--out", "OUT"],
    "live": ["live", f"loop:{SOURCE}", "--no-page", "--seconds", "1", "--journal", "OUT"],
    "node": ["node", "--folder", "OUT", "--allow", "A", "--send", "B@127.0.0.1:9", "--port", "0"],
    "archive": ["archive", "HERE", "--out", "OUT"],
    "bench": ["bench", "--seconds", "1"],
    "report": ["report", "last", "--journal", "OUT"],
    "exams replay": ["exams", "replay", "last", "--journal", "OUT"],
    "doctor": ["doctor"],
}


def list_commands(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each command's words, and the command."""
    inner = getattr(command, "commands", None)
    for word, each in (inner or {}).items():
        yield from list_commands(each, f"{name} {word}".strip())
    if inner is None:
        yield name, command


def test_no_command_that_takes_a_bundle_forgets_to_ask_who_signed_it() -> None:
    asking, silent = set(), set()
    for name, command in list_commands(typer.main.get_command(make_app())):
        taken = {parameter.name for parameter in command.params}
        if taken & {"bundle", "bundles", "also", "student"} and not name.startswith("train "):
            (asking if {"require_signed", "trusted_keys"} <= taken else silent).add(name)
    assert silent == MAKERS
    assert asking >= {"replay", "live", "archive", "node", "exams replay", "export triton"}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trust_one(tmp_path_factory.mktemp("keys"))


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_what_no_trusted_key_signed_is_not_used(
    name: str, keys: Path, bundle_root: Path, tmp_path: Path
) -> None:
    wrong = sorted(WRONG)[sorted(COMMANDS).index(name) % len(WRONG)]
    root = sign_copy(bundle_root, tmp_path / "bundle", keys, wrong)
    places = {"OUT": str(tmp_path / "out"), "HERE": str(root)}
    asked = [places.get(word, word) for word in COMMANDS[name]]
    asked += ["--bundle", str(root), "--trusted-keys", str(keys)]
    done = CliRunner().invoke(make_app(), asked)
    assert isinstance(done.exception, BundleError), (done.exception, done.output)
    assert WRONG[wrong] in str(done.exception)
    assert not (tmp_path / "out").exists(), "nothing was begun"


@pytest.mark.parametrize("command", ["node", "replay", "bench"])
def test_what_reads_beside_the_bundle_is_asked_too(
    command: str, keys: Path, bundle_root: Path, tmp_path: Path
) -> None:
    root = sign_copy(bundle_root, tmp_path / "bundle", keys)
    beside = sign_copy(bundle_root, tmp_path / "beside", keys, "unsigned")
    asked = [str(tmp_path / "out") if word == "OUT" else word for word in COMMANDS[command]]
    asked += ["--bundle", str(root), "--also", str(beside), "--trusted-keys", str(keys)]
    done = CliRunner().invoke(make_app(), asked)
    assert isinstance(done.exception, BundleError), (done.exception, done.output)
    assert WRONG["unsigned"] in str(done.exception)
    assert "beside" in str(done.exception)


def test_without_a_list_the_user_s_own_is_asked(
    keys: Path, bundle_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    root = sign_copy(bundle_root, tmp_path / "bundle", keys)
    asked = ["export", "triton", str(root), "--out", str(tmp_path / "models"), "--require-signed"]
    done = CliRunner().invoke(make_app(), asked)
    assert "cannot be read" in str(done.exception), "there is no list yet, and so no trust"
    (tmp_path / "config" / "neurosono").mkdir(parents=True)
    (tmp_path / "config" / "neurosono" / "trusted-keys").write_text(keys.read_text())
    done = CliRunner().invoke(make_app(), asked)
    assert done.exception is None, done.output
    assert any((tmp_path / "models").iterdir())
