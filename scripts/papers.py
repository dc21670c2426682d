"""What goes with a release beside the wheel: pinned hashes, and under which licences all of it is.

`python scripts/papers.py constraints < REPORT` reads what `pip install --dry-run --report -` says;
`python scripts/papers.py licences` describes the environment that it runs in; `bill PYTHON` that of
another Python, as CycloneDX.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

OWN = "neurosono"
PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"
_DYNAMIC = re.compile(r"^dynamic = .*$", re.MULTILINE)
_LIBRARY = re.compile(r"(?:^|/)[\w.-]+\.libs/(lib[A-Za-z0-9_+-]+?)(?:-[0-9a-f]{8,})?\.so")
_CLASSIFIER = "License :: OSI Approved :: "


def list_constraints(report: dict[str, Any], own: str = OWN) -> list[str]:
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


def make_bill(python: Path) -> dict[str, Any]:
    """Return the bill of materials (CycloneDX) of what is installed beside a Python.

    It holds no moment, so the same install gives the same bill. Raises `CalledProcessError` where
    none can be made, and what `check_bill` does.
    """
    ask = (python, "-P", "-c", f"from importlib.metadata import version; print(version('{OWN}'))")
    version = subprocess.run(ask, check=True, capture_output=True, text=True).stdout.strip()
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / PROJECT.name
        # The version stands in the code, where cyclonedx does not look.
        project.write_text(_DYNAMIC.sub(f'version = "{version}"', PROJECT.read_text()))
        command = (sys.executable, "-P", "-m", "cyclonedx_py", "environment", python)
        options = ("--pyproject", project, "--mc-type", "application", "--output-reproducible")
        made = subprocess.run((*command, *options), check=True, stdout=subprocess.PIPE).stdout
    bill: dict[str, Any] = json.loads(made)
    check_bill(bill)
    return bill


def check_bill(bill: dict[str, Any]) -> None:
    """Raise `ValueError` for a version or a licence that is not told, or a place on this machine.

    What has no address of the package index's kind (a purl) was installed from such a place.
    """
    for each in (bill["metadata"]["component"], *bill["components"]):
        if not each.get("version") or not each.get("licenses"):
            raise ValueError(f"no version, or no licence, is told of {each['name']}")
    for each in bill["components"]:
        if "purl" not in each:
            raise ValueError(f"{each['name']} was installed from a place on this machine")


def main() -> int:
    """Print what was asked for."""
    match sys.argv[1:]:
        case ["constraints"]:
            lines = list_constraints(json.load(sys.stdin))
        case ["bill", python]:
            lines = [json.dumps(make_bill(Path(python)), indent=2)]
        case ["licences"]:
            lines = list_licences(metadata.distributions())
        case _:
            print("papers.py constraints | bill PYTHON | licences", file=sys.stderr)  # noqa: T201
            return 2
    print("\n".join(lines))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
