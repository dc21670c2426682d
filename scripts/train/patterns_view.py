"""The figures of patterns at the terminal."""

from typing import Any

from rich.table import Table

from neurosono.scripts.console import console
from neurosono.training.report.words import say_interval, say_percent


def print_figures(found: dict[str, Any]) -> None:
    """Print what `training.patterns.evaluate` found."""
    phantom, real, rules = found["phantom"], found["real"], found["rules"]
    table = Table(
        "finding",
        "AUROC of pictures",
        "shown in",
        "threshold",
        "exams that end with it",
        "normal women",
        title=f"phantoms: {phantom['pictures']} pictures, {phantom['patients']} patients",
        title_justify="left",
    )
    for name, each in phantom["ranking"]["findings"].items():
        exams = phantom["exams"]["findings"][name]["seen"]
        table.add_row(
            name,
            say_interval(each["auc"]),
            str(each["shown"]),
            f"{rules['thresholds'][name]:.2f}",
            f"{exams['right']} of {exams['count']}",
            str(real["by_finding"][name]),
        )
    console.print(table)
    console.print(f"macro AUROC {say_interval(phantom['ranking']['macro_auc'])}")
    controls = phantom["exams"]["controls_with_any"]
    console.print(f"controls with any finding: {controls['right']} of {controls['count']}")
    for name, words in (("any_picture", "in any picture"), ("by_dwell", "by the dwell")):
        each = real[name]
        console.print(
            f"real women with any finding {words}: {each['right']} of {each['count']}, "
            f"{say_percent(each['value'])} ({say_percent(each['low'])} to "
            f"{say_percent(each['high'])})"
        )
    said = found["contradictions"]
    pairs = f"{said['before']} said, {said['after']} left"
    console.print(f"contradictions in {said['pictures']} pictures: {pairs}")
