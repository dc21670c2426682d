"""Check the house's sizes: sources up to 400 lines, tests up to 500, tracked files up to 17 MB."""

import subprocess
import sys
from pathlib import Path

MAX_LINES = 400
"""A file is split by reason to change. At 300, call sites were squeezed to stay under it."""
MAX_TEST_LINES = 500
"""A test file follows one noun through all its cases; splitting it would hide some."""
MAX_BYTES = 17 * 1024 * 1024
"""The demo bundle's int8 weights are the largest file there is."""


def main() -> int:
    """Print every file that is too large; return 1 if there is one."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    too_large = []
    for path in map(Path, listed):
        if not path.is_file():
            continue
        if path.stat().st_size > MAX_BYTES:
            too_large.append(f"{path}: over {MAX_BYTES} bytes")
        limit = MAX_TEST_LINES if path.parts[0] == "tests" else MAX_LINES
        if path.suffix == ".py" and len(path.read_text().splitlines()) > limit:
            too_large.append(f"{path}: over {limit} lines; split it by reason to change")
    sys.stdout.write("\n".join(too_large or ["file sizes: fine"]) + "\n")
    return 1 if too_large else 0


if __name__ == "__main__":
    sys.exit(main())
