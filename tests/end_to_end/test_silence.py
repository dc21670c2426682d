"""No process of ours speaks to anybody but this machine, and none leaves a report in the home.

Every process that a command starts runs with `tests/support/spy` and writes down its connections;
`CI`, at which OpenVINO holds its tongue, is not set.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.clips import write_clip
from tests.support.commands import COMMAND, TIMEOUT_S
from tests.training.conftest import write_cohort

ROOT = Path(__file__).resolve().parents[2]
SPY = ROOT / "tests" / "support" / "spy"
AT_HOME = ("None", "''", "b''", "'localhost'", "'127.0.0.1'", "'::1'", "'0.0.0.0'", "'::'", "'/")
"""Beginnings of what a loopback or a unix address looks like in the spy's log."""

RECIPE = 'weights = "random"\nepochs = 1\nfull_size_epochs = 1\nbatch = 8\nvalidation_share = 0.4\n'


class Watched:
    """Runs commands in a home of their own, and reads what the spy wrote down."""

    def __init__(self, folder: Path) -> None:
        self.home, self._log = folder / "home", folder / "log"
        self.home.mkdir()
        kept = {k: v for k, v in os.environ.items() if k not in ("CI", "TF_BUILD", "JENKINS_URL")}
        kept |= {"HOME": str(self.home), "SPY_LOG": str(self._log)}
        self._env = kept | {"PYTHONPATH": f"{SPY}:{ROOT}", "XDG_DATA_HOME": str(folder / "data")}

    def run(self, *words: str | Path, ends: tuple[int, ...] = (0,)) -> None:
        """Run `neurosono WORDS`; fails where anybody spoke to the world outside."""
        self.execute([*COMMAND, *map(str, words)], ends)

    def execute(self, command: list[str], ends: tuple[int, ...] = (0,)) -> None:
        """Run any command in the same way."""
        self._log.unlink(missing_ok=True)
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env=self._env,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert done.returncode in ends, done.stderr
        assert self.outsiders() == []
        assert not (self.home / "intel").exists(), "OpenVINO's telemetry keeps its identifier there"

    def lines(self) -> list[str]:
        """Return what was written down."""
        return self._log.read_text().splitlines()

    def outsiders(self) -> list[str]:
        """Return the lines about whoever is not this machine."""
        spoken = (line for line in self.lines() if not line.startswith("began "))
        return [line for line in spoken if not line.split(" ", 1)[1].startswith(AT_HOME)]


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_the_spy_hears_what_openvino_would_say(watched: Watched) -> None:
    if importlib.util.find_spec("openvino") is None:  # whose telemetry we keep from being found
        pytest.skip("no openvino here")
    with pytest.raises(AssertionError, match="analytics"):
        watched.execute([sys.executable, "-c", "import openvino"])
    assert (watched.home / "intel").is_dir()


@pytest.mark.parametrize("order", ["neurosono, openvino, nncf", "openvino_telemetry, neurosono"])
def test_a_program_that_imports_neurosono_is_silent_too(order: str, watched: Watched) -> None:
    pytest.importorskip("nncf")
    watched.execute([sys.executable, "-c", f"import {order}; import openvino"])


@pytest.mark.slow
def test_the_demo(watched: Watched, tmp_path: Path) -> None:
    watched.run("demo", "--out", tmp_path / "out")


def test_replay_and_live(watched: Watched, bundle_root: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", pictures=12)
    watched.run("replay", clip, "--bundle", bundle_root, "--out", tmp_path / "out")
    assert sum(line.startswith("began") for line in watched.lines()) >= 3, "children are heard too"
    for page in ("--page", "--no-page"):
        words = ("live", f"loop:{clip}", page, "--seconds", "4", "--bundle", bundle_root)
        # a host that is too busy to show a picture in that time says so, and ends with 1
        watched.run(*words, "--journal", tmp_path / "j.db", ends=(0, 1))


def test_bench_doctor_and_sources(watched: Watched, bundle_root: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", pictures=12)
    watched.run("bench", clip, "--floor", "--rounds", "1", "--bundle", bundle_root)
    watched.run("doctor", "--bundle", bundle_root)
    watched.run("sources")


def test_train_calibrate_and_build(watched: Watched, tmp_path: Path) -> None:
    pytest.importorskip("nncf")
    (tmp_path / "r.toml").write_text(RECIPE)
    made, cache = tmp_path / "b", write_cohort(tmp_path / "cache").root
    cohort = tmp_path / "c"
    watched.run(
        "phantom", "--counts", "normal=1,anencephaly=1", "--seconds", "0.4", "--out", cohort
    )
    watched.run("train", "prepare", cohort, "--out", tmp_path / "frames", "--every", "5")
    few = ("--recipe", tmp_path / "r.toml", "--folds", "2", "--width", "0.125", "--workers", "2")
    watched.run("train", cache, "--out", made, *few)
    watched.run("calibrate", made)
    watched.run("build", made, "--cache", cache, ends=(0, 1))
    watched.run("build", made, "--precision", "int8", "--cache", cache, ends=(0, 1, 2))
