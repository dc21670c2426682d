"""Installed, neurosono is one package of that name, whatever else is called `engine`."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHELL = (
    *("build-demo", "check", "constraints", "demo", "install", "install-triton"),
    *("papers.py", "release", "test"),
)
FOLDERS = ("archive", "node", "engine", "stream", "training", "calibration", "scripts")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a wheel that was built from an sdist, as an index would serve them."""
    out = tmp_path_factory.mktemp("built")
    _build(ROOT, "sdist", out)
    with tarfile.open(next(out.glob("*.tar.gz"))) as packed:
        packed.extractall(out, filter="data")
    _build(next(path for path in out.iterdir() if path.is_dir()), "wheel", out)
    return next(out.glob("*.whl"))


def _build(source: Path, target: str, out: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(out)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_wheel_holds_one_name_and_all_that_the_checkout_has(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} - {"neurosono"} == {
        next(name.split("/")[0] for name in names if ".dist-info" in name)
    }
    listed = subprocess.run(
        ["git", "ls-files", "neurosono", *FOLDERS], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip("no git checkout to compare with")
    wanted = {
        path if path.startswith("neurosono/") else f"neurosono/{path}"
        for path in listed.stdout.split()
        if (ROOT / path).is_file()
    }
    shell = {f"neurosono/scripts/{name}" for name in SHELL}
    assert wanted - set(names) == shell, "the developers' own scripts stay behind"


def test_it_works_beside_packages_of_the_same_names(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path / "installed")
    own = tmp_path / "own"
    for name in FOLDERS:
        (own / name).mkdir(parents=True)
        (own / name / "__init__.py").write_text("raise RuntimeError('this one is not ours')\n")
    done = _run(tmp_path, f"{own}{os.pathsep}{tmp_path / 'installed'}", "-m", "neurosono", "demo")
    assert done.returncode == 0, done.stderr
    assert "Investigational" in done.stderr


def test_an_editable_install_has_no_other_name(tmp_path: Path) -> None:
    code = f"""
import importlib.util
assert importlib.util.find_spec("neurosono.engine") is not None
print([name for name in {FOLDERS!r} if importlib.util.find_spec(name) is not None])
"""
    done = _run(tmp_path, "", "-c", code)
    if "No module named 'neurosono'" in done.stderr:
        pytest.skip("neurosono is not installed here")
    assert done.stdout.strip() == "[]", done.stderr


def _run(cwd: Path, path: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
