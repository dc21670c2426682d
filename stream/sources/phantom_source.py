"""A generated exam as a source: `phantom:LABEL?seed=7&seconds=20&fps=25&width=800&height=600`.

`ventricle_mm=12` makes both lateral ventricles that wide; `notes=8` writes that many coloured words
and marks on the screen; `finding=mega-cisterna-magna` draws that finding pattern.
"""

import difflib
import math
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from neurosono.engine.contracts.errors import InputError, SourceError
from neurosono.engine.contracts.frame import Scaled, ScaleSource
from neurosono.engine.contracts.labels import DEFAULT_LABELS
from neurosono.stream.pictures.picture import UNSCALED
from neurosono.stream.sources.clip import ClipPicture, Region
from neurosono.stream.sources.identity import Identity
from neurosono.stream.sources.left_out import Reason

if TYPE_CHECKING:
    from neurosono.stream.phantom.exam import PhantomSpec

PREFIX = "phantom:"

DEFAULTS = {"seed": 7.0, "seconds": 20.0, "fps": 25.0, "width": 800.0, "height": 600.0}
"""Decision: an exam that is long enough for a prediction, on a screen of common size."""

OPTIONAL = {"ventricle_mm": 12.0, "notes": 8.0}
"""What may be asked for besides, with an example of each."""

_FINDING = "finding"
"""The one parameter that is a word."""

_WHOLE_NUMBERS = ("seed", "width", "height", "notes")
_FROM_ZERO = ("seed", "notes")


@dataclass(frozen=True)
class PhantomClip:
    """A phantom exam; its description is the very text that it was asked for by."""

    format_name: str
    spec: "PhantomSpec"
    noun: str = "phantom"
    us_regions: tuple[Region, ...] = ()
    left_out: tuple[Reason, ...] = ()
    identity: Identity = field(default_factory=dict)

    @property
    def interval_s(self) -> float:
        """The time from a picture to the next."""
        return 1 / self.spec.fps

    def pictures(self) -> Generator[ClipPicture]:
        """Generate the exam from its start, always the same."""
        from neurosono.stream.phantom.exam import exam_frames

        began_s = time.perf_counter()
        for frame in exam_frames(self.spec):
            made_ms = (time.perf_counter() - began_s) * 1e3
            scale = UNSCALED
            if frame.mm_per_px is not None:
                scale = Scaled(mm_per_px=frame.mm_per_px, mm_per_px_from=ScaleSource.PHANTOM)
            yield ClipPicture(frame.pts_s, frame.pixels, made_ms, scale=scale)
            began_s = time.perf_counter()


def open_phantom(argument: str) -> PhantomClip:
    """Parse a specification; raises `SourceError` if the label or a parameter is not known."""
    label, _, query = argument.removeprefix(PREFIX).partition("?")
    if label not in DEFAULT_LABELS:
        raise SourceError(
            f"there is no phantom of {label!r}; expected one of {', '.join(DEFAULT_LABELS)}"
            f"{_suggest(label, DEFAULT_LABELS)}"
        )
    values, finding = dict(DEFAULTS), None
    known = (*DEFAULTS, *OPTIONAL, _FINDING)
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError as error:
        raise SourceError(
            f"cannot read the phantom's parameters {query!r}; expected them as seed=7&seconds=20"
        ) from error
    for name, text in pairs:
        if name not in known:
            raise SourceError(
                f"a phantom has no parameter {name!r}; expected {', '.join(known)}"
                f"{_suggest(name, known)}"
            )
        if name == _FINDING:
            finding = text
        else:
            values[name] = _parse_value(name, text)
    return PhantomClip(format_name=argument, spec=_make_spec(label, values, finding))


def _parse_value(name: str, text: str) -> float:
    lowest_excluded = -1 if name in _FROM_ZERO else 0
    try:
        value = float(int(text)) if name in _WHOLE_NUMBERS else float(text)
    except (ValueError, OverflowError):
        value = math.nan
    if not math.isfinite(value) or value <= lowest_excluded:
        kind = "a whole number" if name in _WHOLE_NUMBERS else "a number"
        raise SourceError(
            f"a phantom's {name} cannot be {text!r}; expected {kind} over {lowest_excluded}, as in "
            f"{name}={({**DEFAULTS, **OPTIONAL})[name]:g}"
        )
    return value


def _make_spec(label: str, values: dict[str, float], finding: str | None) -> "PhantomSpec":
    from neurosono.stream.phantom.exam import PhantomSpec, check_fetus

    try:
        spec = PhantomSpec(
            label=label,
            seed=int(values["seed"]),
            seconds=values["seconds"],
            fps=values["fps"],
            width_px=int(values["width"]),
            height_px=int(values["height"]),
            ventricle_mm=values.get("ventricle_mm"),
            notes=int(values.get("notes", 0)),
            finding=finding,
        )
        check_fetus(spec)
    except (InputError, ValueError) as error:
        raise SourceError(f"cannot make this phantom: {error}") from error
    return spec


def _suggest(word: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
