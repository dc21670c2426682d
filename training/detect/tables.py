"""The tables of real pictures: planes, structures and heads, read and checked before any pixel.

`planes.csv`, `structures.csv` and `hc18.csv` of a data folder, and upright boxes as YOLO writes
them with their `originals.csv`. Pixels are those of the file as it is; where a file was stretched,
its `native_aspect` says what it was, and boxes and ellipses are brought along.
"""

import csv
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.structures.biometry import MM_PER_PX_RANGE
from neurosono.engine.structures.boxes import RotatedBox
from neurosono.engine.structures.ellipse import Ellipse
from neurosono.engine.structures.names import (
    CSP,
    FALX,
    HEAD_PLANES,
    LV,
    NO_HEAD,
    OTHER_HEAD,
    PLEXUS,
    STRUCTURES,
)
from neurosono.training.detect.rows import Labelled, Row, check_inside

PLANES_TABLE = "fpdb_planes/planes.csv"
STRUCTURES_TABLE = "fpdb_tv_structures/structures.csv"
HEADS_TABLE = "hc18/hc18.csv"
UPRIGHT_TABLE = "hc18_falx_csp_cp_yolo/originals.csv"

UPRIGHT_CLASSES = (PLEXUS, CSP, FALX)
"""The order of `data.yaml` beside those boxes."""

ATTRIBUTION = (
    "FETAL_PLANES_DB: Burgos-Artizzu et al., Zenodo 3904280, CC BY 4.0",
    "CSP, LV and head marks: Alzubaidi et al., Zenodo 8265464, CC BY 4.0",
    "HC18: van den Heuvel et al., Zenodo 1327317, CC BY 4.0",
    "falx, CSP and choroid plexus boxes on HC18: CC BY 4.0",
)

_PLANES = {
    **{name: (name,) for name in HEAD_PLANES},
    "other-brain": (OTHER_HEAD,),
    "abdomen": (NO_HEAD,),
    "femur": (NO_HEAD,),
    "thorax": (NO_HEAD,),
    "cervix": (NO_HEAD,),
    "other": (NO_HEAD,),
}
_ANY_HEAD = (*HEAD_PLANES, OTHER_HEAD)

Made = TypeVar("Made")


@dataclass(frozen=True)
class RealPicture:
    """A picture's file, its size as it stands, its true width over height, and what is known."""

    path: Path
    width_px: int
    height_px: int
    aspect: float
    row: Row


def read_tables(root: Path) -> list[RealPicture]:
    """Return every picture of the tables under `root`, with all that is known of it.

    Raises `InputError` where none of the tables is there, a file is missing, a box cannot be, or a
    number is in another unit; each in one sentence that names table and line.
    """
    readers = (
        (PLANES_TABLE, _read_planes),
        (STRUCTURES_TABLE, _read_structures),
        (HEADS_TABLE, _read_heads),
        (UPRIGHT_TABLE, _read_upright),
    )
    found: dict[str, RealPicture] = {}
    for name, reader in readers:
        if (root / name).is_file():
            reader(root, found)
    if not found:
        raise InputError(
            f"{root} holds none of {', '.join(name for name, _ in readers)}: name another"
        )
    return list(found.values())


def _lines(table: Path) -> Iterator[tuple[str, dict[str, str]]]:
    with table.open(newline="", encoding="utf-8") as file:
        for number, line in enumerate(csv.DictReader(file), start=2):
            yield f"{table.name} line {number}", line


def _read_planes(root: Path, found: dict[str, RealPicture]) -> None:
    for where, line in _lines(root / PLANES_TABLE):
        if line["copy_of"]:
            continue
        if line["plane"] not in _PLANES:
            raise InputError(
                f"{where}: a plane is one of {', '.join(_PLANES)}; found {line['plane']!r}"
            )
        planes = _PLANES[line["plane"]]
        absent = planes == (NO_HEAD,)
        known = tuple(STRUCTURES) if absent else _answered(line, "0")
        row = Row(
            path=line["path"],
            source="fpdb",
            patient=f"fpdb-{line['patient']}",
            machine=line["machine"],
            planes=planes,
            known=known,
            seen=_answered(line, "1"),
            head_known=absent,
        )
        found[line["path"]] = _open_row(root, where, line, row)


def _answered(line: dict[str, str], answer: str) -> tuple[str, ...]:
    """Return what somebody looked for and saw, "1", or did not: there, no place shows it."""
    asked = ((CSP, "csp_visible"), (LV, "lv_visible"))
    return tuple(name for name, column in asked if line[column] == answer)


def _read_structures(root: Path, found: dict[str, RealPicture]) -> None:
    for where, line in _lines(root / STRUCTURES_TABLE):
        size = int(line["width"]), int(line["height"])
        boxes = []
        for label in (CSP, LV):
            if line[f"{label}_cx"]:
                values = [
                    _number(where, line, f"{label}_{name}")
                    for name in ("cx", "cy", "w", "h", "angle")
                ]
                boxes.append(Labelled(label, check_inside(_box(where, values), *size, where)))
        head = None
        if line["head_cx"]:
            head = _ellipse(where, line, "head_cx", "head_cy", "head_a", "head_b", "head_angle")
        before = found.get(line["path"])
        row = before.row if before else Row(line["path"], "fpdb", f"fpdb-{line['patient']}")
        marked = {each.label for each in boxes}
        known = (*row.known, *marked)
        row = replace(
            row,
            machine=line["machine"],
            seen=tuple(name for name in row.seen if name not in marked),
            known=tuple(name for name in STRUCTURES if name in known),
            head_known=head is not None,
        )
        opened = _open_row(root, where, line, row)
        stretch = _stretch(opened)
        row = replace(row, boxes=tuple(boxes), head=head).mapped(stretch)
        found[line["path"]] = replace(opened, row=row)


