"""Small files that would take gigabytes: refused in a sentence, before any of it is taken."""

import subprocess
import sys
from pathlib import Path

import pytest

from neurosono.engine.contracts.errors import InputError, SourceError
from neurosono.stream.sources import open_source
from neurosono.stream.sources.limits import MediaLimits
from tests.support.bombs import BOMBS, TOO_LARGE

MOST_BYTES = 1_000_000_000
MOST_MORE_KB = 500_000
SMALL_BYTES = 3_000_000


MEASURE = """
import os, subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(child.pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss)
"""

TOGETHER = ("grey.png", "pages.tif", "canvas.gif", "baseline.jpg", "rows.dcm", "frames.dcm")
"""Of each reader one or two: a replay waits a minute for its files to be opened."""


def peak_kb() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_it_takes_memory(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    BOMBS[name](path)
    assert path.stat().st_size < SMALL_BYTES
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here on (proc(5))
    before_kb = peak_kb()
    with pytest.raises(SourceError) as refused:
        open_source([str(path)])
    assert peak_kb() - before_kb < MOST_MORE_KB
    words = str(refused.value)
    assert "\n" not in words
    assert len(words) < 500
    if name in TOO_LARGE:
        assert "more than" in words or "is the most" in words, words


def test_all_of_them_at_once_are_one_sentence_and_exit_2(tmp_path: Path) -> None:
    folder = tmp_path / "exam"
    folder.mkdir()
    for name in TOGETHER:
        BOMBS[name](folder / name)
    command = [sys.executable, "-P", "-m", "neurosono", "replay", str(folder)]
    command += ["--out", str(tmp_path / "out")]
    # A child's peak begins at its parent's size, and pytest is large by now: so one between them.
    between = [sys.executable, "-c", MEASURE, *command]
    ran = subprocess.run(between, capture_output=True, text=True, check=True, timeout=300)
    code, peak_kib = map(int, ran.stdout.split()[-2:])
    assert code == 2, ran.stderr
    assert "Traceback" not in ran.stderr
    assert "\n" not in ran.stderr.strip(), ran.stderr
    assert f"{len(TOGETHER)} files cannot be used" in ran.stderr
    assert peak_kib * 1024 < MOST_BYTES  # of it, and of its children


def test_what_is_not_seen_beforehand_is_refused_by_the_system(tmp_path: Path) -> None:
    ask = (
        "from neurosono.stream.sources.limits import MediaLimits\n"
        "import numpy as np\n"
        "with MediaLimits(megabytes=100).hold_memory():\n"
        "    np.ones(50_000_000, np.uint8)\n"
        "    try: np.ones(150_000_000, np.uint8)\n"
        "    except MemoryError: print('refused')\n"
        "np.ones(150_000_000, np.uint8)\n"
    )
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("refused\n", 0), done.stderr


@pytest.mark.parametrize("name", ["long.png", "long.bmp", "long.tif"])
def test_a_still_longer_than_the_limit_is_not_read(name: str, tmp_path: Path) -> None:
    import cv2
    import numpy as np

    path = tmp_path / name
    cv2.imwrite(str(path), np.zeros((300, 400), np.uint8))
    with path.open("r+b") as file:
        file.truncate(3_000_000_000)  # no blocks are taken: it is all hole
    Path("/proc/self/clear_refs").write_text("5")
    before_kb = peak_kb()
    with pytest.raises(SourceError, match="3000 MB to decode, more than the 768 MB"):
        open_source([str(path)])
    assert peak_kb() - before_kb < MOST_MORE_KB


def test_who_has_larger_pictures_says_so(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    import cv2
    import numpy as np

    cv2.imwrite(str(path), np.zeros((300, 400), np.uint8))
    with pytest.raises(SourceError, match=r"400 x 300 pixels, more than the 0\.1 million"):
        open_source([str(path)], limits=MediaLimits(megapixels=0.1))
    (picture,) = open_source([str(path)], limits=MediaLimits(megapixels=0.12)).pictures()
    assert picture.pixels.shape[:2] == (300, 400)


@pytest.mark.parametrize("given", [{"megapixels": 0}, {"megabytes": 0}, {"megapixels": 1e9}])
def test_limits_that_nothing_fits_into_are_refused(given: dict[str, float]) -> None:
    with pytest.raises(InputError, match="must be above 0"):
        MediaLimits(**given)  # type: ignore[arg-type]
