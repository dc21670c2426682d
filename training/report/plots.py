"""The report's plots, as SVG that stands inside the page: no script, no font file, no address."""

from collections.abc import Callable
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neurosono.engine.pages.figure import INK, draw_figure
from neurosono.training.report.words import say_interval

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
"""Okabe and Ito's palette, which people with any colour vision can tell apart."""

DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (3, 2)), (0, (1, 1)))
"""A line's second mark beside its colour: the page also prints in grey."""


def draw_confusion(level: dict[str, Any], labels: list[str], title: str) -> Markup:
    """Draw counts over their share of the truth with its interval, rows the truth."""

    def fill(axes: Axes) -> None:
        shares = [[cell["value"] or 0.0 for cell in row] for row in level["confusion_share"]]
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for i, row in enumerate(level["confusion"]):
            for j, cell in enumerate(row):
                look: dict[str, Any] = {
                    "color": "white" if shares[i][j] > 0.6 else INK,
                    "ha": "center",
                }
                axes.text(j, i - 0.02, str(cell), va="bottom", fontsize=11, **look)
                axes.text(j, i + 0.04, _say_share(level, i, j), va="top", fontsize=6.5, **look)
        axes.set_xticks(range(len(labels)), labels, rotation=25, ha="right")
        axes.set_yticks(range(len(labels)), labels)
        axes.set(xlabel="said", ylabel="truth")
        axes.tick_params(length=0)

    return _draw(fill, title, (6.2, 4.2))


def _say_share(level: dict[str, Any], i: int, j: int) -> str:
    cell = level["confusion_share"][i][j]
    if not level["confusion"][i][j] or cell["low"] is None:
        return ""
    return f"{cell['value']:.0%}\n({100 * cell['low']:.0f} to {100 * cell['high']:.0f})"


def draw_precision_recall(level: dict[str, Any], labels: list[str], title: str) -> Markup:
    """Draw each class' precision over recall, with its average precision."""

    def fill(axes: Axes) -> None:
        for number, label in enumerate(labels):
            if label not in level["curves"]:
                continue
            curve = level["curves"][label]["pr"]
            said = f"{label} {say_interval(level['average_precision'][label])}"
            axes.step(curve["recall"], curve["precision"], where="post", **_mark(number, said))
        _set_square(axes, "recall", "precision")
        axes.legend(title="average precision", **_below())

    return _draw(fill, title, (4.4, 5.2))


def draw_roc(level: dict[str, Any], labels: list[str], title: str) -> Markup:
    """Draw each class' hits over false alarms, with its AUROC."""

    def fill(axes: Axes) -> None:
        for number, label in enumerate(labels):
            if label not in level["curves"]:
                continue
            curve = level["curves"][label]["roc"]
            said = f"{label} {say_interval(level['auroc'][label])}"
            axes.plot(
                curve["false_positive_rate"], curve["true_positive_rate"], **_mark(number, said)
            )
        axes.plot([0, 1], [0, 1], color="#8a949e", linewidth=0.8)
        _set_square(axes, "false positive rate", "true positive rate")
        axes.legend(title="AUROC", **_below())

    return _draw(fill, title, (4.4, 5.2))


def draw_groups(groups: list[dict[str, Any]], title: str) -> Markup:
    """Draw each subgroup's exam accuracy with Wilson's interval."""

    def fill(axes: Axes) -> None:
        for number, group in enumerate(groups):
            _whisker(axes, group["exam_accuracy_wilson"], number, COLOURS[0])
        axes.set_yticks(range(len(groups)), [group["name"] for group in groups])
        axes.set_ylim(len(groups) - 0.4, -0.6)
        axes.set(xlim=(0, 1.02), xlabel="exams right, Wilson's 95 % interval")
        axes.grid(axis="x", color="#d5dade", linewidth=0.6)

    return _draw(fill, title, (7.4, 0.9 + 0.32 * len(groups)))


def draw_readers(reader: dict[str, Any], labels: list[str], names: dict[str, str]) -> Markup:
    """Draw recognition of each class by reader, system and both; `names` are the four lines."""

    def fill(axes: Axes) -> None:
        for number, (who, name) in enumerate(names.items()):
            for row, label in enumerate(labels):
                share = reader["recognition"][who]["classes"][label]
                if share["value"] is None:
                    continue
                said = name if row == 0 else None
                _whisker(axes, share, row + 0.17 * (number - 1.5), COLOURS[number], said)
        axes.set_yticks(range(len(labels)), labels)
        axes.set_ylim(len(labels) - 0.4, -0.6)
        axes.set(xlim=(-0.01, 1.02), xlabel="recognised, Wilson's 95 % interval")
        axes.grid(axis="x", color="#d5dade", linewidth=0.6)
        axes.legend(**_below(2))

    title = f"Recognition rate by class: {reader['reader']}"
    return _draw(fill, title, (7.4, 1.6 + 0.55 * len(labels)))


MARKERS = dict(zip(COLOURS, "osD^vP*", strict=True))


def _whisker(
    axes: Axes, share: dict[str, Any], at: float, colour: str, name: str | None = None
) -> None:
    axes.plot([share["low"], share["high"]], [at, at], color=colour, linewidth=1.4)
    axes.plot(
        share["value"], at, MARKERS[colour], color=colour, markersize=5, label=name, clip_on=False
    )


def _mark(number: int, label: str) -> dict[str, Any]:
    at = number % len(COLOURS)
    return {"color": COLOURS[at], "linestyle": DASHES[at], "linewidth": 1.6, "label": label}


def _below(columns: int = 1) -> dict[str, Any]:
    return {
        "loc": "upper center",
        "bbox_to_anchor": (0.5, -0.16),
        "frameon": False,
        "ncols": columns,
        "handlelength": 3,
    }


def _set_square(axes: Axes, x: str, y: str) -> None:
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), xlabel=x, ylabel=y)
    axes.set_aspect("equal")
    axes.grid(color="#d5dade", linewidth=0.6)


def _draw(fill: Callable[[Axes], None], title: str, size_in: tuple[float, float]) -> Markup:
    """Draw one plot; the same numbers give the same text."""

    def fill_titled(figure: Figure) -> None:
        axes = figure.add_subplot()
        fill(axes)
        axes.set_title(title, fontsize=10, loc="left")

    return draw_figure(fill_titled, title, size_in)
