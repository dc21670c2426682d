"""Folders of small grey pictures as one file each: what travels to a machine without a network.

    python -m neurosono.scripts.gpu_check.packing train.cache --out train.packed
    python -m neurosono.scripts.gpu_check.packing pool.data --out pool.packed --quality 80

Frame caches and the gate's data hold their pictures raw, as `frames.npy`. Packed, each is a WebP:
lossless, or with `--quality` with losses, which is 90 MB or about 16 for 2,500 frames of 224 px
(at 88, where the PSNR is 43 dB: less is lost than a scanner's own video loses). What is packed with
losses is a cache or data of its own, with its own digest, of the pictures that will come out.
"""

import argparse
import io
import json
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.cache import (
    INDEX_NAME,
    SUMMARY_NAME,
    Cache,
    CachedFrame,
    CacheWriter,
)
from neurosono.engine.contracts.cache_index import read_index
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.scripts.gpu_check.record import Found
from neurosono.training.audit import COPIES_KEY
from neurosono.training.gate.data import SHELF, GateData
from neurosono.training.squares import FRAMES_NAME

PICTURES_NAME, LENGTHS_NAME = "pictures.webp", "lengths.npy"
LOSSLESS = 101
"""OpenCV's quality for a WebP without losses."""

SUFFIX = ".packed"
THREADS = 4


def pack(folder: Path, out: Path, quality: int = LOSSLESS) -> int:
    """Write `out` of a folder with `frames.npy`; return its bytes."""
    frames = np.load(folder / FRAMES_NAME, mmap_mode="r", allow_pickle=False)
    pictures = [encode(np.asarray(frame), quality) for frame in frames]
    lengths = io.BytesIO()
    np.save(lengths, np.array([len(each) for each in pictures], np.uint32))
    with (
        tempfile.TemporaryDirectory() as aside,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file,
    ):
        if quality != LOSSLESS:
            folder = write_again(folder, [decode(each) for each in pictures], Path(aside) / "own")
        file.writestr(PICTURES_NAME, b"".join(pictures), zipfile.ZIP_STORED)
        file.writestr(LENGTHS_NAME, lengths.getvalue())
        for path in sorted(folder.iterdir()):
            if path.name != FRAMES_NAME:
                file.write(path, path.name)
    return out.stat().st_size


def unpack(packed: Path, folder: Path) -> bool:
    """Write the folder again that `pack` read; return if it is so pixel for pixel.

    A decoder that rounds otherwise gives good pictures too: they make a folder of its own, whose
    figures compare with others', though not bit for bit. Raises `InputError` on another file.
    """
    try:
        with zipfile.ZipFile(packed) as file, ThreadPoolExecutor(THREADS) as pool:
            pictures = file.read(PICTURES_NAME)
            lengths = np.load(io.BytesIO(file.read(LENGTHS_NAME)), allow_pickle=False)
            ends = lengths.astype(np.int64).cumsum()
            parts = (pictures[e - n : e] for e, n in zip(ends, lengths, strict=True))
            frames = list(pool.map(decode, parts))
            folder.mkdir(parents=True)
            np.save(folder / FRAMES_NAME, np.stack(frames))
            for name in file.namelist():
                if Path(name).name == name and name not in (PICTURES_NAME, LENGTHS_NAME):
                    (folder / name).write_bytes(file.read(name))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, cv2.error) as error:
        raise InputError(f"{packed} holds no packed pictures ({error}): pack them again") from error
    try:
        (Cache if (folder / SUMMARY_NAME).is_file() else GateData).load(folder)
    except InputError:
        own = write_again(folder, frames, folder.with_name(f"{folder.name}.own"))
        folder.rename(folder.with_name(f"{folder.name}.other"))
        own.rename(folder)
        return False
    return True


def lay_out(data: Path, root: Path, names: Sequence[str], needed: Sequence[str]) -> Found:
    """Put the folders of `data` into `root`, unpacked or linked to; raises `InputError`."""
    found: Found = {}
    root.mkdir(parents=True, exist_ok=True)
    for name in names:
        packed = data / f"{name}{SUFFIX}"
        if packed.is_file():
            found[f"{name}_pixel_for_pixel"] = unpack(packed, root / name)
        elif (data / name).is_dir():
            (root / name).symlink_to((data / name).absolute(), target_is_directory=True)
        elif name in needed:
            raise InputError(f"{data} holds no {name}: it must have {', '.join(needed)}")
    return found


def write_again(folder: Path, pictures: Sequence[Pixels], out: Path) -> Path:
    """Write a frame cache or the gate's data with other pictures in the same order, as `out`."""
    if (folder / SUMMARY_NAME).is_file():
        about = json.loads((folder / SUMMARY_NAME).read_bytes())
        spec = PreprocessingSpec.from_json(about["preprocessing"])
        source = (tuple(about["labels"]), spec, int(about["every"]), str(about["source_digest"]))
        write_cache(out, source, read_index((folder / INDEX_NAME).read_bytes()), pictures)
    else:
        about = json.loads((folder / SHELF.summary_name).read_bytes())
        SHELF.write(out, pictures, (folder / SHELF.index_name).read_text(), about["attribution"])
    return out


Source = tuple[tuple[str, ...], PreprocessingSpec, int, str]
"""Labels, preprocessing, one frame in how many, digest of the source: what `CacheWriter` asks."""


def write_cache(
    root: Path, source: Source, rows: Sequence[CachedFrame], pictures: Sequence[Pixels]
) -> Cache:
    """Write these pictures as the cache `root`; they were audited where they were first cached."""
    with CacheWriter(root, *source) as writer:
        for row, picture in zip(rows, pictures, strict=True):
            writer.add(picture, row)
        return writer.finish({COPIES_KEY: []})


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
