"""The commands as a newcomer meets them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from neurosono.engine import __version__
from neurosono.scripts.main import _name_children
from tests.support.commands import run


def test_help_names_every_verb_and_imports_nothing_heavy() -> None:
    done = run("--help", env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert done.returncode == 0
    verbs = "demo replay live simulate sources exams report bench phantom train calibrate build"
    for verb in (*verbs.split(), "doctor"):
        assert verb in done.stdout
    assert "not for diagnosis" in " ".join(done.stdout.split())
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines() if "|" in line}
    heavy = {"numpy", "cv2", "av", "zmq", "openvino", "torch", "pydicom"}
    assert not heavy & imported


def test_a_verb_loads_no_other() -> None:
    words = "from neurosono.scripts.commands import make_app; make_app('phantom')"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {words}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    assert "neurosono.scripts.phantom" in loaded
    assert not {f"neurosono.scripts.{verb}" for verb in ("live", "replay", "bench")} & loaded


@pytest.mark.parametrize(
    ("words", "children"),
    [
        ("live loop:x", "engine capture"),
        ("replay x --also structures", "engine capture reader"),
        ("demo", "engine reader capture"),
        ("live --help", ""),
        ("phantom --out live", ""),
        ("", ""),
    ],
)
def test_children_are_started_by_the_first_word(words: str, children: str) -> None:
    assert _name_children(words.split()) == tuple(children.split())


def test_the_version_is_the_packages() -> None:
    assert run("--version").stdout.split() == ["neurosono", __version__]


@pytest.mark.parametrize(
    "arguments", [["replay"], ["replay", "x.mp4"], ["nonsense"], ["demo", "x"]]
)
def test_wrong_words_are_exit_2(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_debug_shows_the_traceback_and_nothing_else_does(tmp_path: Path) -> None:
    arguments = ["replay", "absent.mp4", "--out", str(tmp_path / "o"), "--bundle", "nowhere"]
    quiet, loud = run(*arguments), run("--debug", *arguments)
    assert quiet.returncode == 2
    assert "Traceback" not in quiet.stderr
    assert "no bundle at nowhere" in quiet.stderr
    assert "Traceback" in loud.stderr


def test_doctor_says_what_runs_and_why_the_rest_does_not(bundle_root: Path) -> None:
    done = run("doctor", "--bundle", bundle_root, "--json", "-")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    engines = {each["engine"]: each for each in found["engines"]}
    assert engines["openvino"]["runs"] is True
    assert engines["openvino"]["built"] == ["f32 x2"]
    assert all(each["reason"] for each in engines.values())
    assert found["host"]["openvino"] != "not installed"
    assert int(found["host"]["cores"]) >= 1


def test_doctor_survives_a_bundle_that_is_not_there() -> None:
    done = run("doctor", "--bundle", "nowhere")
    assert done.returncode == 0
    assert "no bundle at nowhere" in " ".join(done.stderr.split())


def test_phantom_writes_what_training_reads(tmp_path: Path) -> None:
    out = tmp_path / "cohort"
    done = run("phantom", "--exams", "5", "--seconds", "0.4", "--seed", "3", "--out", out)
    assert done.returncode == 0, done.stderr
    labels = {path.name for path in out.iterdir() if path.is_dir()}
    assert labels == {
        "anencephaly",
        "encephalocele",
        "holoprosencephaly",
        "rachischisis",
        "normal",
    }
    assert len(list(out.glob("*/*/*.mp4"))) == 5
    again = run("phantom", "--exams", "5", "--out", out)
    assert again.returncode == 2, "a folder with something in it is not written over"


def test_the_package_itself_is_the_command() -> None:
    command = [sys.executable, "-m", "neurosono", "replay", "absent.mp4", "--out", "o"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 2, done.stderr


def test_a_pdf_without_what_draws_it_is_refused_before_anything_begins(tmp_path: Path) -> None:
    """As in an installation that has the extra `study` alone."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['reportlab'] = None\n")
    env = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    journal = ("--journal", tmp_path / "none.sqlite")
    for words in (
        ("study", "last", "--out", tmp_path / "out", *journal),
        ("node", "--folder", tmp_path / "node", "--allow", "A", "--send", "PACS@127.0.0.1:1"),
        ("live", "phantom:normal?seed=1", "--worklist", "RIS@127.0.0.1:1", *journal),
    ):
        done = run(*words, "--pdf", env=env)
        assert done.returncode == 2, done.stderr
        assert "pip install 'neurosono[pdf]'" in done.stderr
        assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["sitecustomize.py"]
    without = run("study", "last", *journal, env=env)
    assert "no journal at" in without.stderr, "a study without it needs nothing of that"
