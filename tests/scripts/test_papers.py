"""What goes with a release: pins without a host's name, and licences as installed."""

import json
import venv
from importlib import metadata
from pathlib import Path

import pytest

from neurosono.scripts.papers import (
    OWN,
    check_bill,
    list_constraints,
    list_licences,
    make_bill,
)


def entry(name: str, digest: str | None) -> dict[str, object]:
    hashes = {} if digest is None else {"sha256": digest}
    info = {"url": f"https://packages.example/{name}.whl", "archive_info": {"hashes": hashes}}
    return {"metadata": {"name": name, "version": "1.2"}, "download_info": info}


def test_constraints_hold_version_and_hash_and_no_address() -> None:
    report = {"install": [entry("Zeta", "b" * 64), entry("alpha", "a" * 64)]}
    report["install"].append(entry("neurosono", None))
    lines = list_constraints(report)
    assert lines == [f"alpha==1.2 --hash=sha256:{'a' * 64}", f"zeta==1.2 --hash=sha256:{'b' * 64}"]
    assert "example" not in "".join(lines)


def test_a_distribution_without_a_hash_is_refused() -> None:
    with pytest.raises(ValueError, match="no sha256 of alpha"):
        list_constraints({"install": [entry("alpha", None)]})


def test_licences_name_what_a_wheel_carries() -> None:
    names = ("av", "numpy", "pyzmq", "starlette")
    rows = list_licences([metadata.distribution(name) for name in names])[2:]
    assert [row.split(" | ")[0].strip("| ") for row in rows] == sorted(names)
    assert all("not stated" not in row for row in rows)
    (av,) = [row for row in rows if row.startswith("| av ")]
    assert "libavcodec" in av


def test_a_bill_of_materials_tells_version_and_licence_of_exactly_what_is_installed(
    tmp_path: Path,
) -> None:
    venv.create(tmp_path)
    (packages,) = tmp_path.glob("lib/python3*/site-packages")
    for name, version in ((OWN, "7.8"), ("msgspec", "1.2")):
        told = packages / f"{name}-{version}.dist-info"
        told.mkdir()
        lines = ("Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}")
        (told / "METADATA").write_text("\n".join((*lines, "License-Expression: MIT")) + "\n")
    # as pip notes it of a wheel of ours, which lies somewhere on this machine
    noted = {"url": f"file://{tmp_path}/{OWN}.whl", "archive_info": {}}
    (packages / f"{OWN}-7.8.dist-info" / "direct_url.json").write_text(json.dumps(noted))
    bill = make_bill(tmp_path / "bin" / "python")
    ours = bill["metadata"]["component"]
    assert (ours["name"], ours["version"]) == (OWN, "7.8")
    assert ours["licenses"] == [{"license": {"acknowledgement": "declared", "id": "Apache-2.0"}}]
    (theirs,) = bill["components"]
    assert theirs["purl"] == "pkg:pypi/msgspec@1.2"
    assert theirs["licenses"][0]["license"]["id"] == "MIT"
    assert {"ref": "root-component", "dependsOn": ["msgspec==1.2"]} in bill["dependencies"]
    assert "timestamp" not in bill["metadata"]
    assert str(tmp_path) not in json.dumps(bill)


@pytest.mark.parametrize("missing", ["version", "licenses", "purl"])
def test_a_bill_that_tells_too_little_is_refused(missing: str) -> None:
    whole = {"name": "alpha", "version": "1", "licenses": [{}], "purl": "pkg:pypi/alpha@1"}
    bill = {"metadata": {"component": whole}, "components": [dict(whole)]}
    check_bill(bill)
    del bill["components"][0][missing]
    with pytest.raises(ValueError, match="alpha"):
        check_bill(bill)
