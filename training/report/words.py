"""Numbers as the report prints them."""

from typing import Any


def say_percent(value: float) -> str:
    """Return a share in per cent."""
    return f"{100 * value:.1f} %"


def say_interval(interval: dict[str, Any], form: str = ".3f") -> str:
    """Return `value (low to high)`, each in `form`; a dash without a value."""
    value, low, high = (interval[name] for name in ("value", "low", "high"))
    if value is None:
        return "-"
    return f"{value:{form}}" + ("" if low is None else f" ({low:{form}} to {high:{form}})")


def say_published(value: float | None) -> str:
    """Return a published share in per cent; a dash where the paper gives none."""
    return "-" if value is None else f"{100 * value:.4g} %"


def say_p(value: float) -> str:
    """Return a p value as papers print it."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
