"""Every control names tests, every named test is there, and the papers say what holds."""

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TRACED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
ROW = re.compile(r"^\| (H\d+) \|.*", re.MULTILINE)
HAZARDS = (ROOT / "docs" / "hazards.md").read_text(encoding="utf-8")
ROWS = {found[1]: found[0] for found in ROW.finditer(HAZARDS)}


@cache
def list_tests(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {each.name for each in ast.walk(tree) if isinstance(each, ast.FunctionDef)}


@pytest.mark.parametrize("hazard", ROWS)
def test_every_hazard_has_a_control_whose_test_is_there(hazard: str) -> None:
    cells = [cell.strip() for cell in ROWS[hazard].strip("|").split("|")]
    assert len(cells) == 5
    assert cells[2] in {"S1", "S2", "S3"}
    traced = TRACED.findall(cells[4])
    assert traced, f"{hazard} names no test"
    for path, name in traced:
        assert (ROOT / path).is_file(), path
        assert name in list_tests(path), f"{path} has no {name}"


def test_hazards_are_numbered_without_a_gap() -> None:
    assert list(ROWS) == [f"H{number}" for number in range(1, len(ROWS) + 1)]


def test_the_licence_of_every_dependency_is_told() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    brought = [each for extra in ("signing", "study", "pdf", "igtl") for each in extras[extra]]
    needed = [*project["dependencies"], *brought]
    names = {re.split(r"[<>=!\[ ]", each)[0] for each in needed} - {"neurosono"}
    page = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| ([\w.-]+) \|", page, re.MULTILINE)
    assert names <= set(told), names - set(told)
    assert set(told) - {"distribution", "---"} == names


@pytest.mark.parametrize("paper", ["SECURITY.md", "docs/threat-model.md", "docs/hazards.md"])
def test_links_of_the_papers_lead_somewhere(paper: str) -> None:
    text = (ROOT / paper).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", text):
        assert ((ROOT / paper).parent / link).exists(), link
