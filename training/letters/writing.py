"""Words and marks burned into grey pictures, with the truth of where the letters are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Flags, Floats, Pixels
from neurosono.training.letters.typefaces import Typeface, make_words

SIZES_PX = (9.0, 84.0)
"""Of a font, from its highest to its lowest stroke: capitals of 6 to 60 pixels."""
SMALL_PX, SMALL_SHARE = (7.0, 18.0), 0.4
"""Small letters are the hardest to see, so of the lines that are taught so many are small."""
STROKE_ALPHA = 96
"""Coverage, 0 to 255, from which a pixel is of a letter's stroke."""
LEAST_CONTRAST = 34
"""Grey levels between letters and what lies around them: less could hardly be read."""
HERSHEY = (0, 1, 2, 3, 4, 5, 6, 7)
"""OpenCV's fonts."""


@dataclass(frozen=True)
class Style:
    """How a line is set. `level` and `outline` are grey levels, `edge_px` the outline's width."""

    size_px: int
    level: int
    outline: int | None = None
    edge_px: int = 1
    panel: int | None = None
    alpha: float = 1.0
    slant: float = 0.0
    crisp: bool = False
    turned: bool = False


@dataclass(frozen=True, eq=False)
class Line:
    """One rendered line: coverage of its strokes and of its outline, `(h, w)` 0 to 255."""

    strokes: Pixels
    edges: Pixels


def draw_style(rng: np.random.Generator, sizes_px: tuple[float, float] = SIZES_PX) -> Style:
    """Return a style: white as a rule, grey and colours (by their luma), outlines, panels."""
    size = int(np.exp(rng.uniform(*np.log(sizes_px))))
    level = int(rng.choice([255, 235, 200, 226, 179, 150, 105, int(rng.integers(110, 256))]))
    if rng.random() < 0.06:
        level = int(rng.integers(0, 25))
    outline = (0 if level > 90 else 255) if rng.random() < 0.25 else None
    panel = None
    if rng.random() < 0.1:
        panel = int(rng.integers(0, 70) if level > 120 else rng.integers(170, 256))
    return Style(
        size_px=size,
        level=level,
        outline=outline,
        edge_px=1 + int(size > 22 and rng.random() < 0.5),
        panel=panel,
        alpha=float(rng.uniform(0.55, 1)) if rng.random() < 0.2 else 1.0,
        slant=float(rng.uniform(0.1, 0.3)) if rng.random() < 0.1 else 0.0,
        crisp=bool(rng.random() < 0.2),
        turned=bool(rng.random() < 0.03),
    )


def set_line(text: str, face: Typeface | int, style: Style) -> Line | None:
    """Render a line; `face` is a font, or one of `HERSHEY`. None where nothing is to be seen."""
    if isinstance(face, int):
        strokes, edges = _set_hershey(text, face, style)
    else:
        strokes, edges = _set_font(text, face, style)
    if style.slant:
        h, w = strokes.shape
        shear = np.array([[1, -style.slant, style.slant * h], [0, 1, 0]])
        size = (w + int(style.slant * h) + 1, h)
        strokes, edges = (cv2.warpAffine(each, shear, size) for each in (strokes, edges))
    if style.turned:
        strokes, edges = np.rot90(strokes), np.rot90(edges)
    if not (strokes > STROKE_ALPHA).any():
        return None
    return Line(np.ascontiguousarray(strokes), np.ascontiguousarray(edges))


def _set_font(text: str, face: Typeface, style: Style) -> tuple[Pixels, Pixels]:
    from PIL import Image, ImageDraw

    font = face.load(style.size_px)
    edge = style.edge_px if style.outline is not None else 0
    left, top, right, bottom = font.getbbox(text, stroke_width=edge)
    size = (max(1, int(right - left) + 2), max(1, int(bottom - top) + 2))
    at = (1 - left, 1 - top)
    sheets = []
    for width in (0, edge):
        sheet = Image.new("L", size, 0)
        pen = ImageDraw.Draw(sheet)
        pen.fontmode = "1" if style.crisp else "L"
        pen.text(at, text, fill=255, font=font, stroke_width=width)
        sheets.append(np.asarray(sheet, dtype=np.uint8))
    return sheets[0], sheets[1]


