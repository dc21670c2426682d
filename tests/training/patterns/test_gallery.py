"""A gallery shows pictures with what was found in each, and gives no rate."""

from pathlib import Path

import cv2
import numpy as np

from tests.support.patterns import make_patterns_bundle
from tests.training.commands import run_train


def test_every_picture_is_there_and_the_page_loads_nothing(tmp_path: Path) -> None:
    bundle, pictures, out = (tmp_path / name for name in ("bundle", "pictures", "page.html"))
    make_patterns_bundle(bundle)
    (pictures / "deep").mkdir(parents=True)
    cv2.imwrite(str(pictures / "bright.png"), np.full((90, 120), 120, np.uint8))
    cv2.imwrite(str(pictures / "deep" / "dark.png"), np.zeros((90, 120), np.uint8))
    words = ("patterns", "gallery", bundle, pictures, "--out", out)
    code, said = run_train(*words)
    assert code == 0, said
    page = out.read_text()
    assert page.count("<figure>") == page.count("data:image/jpeg") == 2
    assert "severe-ventriculomegaly 0.87" in page
    assert "dark.png</b><br>no-head: no finding pattern" in page
    assert "no rate follows" in page
    assert "http" not in page.replace("http-equiv", "")
    (tmp_path / "empty").mkdir()
    code, said = run_train("patterns", "gallery", bundle, tmp_path / "empty", "--out", out)
    assert code == 2
    assert "holds no picture" in said
    code, said = run_train("patterns", "gallery", "demo", pictures, "--out", out)
    assert code == 2
    assert "finds no patterns" in said
