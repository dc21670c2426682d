"""What goes with a release beside the wheel: pinned hashes, and under which licences all of it is.

`python scripts/papers.py constraints < REPORT` reads what `pip install --dry-run --report -` says;
`python scripts/papers.py licences` describes the environment that it runs in.
"""

import json
import re
import sys
from collections.abc import Iterable
from importlib import metadata
from typing import Any

_LIBRARY = re.compile(r"(?:^|/)[\w.-]+\.libs/(lib[A-Za-z0-9_+-]+?)(?:-[0-9a-f]{8,})?\.so")
_CLASSIFIER = "License :: OSI Approved :: "


def list_constraints(report: dict[str, Any], own: str = "neurosono") -> list[str]:
    """Return a line for each distribution of pip's report: name, version, and sha256.

    No address: from where it is fetched is for those to say who install it. Raises `ValueError`
    for one without a hash.
    """
    lines = []
    for each in report["install"]:
        name, version = each["metadata"]["name"], each["metadata"]["version"]
        if name == own:
            continue
        hashes = each["download_info"].get("archive_info", {}).get("hashes", {})
        if "sha256" not in hashes:
            raise ValueError(f"pip says no sha256 of {name} {version}: fetch it from an index")
        lines.append(f"{name.lower()}=={version} --hash=sha256:{hashes['sha256']}")
    return sorted(lines)


def list_licences(found: Iterable[metadata.Distribution]) -> list[str]:
    """Return a table of Markdown: what is installed, its licence, the libraries in its wheel."""
    rows = {}
    for each in found:
        libraries = sorted(
            {match[1] for file in each.files or () if (match := _LIBRARY.search(str(file)))}
        )
        cells = (each.name, each.version, name_licence(each), ", ".join(libraries))
        rows[each.name.lower()] = f"| {' | '.join(cells)} |"
    head = ["| distribution | version | licence | libraries in its wheel |", "| --- " * 4 + "|"]
    return head + [rows[name] for name in sorted(rows)]


def name_licence(distribution: metadata.Distribution) -> str:
    """Return a distribution's licence as it states it, in one line."""
    said = distribution.metadata
    if "License-Expression" in said:
        return str(said["License-Expression"])
    classified = [
        each.removeprefix(_CLASSIFIER)
        for each in said.get_all("Classifier") or []
        if each.startswith(_CLASSIFIER)
    ]
    first = "".join(said.get_all("License") or []).strip().splitlines()
    return ", ".join(classified) or (first[0][:60] if first else "not stated")


def main() -> int:
    """Print what was asked for."""
    match sys.argv[1:]:
        case ["constraints"]:
            lines = list_constraints(json.load(sys.stdin))
        case ["licences"]:
            lines = list_licences(metadata.distributions())
        case _:
            print("papers.py constraints | licences", file=sys.stderr)  # noqa: T201
            return 2
    print("\n".join(lines))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
