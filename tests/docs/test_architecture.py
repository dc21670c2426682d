"""The tables of `docs/architecture.md` name all that is said, and nothing else."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from neurosono.engine.contracts import errors
from neurosono.stream.journal.words import EVENTS
from neurosono.stream.page import protocol
from neurosono.stream.processes.wire import KINDS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()

SPEAKERS = ("capture", "judge", "live", "replay", "session", "processes", "sources/live")
"""Rooms of `stream` whose events go between processes."""

SAYING = {"Event", "tell", "_tell", "_on_event", "on_event"}
"""What an event's name is given to, as the first argument."""


def list_rows(heading: str) -> set[str]:
    """Return the names in the first column of the table under a heading."""
    section = PAGE.split(f"### {heading}\n")[1].split("\n#")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def read_trees() -> Iterator[ast.AST]:
    for room in SPEAKERS:
        for path in sorted((ROOT / "stream" / room).glob("*.py")):
            yield from ast.walk(ast.parse(path.read_text()))


def read_words(node: ast.AST) -> set[str]:
    """Return every string that an expression or a pattern may be."""
    return {
        each.value
        for each in ast.walk(node)
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
    }


def name_of(function: ast.expr) -> str:
    return getattr(function, "id", getattr(function, "attr", ""))


def find_said() -> set[str]:
    said: set[str] = set()
    for node in read_trees():
        if isinstance(node, ast.Call) and node.args and name_of(node.func) in SAYING:
            first = node.args[0]
            if isinstance(first, ast.IfExp):
                said |= read_words(first.body) | read_words(first.orelse)
            elif isinstance(first, ast.Constant):
                said |= read_words(first)
    return said


def find_heard() -> set[str]:
    heard: set[str] = set()
    for node in read_trees():
        if isinstance(node, ast.MatchClass) and name_of(node.cls) == "Event":
            for pattern in node.kwd_patterns[:1]:
                heard |= read_words(pattern)
        elif isinstance(node, ast.Compare) and ast.unparse(node.left) == "event.name":
            heard |= read_words(node.comparators[0])
    return heard


def test_every_message_stands_there() -> None:
    assert list_rows("Messages") == {kind.__name__ for kind in KINDS.values()}


def test_every_event_between_the_processes_stands_there() -> None:
    assert list_rows("Events between the processes") == find_said()


def test_what_is_waited_for_is_said_somewhere() -> None:
    assert find_heard() <= find_said()


def test_all_that_page_and_display_say_stands_there() -> None:
    said = {kind.name for kind in protocol.MessageKind} | set(protocol._VOCABULARY) | {"ack"}
    assert list_rows("Between display and browser") == said


def test_every_event_of_the_record_stands_there() -> None:
    assert list_rows("Into the record") == set(EVENTS)


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_code_cites_pages_that_are_there() -> None:
    cited = {
        name
        for folder in (
            "archive",
            "node",
            "engine",
            "stream",
            "training",
            "calibration",
            "scripts",
            "neurosono",
        )
        for path in (ROOT / folder).rglob("*.py")
        for name in re.findall(r"[\w/.-]+\.md", path.read_text())
    }
    assert "docs/architecture.md" in cited
    assert {name for name in cited if name.startswith("docs/")} <= {
        str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")
    }
    assert "design.md" not in cited


def test_the_tree_of_errors_is_the_front_doors() -> None:
    import neurosono

    raised = {
        name
        for name, each in vars(errors).items()
        if isinstance(each, type) and issubclass(each, errors.NeurosonoError)
    }
    assert raised <= set(neurosono.__all__)


def test_the_floors_are_those_that_the_checks_hold() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(each["layers"] for each in contracts["contracts"] if "floors" in each["name"])
    page = (ROOT / "CONTRIBUTING.md").read_text().split("| floor of `stream` | rooms |")[1]
    rows = [line for line in page.splitlines() if re.match(r"\| \d+ \| `", line)]
    told = [re.sub(r"\([^)]*\)", "", row.split("|")[2]) for row in rows]
    assert [set(re.findall(r"`(\w+)`", row)) for row in told] == [
        set(layer.split(" | ")) for layer in layers
    ]
