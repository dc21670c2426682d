"""From a template and what stands in it to a page that needs nothing else, not even a script.

Templates lie beside the code that fills them and extend `base.html` here. Whatever is put into
them is escaped, unless it is `Markup`, which only a template or a figure makes.
"""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from neurosono.engine.contracts.notice import NOTICE

SHARED = Path(__file__).parent


def render_page(template: Path, /, **words: Any) -> str:
    """Return the page that `template` makes of `words`; a word that is missing is an error."""
    return _open_folder(template.parent).get_template(template.name).render(**words)


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
