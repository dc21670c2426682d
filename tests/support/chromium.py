"""A real browser, without a window."""

import os
import shutil
from importlib.util import find_spec

CHROMIUM = os.environ.get("NEUROSONO_CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def has_browser() -> bool:
    """Whether there is one, and what drives it."""
    return find_spec("playwright") is not None and shutil.which(CHROMIUM) is not None
