"""What goes with a release: pins without a host's name, and licences as installed."""

from importlib import metadata

import pytest

from neurosono.scripts.papers import list_constraints, list_licences


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
