"""Folders of small grey pictures as one file each: what travels to a machine without a network.

    python -m neurosono.scripts.gpu_check.packing train.cache --out train.packed
    python -m neurosono.scripts.gpu_check.packing pool.data --out pool.packed --quality 80

Frame caches and the gate's data hold their pictures raw, as `frames.npy`. Packed, each is a WebP:
lossless, or with `--quality` with losses, which are for pictures that nobody is judged by.
"""

import argparse
import io
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.errors import InputError
from neurosono.training.squares import FRAMES_NAME

PICTURES_NAME, LENGTHS_NAME = "pictures.webp", "lengths.npy"
LOSSLESS = 101
"""OpenCV's quality for a WebP without losses."""

SUFFIX = ".packed"


def pack(folder: Path, out: Path, quality: int = LOSSLESS) -> int:
    """Write `out` of a folder with `frames.npy`; return its bytes."""
    frames = np.load(folder / FRAMES_NAME, mmap_mode="r", allow_pickle=False)
    pictures = [encode(np.asarray(frame), quality) for frame in frames]
    lengths = io.BytesIO()
    np.save(lengths, np.array([len(each) for each in pictures], np.uint32))
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        file.writestr(PICTURES_NAME, b"".join(pictures), zipfile.ZIP_STORED)
        file.writestr(LENGTHS_NAME, lengths.getvalue())
        for path in sorted(folder.iterdir()):
            if path.name != FRAMES_NAME:
                file.write(path, path.name)
    return out.stat().st_size


def unpack(packed: Path, folder: Path) -> None:
    """Write the folder again that `pack` read; raises `InputError` on a file that is not its."""
    try:
        with zipfile.ZipFile(packed) as file:
            pictures = file.read(PICTURES_NAME)
            lengths = np.load(io.BytesIO(file.read(LENGTHS_NAME)), allow_pickle=False)
            ends = lengths.astype(np.int64).cumsum()
            frames = [decode(pictures[e - n : e]) for e, n in zip(ends, lengths, strict=True)]
            folder.mkdir(parents=True)
            np.save(folder / FRAMES_NAME, np.stack(frames))
            for name in file.namelist():
                if Path(name).name == name and name not in (PICTURES_NAME, LENGTHS_NAME):
                    (folder / name).write_bytes(file.read(name))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, cv2.error) as error:
        raise InputError(f"{packed} holds no packed pictures ({error}): pack them again") from error


def encode(picture: Pixels, quality: int) -> bytes:
    """Return (S, S) uint8 as WebP."""
    return cv2.imencode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes()


def decode(packed: bytes) -> Pixels:
    """Return what `encode` packed: green, as any decoder gives it, with no weighing of colours."""
    found = cv2.imdecode(np.frombuffer(packed, np.uint8), cv2.IMREAD_COLOR)
    if found is None:
        raise ValueError("a picture is no WebP")
    return np.ascontiguousarray(found[..., 1])


def main(words: Sequence[str] | None = None) -> None:
    """Pack the folder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--quality", type=int, default=LOSSLESS, help="0 to 100 has losses")
    found = parser.parse_args(words)
    size = pack(found.folder, found.out, found.quality)
    sys.stdout.write(f"{found.out}: {size} bytes\n")


if __name__ == "__main__":
    main()