def _read_heads(root: Path, found: dict[str, RealPicture]) -> None:
    for where, line in _lines(root / HEADS_TABLE):
        scale = _number(where, line, "pixel_mm")
        low, high = MM_PER_PX_RANGE
        if not low <= scale <= high:
            raise InputError(
                f"{where}: pixel_mm must be {low:g} to {high:g} millimetres, found {scale:g}: "
                "is it in cm, or pixels per mm?"
            )
        head = _ellipse(where, line, "cx", "cy", "a", "b", "angle")
        told, ours = _number(where, line, "hc_mm"), head.perimeter * scale
        if abs(told - ours) > 0.03 * told:
            raise InputError(
                f"{where}: hc_mm is {told:g}, but ellipse and pixel_mm make {ours:.1f} mm: "
                "one of them is in another unit or of another picture"
            )
        row = Row(
            path=line["path"],
            source="hc18",
            patient=f"hc18-{line['subject']}",
            planes=_ANY_HEAD,
            head=head,
            head_known=True,
            mm_per_px=scale,
        )
        found[line["path"]] = _open_row(root, where, line, row)


def _read_upright(root: Path, found: dict[str, RealPicture]) -> None:
    """Take upright boxes over to the HC18 picture that they are of; others stand by themselves."""
    folder = root / UPRIGHT_TABLE
    by_stem = {Path(path).stem: path for path in found if found[path].row.source == "hc18"}
    for where, line in _lines(folder):
        if line["least_augmented"] != "yes":
            continue
        labels = folder.parent / "labels" / Path(line["file"]).with_suffix(".txt").name
        if not labels.is_file():
            raise InputError(f"{where}: its boxes are missing, expected {labels.name} in labels/")
        at = by_stem.get(line["original"]) if line["hc18_set"] == "training" else None
        if at is None:
            path = (folder.parent / line["file"]).relative_to(root).as_posix()
            row = Row(path, "hc18", f"hc18-test-{line['original']}", planes=_ANY_HEAD)
            size = {"path": path, "width": "640", "height": "432"}
            found[path] = _open_row(root, where, size, row)
            at = path
        picture = found[at]
        boxes = _read_yolo(labels, picture.width_px, picture.height_px)
        row = replace(picture.row, boxes=boxes, known=(CSP, FALX, PLEXUS))
        found[at] = replace(picture, row=row)


def _read_yolo(path: Path, width_px: int, height_px: int) -> tuple[Labelled, ...]:
    boxes = []
    for number, text in enumerate(path.read_text().splitlines(), start=1):
        where = f"{path.name} line {number}"
        values = [float(value) for value in text.split()]
        if len(values) != 5 or not all(0 <= v <= 1 for v in values[1:]):
            raise InputError(
                f"{where}: a box is a class and four shares from 0 to 1, found {text!r}"
            )
        if int(values[0]) not in range(len(UPRIGHT_CLASSES)):
            raise InputError(f"{where}: a class is 0 to {len(UPRIGHT_CLASSES) - 1}, found {text!r}")
        x, y, w, h = (
            v * side for v, side in zip(values[1:], [width_px, height_px] * 2, strict=True)
        )
        box = _box(where, [x - 0.5, y - 0.5, w, h, 0.0])
        label = UPRIGHT_CLASSES[int(values[0])]
        boxes.append(Labelled(label, check_inside(box, width_px, height_px, where), upright=True))
    return tuple(boxes)


def _open_row(root: Path, where: str, line: dict[str, str], row: Row) -> RealPicture:
    path = root / line["path"]
    if not path.is_file():
        raise InputError(
            f"{where}: the picture {line['path']} is missing: put it there, or take the line out"
        )
    width, height = int(line["width"]), int(line["height"])
    aspect = float(line["native_aspect"]) if line.get("native_aspect") else width / height
    return RealPicture(path, width, height, aspect, row)


def _stretch(picture: RealPicture) -> np.ndarray:
    """Return the affine (2, 3) that undoes a picture's squeeze: only its width changes."""
    wide = picture.aspect * picture.height_px / picture.width_px
    return np.array([[wide, 0, (wide - 1) / 2], [0, 1.0, 0]])


def _number(where: str, line: dict[str, str], column: str) -> float:
    try:
        value = float(line[column])
    except (KeyError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{where}: {column} must be a number, found {line.get(column)!r}")
    return value


def _made(where: str, make: Callable[[], Made]) -> Made:
    try:
        return make()
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _box(where: str, values: list[float]) -> RotatedBox:
    return _made(where, lambda: RotatedBox(*values))


def _ellipse(where: str, line: dict[str, str], *columns: str) -> Ellipse:
    values = [_number(where, line, column) for column in columns]
    return _made(where, lambda: Ellipse(*values))
