"""The few pieces of HTML that the report's sections are built of; whatever comes in is escaped."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from neurosono.engine.contracts.notice import NOTICE

CSP = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


class Raw(str):
    """Text that is HTML already and is not escaped again."""

    __slots__ = ()


def set_notice() -> str:
    """Return the warning that opens and closes the page."""
    more = "A report on a model, on the patients named below by pseudonyms; on no others."
    return f'<p class="notice">{escape(NOTICE)}<small>{more}</small></p>'


def set_section(title: str, *body: str) -> str:
    """Return a section with its title."""
    return f"<section><h2>{escape(title)}</h2>{''.join(body)}</section>"


def set_soft(text: str) -> str:
    """Return a paragraph of explanation."""
    return f'<p class="soft">{escape(text)}</p>'


def set_facts(facts: dict[str, Any]) -> str:
    """Return names and values, one a line."""
    lines = (f"<dt>{escape(name)}</dt><dd>{_cell(value)}</dd>" for name, value in facts.items())
    return f"<dl>{''.join(lines)}</dl>"


def set_table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table; each row's first cell names it."""
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join(
        f"<tr><th>{_cell(row[0])}</th>{''.join(f'<td>{_cell(cell)}</td>' for cell in row[1:])}</tr>"
        for row in rows
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll">{table}</div>'


def set_plots(*plots: str) -> str:
    """Return plots side by side."""
    return f'<div class="plots">{"".join(f"<div>{plot}</div>" for plot in plots)}</div>'


def set_share(interval: dict[str, Any] | None) -> Raw:
    """Return a share in per cent, its 95 % interval small behind it; a dash where undefined."""
    if interval is None or interval["value"] is None:
        return Raw("-")
    value = set_percent(interval["value"])
    return Raw(value if interval["low"] is None else f"{value} {set_bounds(interval)}")


def set_bounds(interval: dict[str, Any]) -> Raw:
    """Return the 95 % interval alone, in per cent."""
    low, high = (f"{100 * interval[end]:.1f}" for end in ("low", "high"))
    return Raw(f"<small>({low} to {high})</small>")


def set_published(value: float | None) -> str:
    """Return a published share in per cent; a dash where the paper gives none."""
    return "-" if value is None else f"{100 * value:.4g} %"


def set_percent(value: float) -> str:
    """Return a probability in per cent."""
    return f"{100 * value:.1f} %"


def set_p(value: float) -> str:
    """Return a p value as papers print it."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def set_page(title: str, style: str, body: Iterable[str]) -> str:
    """Return the whole page: it loads nothing, and says so to the browser."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{CSP}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _cell(value: Any) -> str:
    return str(value) if isinstance(value, Raw) else escape(str(value))
