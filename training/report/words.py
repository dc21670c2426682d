"""Numbers as the report prints them."""


def say_percent(value: float) -> str:
    """Return a share in per cent."""
    return f"{100 * value:.1f} %"


def say_published(value: float | None) -> str:
    """Return a published share in per cent; a dash where the paper gives none."""
    return "-" if value is None else f"{100 * value:.4g} %"


def say_p(value: float) -> str:
    """Return a p value as papers print it."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
