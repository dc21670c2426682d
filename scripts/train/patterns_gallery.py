"""Pictures with what a bundle of patterns says of each: to look at, and not to count."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from neurosono.bundles import OpenReader, open_bundle
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.files import write_whole
from neurosono.engine.pages.render import inline_jpeg, render_page
from neurosono.stream.overlay.findings import paint_findings
from neurosono.stream.overlay.typeface import Typeface

TEMPLATE = Path(__file__).with_name("patterns_gallery.html")
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
_WIDTH_PX = 420
_QUALITY = 85


def write_gallery(bundle: str, folder: Path, out: Path, watch: Callable[[], None]) -> int:
    """Write a page of every picture under `folder`; return how many there are.

    No rate is given: whoever chose the pictures chose the rate. Raises `InputError` where there is
    no picture, `BundleError`, `OutputError`.
    """
    opened = open_bundle(bundle)
    if not isinstance(opened, OpenReader):
        raise InputError(f"{bundle} finds no patterns: name a bundle of the kind `patterns`")
    shown = list(_read(opened, folder, watch))
    if not shown:
        raise InputError(f"{folder} holds no picture ({', '.join(SUFFIXES)}): name another folder")
    page = render_page(TEMPLATE, shown=shown, digest=opened.digest)
    write_whole(out, page, mode=0o600, advice="choose another --out in a folder that is there")
    return len(shown)


def _read(opened: OpenReader, folder: Path, watch: Callable[[], None]) -> Iterator[dict[str, Any]]:
    type_ = Typeface()
    for path in sorted(each for each in folder.rglob("*") if each.suffix.lower() in SUFFIXES):
        pixels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if pixels is None:
            raise InputError(f"{path} is no picture that can be read: take it out of the folder")
        grey = np.asarray(pixels, np.uint8)
        said = opened.judge(grey).to_dict()
        height, width = grey.shape
        size = max(1, round(_WIDTH_PX * height / width)), _WIDTH_PX
        found = [box for box in said["boxes"] if box["finding"]]
        painted = paint_findings(grey, {**said, "boxes": found}, (0, 0, width, height), size, type_)
        yield {
            "name": path.name,
            "picture": inline_jpeg(painted, _QUALITY),
            "plane": said["plane"] or "no plane",
            "findings": [f"{box['label']} {box['score']:.2f}" for box in found],
        }
        watch()
