"""`train structures` as a user runs it: prepared, trained, gone on with, or refused."""

import json
from pathlib import Path

from neurosono.engine.structures.ellipse import Ellipse
from neurosono.training.detect.data import DetectData
from neurosono.training.detect.tables import HEADS_TABLE
from neurosono.training.squares import PHANTOM
from tests.training.commands import run_train
from tests.training.detect.pictures import HEADS_COLUMNS, write_picture, write_table


def _write_heads(root: Path, count: int) -> None:
    lines = []
    for k in range(count):
        head = Ellipse(200, 150, 100 + 2 * k, 80, 0)
        write_picture(root / f"hc18/images/{k:03}_HC.jpg", 400, 300, head)
        ellipse = {"cx": head.cx, "cy": head.cy, "a": head.a, "b": head.b, "angle": 0}
        size = {"width": 400, "height": 300, "outline_cut": "no"}
        name = {"path": f"hc18/images/{k:03}_HC.jpg", "subject": f"{k:03}"}
        scale = {"pixel_mm": 0.2, "hc_mm": round(0.2 * head.perimeter, 2)}
        lines.append({**name, **scale, **ellipse, **size})
    write_table(root / HEADS_TABLE, HEADS_COLUMNS, *lines)


def test_from_tables_to_a_run_that_goes_on(tmp_path: Path) -> None:
    _write_heads(tmp_path / "real", 12)
    cache, out, told = tmp_path / "cache", tmp_path / "run", tmp_path / "told.json"
    code, said = run_train(
        "structures", "prepare", tmp_path / "real", "--out", cache, "--phantoms", 1, "--json", told
    )
    assert code == 0, said
    data = DetectData.load(cache)
    assert data.frames.shape[1:] == (320, 320)
    assert sum(row.source == PHANTOM for row in data.rows) >= 5
    assert json.loads(told.read_text())["pictures"]["hc18/plane not told"]["pictures"] == 12
    assert run_train("structures", "prepare", tmp_path / "real", "--out", cache)[0] == 2

    words = ("run", cache, "--out", out, "--pictures", 16, "--batch", 4, "--json", told)
    code, said = run_train("structures", *words)
    assert code == 0, said
    assert json.loads(told.read_text()) == {"out": str(out), "steps_done": 4, "finished": True}
    code, said = run_train("structures", *words)
    assert code == 0, said
    code, said = run_train("structures", "run", cache, "--out", out, "--pictures", 32, "--batch", 4)
    assert code == 2
    assert "by another recipe" in said
    code, said = run_train("structures", "evaluate", out, "--cache", cache)
    assert code == 2
    assert "make it with `neurosono train structures build`" in said


def test_what_cannot_be_read_is_told_in_one_sentence(tmp_path: Path) -> None:
    code, said = run_train(
        "structures", "prepare", tmp_path, "--out", tmp_path / "x", "--phantoms", 0
    )
    assert (code, said.count("\n")) == (2, 0)
    assert "holds none of" in said
    _write_heads(tmp_path / "real", 2)
    (tmp_path / "real/hc18/images/001_HC.jpg").unlink()
    code, said = run_train("structures", "prepare", tmp_path / "real", "--out", tmp_path / "x")
    assert (code, said.count("\n")) == (2, 0)
    assert "line 3: the picture hc18/images/001_HC.jpg is missing" in said
    code, said = run_train("structures", "run", tmp_path, "--out", tmp_path / "x")
    assert code == 2
    assert "train structures prepare" in said
