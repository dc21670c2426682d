"""The fonts that letters are learnt from, what each can write, and words to write with them."""

import unicodedata
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

LIVING = (
    "LATIN", "CYRILLIC", "GREEK", "ARABIC", "HEBREW", "DEVANAGARI", "BENGALI", "TAMIL", "TELUGU",
    "GUJARATI", "GURMUKHI", "KANNADA", "MALAYALAM", "SINHALA", "THAI", "LAO", "KHMER", "MYANMAR",
    "GEORGIAN", "ARMENIAN", "ETHIOPIC", "CJK", "HIRAGANA", "KATAKANA", "HANGUL", "TIBETAN",
)  # fmt: skip
"""Scripts of names that may stand on a screen, as Unicode's names of letters begin."""
FEWEST_LETTERS = 20
"""Of a script: a font that holds fewer does not write it."""
HELD_OUT_SHARE = 0.25
"""Of font families: none of them is seen in training."""
CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SMALL = CAPITALS.lower()
DIGITS = "0123456789"
UNITS = ("mm", "cm", "Hz", "MHz", "dB", "w", "d", "%", "cm/s", "g")
ABBREVIATIONS = ("BPD", "HC", "OFD", "AC", "FL", "CSP", "LV", "TCD", "CM", "GA", "EDD", "LMP", "MI",
                 "TIs", "Gn", "DR", "FR", "D", "ID", "DOB", "P")  # fmt: skip


@dataclass(frozen=True)
class Typeface:
    """A font file: its family, and the letters of each living script that it holds."""

    path: str
    family: str
    letters: dict[str, str]

    @property
    def is_held_out(self) -> bool:
        """Whether the family is kept for measuring: by the name's own hash, for good."""
        return (zlib.crc32(self.family.encode()) % 1000) / 1000 < HELD_OUT_SHARE

    def load(self, size_px: int) -> "FreeTypeFont":
        """Open the font at a size."""
        from PIL import ImageFont

        return ImageFont.truetype(self.path, size_px)


def find_typefaces(folders: Iterable[Path]) -> list[Typeface]:
    """Return every readable font under the folders that writes some living script."""
    from fontTools.ttLib import TTFont, TTLibError

    found = []
    for path in sorted(p for folder in folders for p in folder.rglob("*.[to]tf")):
        try:
            with TTFont(path, lazy=True) as font:
                family = str(font["name"].getBestFamilyName())
                codes = sorted(font.getBestCmap() or {})
        except (TTLibError, KeyError, OSError):
            continue
        letters = _letters_of(codes)
        if letters:
            found.append(Typeface(str(path), family, letters))
    return found


def _letters_of(codes: Sequence[int]) -> dict[str, str]:
    held: dict[str, list[str]] = {}
    for character in map(chr, codes):
        if not unicodedata.category(character).startswith("L"):
            continue
        script = unicodedata.name(character, "?").split(" ")[0].split("-")[0]
        if script in LIVING and "COMPATIBILITY" not in unicodedata.name(character, ""):
            held.setdefault(script, []).append(character)
    return {k: "".join(v) for k, v in held.items() if len(v) >= FEWEST_LETTERS}


def make_words(rng: np.random.Generator, face: Typeface, longest: int = 22) -> str:
    """Return a line as it may stand on a screen: a name, a number, a measure, in some script."""
    script = str(rng.choice(sorted(face.letters)))
    plain = set(CAPITALS + SMALL) <= set(face.letters.get("LATIN", ""))
    if plain and (script == "LATIN" or rng.random() < 0.5):
        return _make_latin(rng)[:longest]
    pool = face.letters[script]
    words = ["".join(_pick(rng, pool, int(rng.integers(2, 8)))) for _ in range(rng.integers(1, 3))]
    return " ".join(words)[:longest]


def _make_latin(rng: np.random.Generator) -> str:
    kind = rng.integers(6)
    if kind <= 2:
        return _make_name(rng)
    if kind == 3:
        return "".join(_pick(rng, DIGITS + "-/.:", int(rng.integers(3, 11))))
    if kind == 4:
        number = f"{rng.uniform(0, 99):.{int(rng.integers(0, 3))}f}"
        return f"{rng.choice(ABBREVIATIONS)} {number} {rng.choice(UNITS)}"
    return " ".join(str(rng.choice(ABBREVIATIONS)) for _ in range(rng.integers(1, 5)))


def _make_name(rng: np.random.Generator) -> str:
    """Return letters that no woman is called by."""
    words = []
    for _ in range(rng.integers(1, 4)):
        word = "".join(_pick(rng, SMALL, int(rng.integers(3, 9))))
        words.append(word.upper() if rng.random() < 0.6 else word.title())
    return str(rng.choice([" ", ", ", "^", " "])).join(words)


def _pick(rng: np.random.Generator, pool: str, count: int) -> list[str]:
    return [pool[int(k)] for k in rng.integers(0, len(pool), count)]
