"""What an operator is given says what the code does: the table, the dashboard, alerts, units."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from neurosono.scripts.commands import make_app
from neurosono.stream.live.metrics import FAMILIES

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PAGE = (ROOT / "docs" / "operations.md").read_text()

NAMES = {
    full
    for name, family in FAMILIES.items()
    for full in (
        [f"neurosono_{name}"]
        if family.kind != "histogram"
        else [f"neurosono_{name}_{part}" for part in ("bucket", "sum", "count")]
    )
}


def test_the_table_of_metrics_is_the_codes() -> None:
    section = PAGE.split("## Metrics\n")[1].split("\n## ")[0].split("\n| alert")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    told = {row[0].strip().strip("`"): [cell.strip() for cell in row[1:]] for row in rows}
    assert set(told) == {f"neurosono_{name}" for name in FAMILIES}
    for name, family in FAMILIES.items():
        kind, labels, meaning = told[f"neurosono_{name}"]
        assert kind == family.kind
        assert labels == ", ".join(f"`{label}`" for label in family.labels), name
        assert meaning == family.help


@pytest.mark.parametrize("name", ["grafana.json", "alerts.yml"])
def test_what_is_drawn_and_alarmed_of_is_measured(name: str) -> None:
    text = (DEPLOY / name).read_text()
    asked = set(re.findall(r"neurosono_\w+", text))
    assert asked
    assert asked <= NAMES
    for metric, labels in re.findall(r"(neurosono_\w+)\{([^}]*)\}", text):
        family = FAMILIES[re.sub(r"^neurosono_|_(bucket|sum|count)$", "", metric)]
        for label, word in re.findall(r'(\w+)=\\?"([^"\\]*)\\?"', labels):
            if not word.startswith("$"):
                assert word in family.labels[label], (metric, label, word)


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    board = json.loads((DEPLOY / "grafana.json").read_text())
    assert {"title", "panels", "schemaVersion", "templating", "uid"} <= set(board)
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in board["panels"]:
        assert panel["targets"]
        assert panel["datasource"]["uid"] == "${datasource}"


def test_a_unit_starts_a_command_that_there_is() -> None:
    import typer

    known = typer.main.get_command(make_app())
    for unit in DEPLOY.glob("systemd/*.service"):
        text = unit.read_text().replace("\\\n", " ")
        (started,) = re.findall(
            r"^ExecStart=/opt/neurosono/bin/neurosono (.*)$", text, re.MULTILINE
        )
        command = known
        words = started.split()
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]  # type: ignore[attr-defined]
        given = {word.split("=")[0] for word in words if word.startswith("--")}
        options = {each for option in command.params for each in option.opts}
        assert given <= options, unit.name


def test_the_image_holds_every_folder_and_runs_as_nobody_in_particular() -> None:
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    copied = set(re.findall(r"^COPY (\w+) \1$", text, re.MULTILINE))
    links = {path.name for path in (ROOT / "neurosono").iterdir() if path.is_symlink()}
    assert links <= copied
    (files,) = re.findall(r"^COPY (.*) \./$", text, re.MULTILINE)
    assert all((ROOT / name).is_file() for name in files.split()), files
    final = text.split("\nFROM ")[-1]
    (user,) = re.findall(r"^USER (\d+):(\d+)$", final, re.MULTILINE)
    assert all(int(each) >= 10_000 for each in user), "no user of the host's by chance"
    assert re.findall(r"^VOLUME (.*)$", final, re.MULTILINE) == ["/data"]
    (check,) = re.findall(r"^HEALTHCHECK .*$", final, re.MULTILINE)
    assert "/healthz" in check
    assert "/readyz" not in check, "AI OFF must not end an exam"
    (started,) = re.findall(r"^CMD (\[.*\])$", final, re.MULTILINE)
    verb, *words = json.loads(started)
    options = {each for option in _commands()[verb].params for each in option.opts}
    assert {word.split("=")[0] for word in words if word.startswith("--")} <= options


def test_a_session_that_cannot_begin_yet_is_tried_until_it_can() -> None:
    """A server that comes up after the scanner's host: each try ends with 2, however many."""
    unit = (DEPLOY / "systemd" / "neurosono@.service").read_text()
    said = dict(re.findall(r"^(\w+)=(.*)$", unit, re.MULTILINE))
    assert said["Restart"] == "on-failure"
    assert said["StartLimitIntervalSec"] == "0", "no number of starts is too many"
    assert int(said["RestartSec"]) > 0
    assert not {"RestartPreventExitStatus", "SuccessExitStatus"} & set(said)


def _commands() -> dict[str, Any]:
    import typer

    return typer.main.get_command(make_app()).commands  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("unit", sorted(DEPLOY.glob("systemd/*.service")), ids=lambda p: p.name)
def test_a_unit_is_walled_in(unit: Path, tmp_path: Path) -> None:
    analyse = shutil.which("systemd-analyze")
    if analyse is None:
        pytest.skip("no systemd-analyze here")
    named = tmp_path / unit.name.replace("@", "@x")
    shutil.copy(unit, named)
    done = subprocess.run(
        [analyse, "security", "--offline=true", "--no-pager", str(named)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    assert float(found[1]) <= 2.5, done.stdout
    checked = subprocess.run([analyse, "verify", str(named)], capture_output=True, text=True)
    complaints = [line for line in checked.stderr.splitlines() if unit.stem.strip("@") in line]
    assert not [line for line in complaints if "is not executable" not in line], checked.stderr