def _set_hershey(text: str, face: int, style: Style) -> tuple[Pixels, Pixels]:
    scale = style.size_px / 30
    weight = max(1, round(scale * (1 + (style.size_px % 3) / 2)))
    plain = text.encode("ascii", "replace").decode()
    (w, h), base = cv2.getTextSize(plain, face, scale, weight)
    pad = weight + style.edge_px + 1
    sheets = []
    for width in (weight, weight + 2 * style.edge_px):
        sheet = np.zeros((h + base + 2 * pad, w + 2 * pad), np.uint8)
        kind = cv2.LINE_8 if style.crisp else cv2.LINE_AA
        cv2.putText(sheet, plain, (pad, pad + h), face, scale, 255, width, kind)
        sheets.append(sheet)
    return sheets[0], sheets[1] if style.outline is not None else sheets[0]


def burn(picture: Pixels, line: Line, style: Style, at: tuple[int, int]) -> Flags:
    """Write a line onto a picture, in place, with its corner at `x, y`; return its strokes.

    Letters that would hardly stand out are written brighter, or black where all is bright.
    """
    height, width = picture.shape
    x, y = at
    left, top = max(0, -x), max(0, -y)
    x, y = max(0, x), max(0, y)
    strokes, edges = (
        s[top : top + height - y, left : left + width - x] for s in (line.strokes, line.edges)
    )
    h, w = strokes.shape
    truth = np.zeros(picture.shape, dtype=np.bool_)
    if h == 0 or w == 0:
        return truth
    place = picture[y : y + h, x : x + w]
    if style.panel is not None:
        place[:] = style.panel
    level = _stand_out(place, strokes, style)
    if style.outline is not None:
        _lay(place, edges, style.outline, style.alpha)
    _lay(place, strokes, level, style.alpha)
    truth[y : y + h, x : x + w] = strokes > STROKE_ALPHA
    return truth


def _stand_out(place: Pixels, strokes: Pixels, style: Style) -> int:
    around = place[strokes < 10] if style.outline is None else np.array([style.outline])
    there = float(np.median(around)) if around.size else 0.0
    if style.alpha * abs(style.level - there) >= LEAST_CONTRAST:
        return style.level
    return 255 if there < 170 else 0


def _lay(place: Pixels, cover: Pixels, level: int, alpha: float) -> None:
    share = cover.astype(np.float32) * (alpha / 255)
    place[:] = np.rint(place * (1 - share) + level * share).astype(np.uint8)


def draw_marks(picture: Pixels, rng: np.random.Generator) -> None:
    """Draw what is no letter: calipers, dots, ellipses, arrows, rulers, traces, blocks, boxes."""
    height, width = picture.shape
    for _ in range(rng.integers(1, 4)):
        level = int(rng.choice([255, 220, 179, 150]))
        x, y = int(rng.integers(width)), int(rng.integers(height))
        u, v = int(rng.integers(width)), int(rng.integers(height))
        kind = rng.integers(8)
        if kind == 0:
            for at in ((x, y), (u, v)):
                shape = int(rng.choice([cv2.MARKER_CROSS, cv2.MARKER_TILTED_CROSS]))
                cv2.drawMarker(picture, at, level, shape, int(rng.integers(7, 17)), 1)
        elif kind == 1:
            _dot(picture, np.linspace((x, y), (u, v), int(rng.integers(10, 40))), level)
        elif kind == 2:
            axes = (int(rng.integers(20, 120)), int(rng.integers(20, 120)))
            turn = np.radians(np.arange(0, 360, int(rng.integers(2, 8))))
            _dot(
                picture,
                np.stack([x + axes[0] * np.cos(turn), y + axes[1] * np.sin(turn)], 1),
                level,
            )
        elif kind == 3:
            cv2.arrowedLine(picture, (x, y), (x + 22, y + int(rng.integers(-18, 19))), level, 2)
        elif kind == 4:
            _rule(picture, x, level, rng)
        elif kind == 5:
            _trace(picture, y, level, rng)
        elif kind == 6:
            _blocks(picture, (x, y), rng)
        else:
            cv2.rectangle(picture, (x, y), (u, v), level, 1)


