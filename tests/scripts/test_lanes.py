"""A worker that is killed costs the test that it ran, and no other; the run goes on to its end."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 300
TESTS = """
import os
import pytest

@pytest.mark.parametrize("number", range(4))
def test_it(number):
    if number == {killer}:
        os.kill(os.getpid(), 9)
"""


def test_a_killed_worker_costs_one_test_and_the_run_ends(tmp_path: Path) -> None:
    for name, killer in (("tests/a.py", -1), ("tests/node/b.py", -1), ("tests/z.py", 1)):
        (path := tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        path.write_text(TESTS.replace("{killer}", str(killer)))
    told = ["-n", "2", "--dist", "loadscope", "-p", "tests.support.lanes", "-q", "-c", os.devnull]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", *told, "--rootdir", tmp_path]
        + [tmp_path / name for name in ("tests/a.py", "tests/node/b.py", "tests/z.py")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed, 11 passed" in done.stdout.splitlines()[-1]
    assert "crashed while running 'tests/z.py::test_it[1]'" in done.stdout
