"""From a template and what stands in it to a page that needs nothing else, not even a script.

Templates lie beside the code that fills them and extend `base.html` here. Whatever is put into
them is escaped, unless it is `Markup`, which only a template or a figure makes.
"""

import base64
from functools import cache
from pathlib import Path
from typing import Any

import cv2
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.notice import NOTICE

SHARED = Path(__file__).parent


def render_page(template: Path, /, **words: Any) -> str:
    """Return the page that `template` makes of `words`; a word that is missing is an error."""
    return _open_folder(template.parent).get_template(template.name).render(**words)


def inline_jpeg(pixels: Pixels, quality: int) -> str:
    """Return `(H, W)` grey or `(H, W, 3)` BGR as an address that holds the picture itself."""
    _, jpeg = cv2.imencode(".jpg", pixels, (cv2.IMWRITE_JPEG_QUALITY, quality))
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg.tobytes()).decode()}"


@cache
def _open_folder(folder: Path) -> Environment:
    opened = Environment(
        loader=FileSystemLoader([folder, SHARED]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    opened.globals["NOTICE"] = NOTICE
    return opened