def _rule(picture: Pixels, x: int, level: int, rng: np.random.Generator) -> None:
    for k in range(0, len(picture), int(rng.integers(9, 30))):
        cv2.line(picture, (x, k), (x + int(rng.integers(2, 8)), k), level, 1)


def _trace(picture: Pixels, y: int, level: int, rng: np.random.Generator) -> None:
    """Draw an ECG from side to side: a small wave and a spike, again and again."""
    x = np.arange(picture.shape[1])
    beat = (x / rng.uniform(50, 160)) % 1
    high = rng.uniform(6, 40)
    wave = 0.15 * np.exp(-(((beat - 0.2) / 0.05) ** 2)) + 0.25 * np.exp(
        -(((beat - 0.6) / 0.06) ** 2)
    )
    spike = np.clip(1 - np.abs(beat - 0.35) / 0.03, 0, 1) - 0.3 * (np.abs(beat - 0.39) < 0.015)
    line = np.stack([x, y - high * (wave + spike)], 1).round().astype(np.int32)
    cv2.polylines(picture, [line], False, level, int(rng.integers(1, 3)), cv2.LINE_AA)


def _blocks(picture: Pixels, at: tuple[int, int], rng: np.random.Generator) -> None:
    """Draw a row of blurred blocks in two levels, as a test picture carries its number."""
    side, high = int(rng.integers(8, 17)), int(rng.integers(8, 25))
    low, bright = sorted(int(level) for level in rng.integers(10, 200, 2))
    bits = rng.choice([low, bright], int(rng.integers(10, 30))).astype(np.uint8)
    row = np.repeat(np.repeat(bits, side)[None], high, axis=0)
    row = np.asarray(cv2.GaussianBlur(row, (0, 0), float(rng.uniform(1, 4))), dtype=np.uint8)
    place = picture[at[1] : at[1] + high, at[0] : at[0] + row.shape[1]]
    place[:] = row[: place.shape[0], : place.shape[1]]


def _dot(picture: Pixels, points: Floats, level: int) -> None:
    for x, y in points.round().astype(int).tolist():
        cv2.circle(picture, (x, y), 0 if len(points) % 2 else 1, level, -1)


def degrade(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """Return the picture as a frame grabber and a codec leave it."""
    if rng.random() < 0.3:
        picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.3, 0.9)))
    if rng.random() < 0.45:
        quality = int(rng.integers(35, 96))
        _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        picture = np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), dtype=np.uint8)
    return np.asarray(picture, dtype=np.uint8)


def write_page(
    background: Pixels,
    rng: np.random.Generator,
    faces: Sequence[Typeface],
    sizes_px: tuple[float, float] = SIZES_PX,
) -> tuple[Pixels, Flags, Flags]:
    """Return a copy of a picture with lines and marks on it, where letters stand, and their reach.

    The reach is the letters grown by a sixth of their size, so that a word is one piece.
    """
    picture = background.copy()
    if rng.random() < 0.4:
        draw_marks(picture, rng)
    strokes = np.zeros(picture.shape, dtype=np.bool_)
    reach = np.zeros(picture.shape, dtype=np.bool_)
    for _ in range(0 if rng.random() < 0.25 else int(rng.integers(1, 6))):
        style = draw_style(rng, SMALL_PX if rng.random() < SMALL_SHARE else sizes_px)
        face: Typeface | int = (
            int(rng.choice(HERSHEY))
            if rng.random() < 0.15
            else faces[int(rng.integers(len(faces)))]
        )
        words = make_words(rng, faces[0] if isinstance(face, int) else face)
        line = set_line(words, face, replace(style, outline=None) if style.panel else style)
        if line is None:
            continue
        h, w = line.strokes.shape
        x = int(rng.integers(-w // 4, max(1, picture.shape[1] - w // 2)))
        y = int(rng.integers(-h // 4, max(1, picture.shape[0] - h // 2)))
        here = burn(picture, line, style, (x, y))
        side = 2 * max(1, round(style.size_px / 6)) + 1
        grown = cv2.dilate(here.astype(np.uint8), np.ones((side, side), np.uint8)) > 0
        strokes, reach = strokes | here, reach | grown
    return degrade(picture, rng), strokes, reach
