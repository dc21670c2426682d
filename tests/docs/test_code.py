"""Every block of Python in the README and in docs/extending runs, in order, as for a reader."""

import re
from pathlib import Path
from typing import Any

import pytest

import neurosono
from tests.support.clips import write_clip

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "extending").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_the_code_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    assert blocks
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / "clip.mp4", pictures=12)
    picture, _ = next(iter(neurosono.judge("phantom:normal?seed=1&seconds=1", rate_hz=2)))
    known: dict[str, Any] = {"array": picture.region}
    for block in blocks:
        exec(compile(block, str(page), "exec"), known)
