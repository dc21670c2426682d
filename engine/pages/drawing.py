"""A drawing for a page: shapes that the template `macros.html` sets as inline SVG."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

Attributes = Mapping[str, float | str]


@dataclass(frozen=True)
class Shape:
    """One element: its tag and attributes, the words in it, and what a pointer over it is told."""

    tag: str
    attributes: dict[str, str]
    words: str = ""
    hint: str = ""


@dataclass
class Drawing:
    """Shapes, each over the ones before it; `title` is what is read aloud in its place.

    Coordinates are pixels of a viewport `width_px` by `height_px`, which the page scales. Further
    attributes are named with `_` for `-`: `stroke_width=2`.
    """

    title: str
    width_px: float
    height_px: float = 0.0
    shapes: list[Shape] = field(default_factory=list)
    legend: list[tuple[str, str]] = field(default_factory=list)
    """Names and colours that stand under the drawing."""

    def add_line(
        self, x1: float, y1: float, x2: float, y2: float, stroke: str, **more: float | str
    ) -> None:
        """Draw a straight line."""
        self._add("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "stroke": stroke}, more)

    def add_curve(
        self, points: Iterable[tuple[float, float]], stroke: str, **more: float | str
    ) -> None:
        """Draw a line through points."""
        self._add("polyline", {"points": _join(points), "fill": "none", "stroke": stroke}, more)

    def add_area(
        self, points: Iterable[tuple[float, float]], fill: str, hint: str = "", **more: float | str
    ) -> None:
        """Fill what lies between points."""
        self._add("polygon", {"points": _join(points), "fill": fill}, more, hint=hint)

    def add_box(
        self, x: float, y: float, width: float, height: float, fill: str, hint: str = "",
        **more: float | str,
    ) -> None:  # fmt: skip
        """Fill a rectangle, given its upper left corner."""
        box: Attributes = {"x": x, "y": y, "width": width, "height": height, "fill": fill}
        self._add("rect", box, more, hint=hint)

    def add_text(self, x: float, y: float, words: str, anchor: str, **more: float | str) -> None:
        """Write `words` with their base line at `y`; `anchor` is `start`, `middle` or `end`."""
        own: Attributes = {"x": x, "y": y, "text-anchor": anchor}
        self._add("text", own, more, words)

    def _add(
        self, tag: str, own: Attributes, more: Attributes, words: str = "", hint: str = ""
    ) -> None:
        said = {name.replace("_", "-"): _say(value) for name, value in {**own, **more}.items()}
        self.shapes.append(Shape(tag, said, words, hint))


def _join(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _say(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
