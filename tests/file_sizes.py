"""Check the house's sizes: no source file over 300 lines, no tracked file over 17 MB."""

import subprocess
import sys
from pathlib import Path

MAX_LINES = 300
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
        if path.suffix == ".py" and len(path.read_text().splitlines()) > MAX_LINES:
            too_large.append(f"{path}: over {MAX_LINES} lines; split it by reason to change")
    sys.stdout.write("\n".join(too_large or ["file sizes: fine"]) + "\n")
    return 1 if too_large else 0


if __name__ == "__main__":
    sys.exit(main())
