"""Frame caches small enough to carry to a machine with a GPU: a zip of WebP pictures.

    python -m neurosono.scripts.gpu_check.paper_packing OUT.zip NAME=CACHE [NAME=CACHE ...]

Lossless, 2,500 frames of 224 px are 90 MB; at quality 88 about 16, with a PSNR of 43 dB: less is
lost than a scanner's own video loses. Pictures differ from the cache's then, so the packed one is a
cache of its own, and the file says what its pictures are to hash to when they come out again.
"""

import argparse
import hashlib
import json
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.cache import Cache, CachedFrame, CacheWriter
from neurosono.engine.contracts.cache_index import format_index, read_index
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.training.audit import COPIES_KEY

SCHEMA = "neurosono-packed-caches/1"
ABOUT_NAME = "packed.json"
INDEX_NAME = "index.csv"
THREADS = 4


def compress(picture: Pixels, quality: int) -> bytes:
    """Return a grey picture, `(S, S)` uint8, as WebP."""
    return bytes(cv2.imencode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, quality])[1])


def expand(packed: bytes) -> Pixels:
    """Return the grey picture, `(S, S)` uint8, of what `compress` made."""
    found = cv2.imdecode(np.frombuffer(packed, np.uint8), cv2.IMREAD_GRAYSCALE)
    return np.asarray(found, dtype=np.uint8)


def pack_caches(caches: dict[str, Cache], out: Path, quality: int) -> dict[str, Any]:
    """Write caches, each under its name, into the zip file `out`; return what is said of them."""
    about: dict[str, Any] = {"schema": SCHEMA, "quality": quality, "caches": {}}
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as file:
        for name, cache in caches.items():
            pixels = hashlib.sha256()
            for number in range(len(cache.rows)):
                picture = compress(np.asarray(cache.frames[number]), quality)
                file.writestr(f"{name}/{number:05d}.webp", picture)
                pixels.update(expand(picture).data)
            index = zipfile.ZipInfo(f"{name}/{INDEX_NAME}")
            file.writestr(index, format_index(cache.rows), zipfile.ZIP_DEFLATED)
            about["caches"][name] = {
                "labels": list(cache.labels),
                "preprocessing": cache.spec.to_json(),
                "every": cache.every,
                "source_digest": cache.source_digest,
                "frames": len(cache.rows),
                "pixels_sha256": pixels.hexdigest(),
            }
        file.writestr(ABOUT_NAME, json.dumps(about, indent=2))
    return about


def unpack_cache(packed: Path, name: str, root: Path) -> tuple[Cache, bool]:
    """Make the cache `name` of a packed file at `root`, open it, and say if it is pixel for pixel.

    A decoder that rounds otherwise still gives good pictures, but figures can then not be compared
    bit for bit. Raises `InputError` where the file holds no such cache.
    """
    try:
        with zipfile.ZipFile(packed) as file:
            about = json.loads(file.read(ABOUT_NAME))["caches"][name]
            rows = read_index(file.read(f"{name}/{INDEX_NAME}"))
            parts = [file.read(f"{name}/{number:05d}.webp") for number in range(about["frames"])]
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{packed} holds no packed cache {name!r} ({error})") from error
    with ThreadPoolExecutor(THREADS) as pool:
        pictures = list(pool.map(expand, parts))
    pixels = hashlib.sha256()
    for picture in pictures:
        pixels.update(picture.data)
    spec = PreprocessingSpec.from_json(about["preprocessing"])
    source = (tuple(about["labels"]), spec, int(about["every"]), str(about["source_digest"]))
    found = write_cache(root, source, rows, pictures)
    return found, pixels.hexdigest() == about["pixels_sha256"]


Source = tuple[tuple[str, ...], PreprocessingSpec, int, str]
"""Labels, preprocessing, one frame in how many, digest of the source: what `CacheWriter` asks."""


def write_cache(
    root: Path, source: Source, rows: Sequence[CachedFrame], pictures: Sequence[Pixels]
) -> Cache:
    """Write these pictures as the cache `root`; they were audited where they were first cached."""
    labels, spec, every, digest = source
    with CacheWriter(root, labels, spec, every, digest) as writer:
        for row, picture in zip(rows, pictures, strict=True):
            writer.add(picture, row)
        return writer.finish({COPIES_KEY: []})


def main() -> int:
    """Pack caches by the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("caches", nargs="+", metavar="NAME=CACHE")
    parser.add_argument("--quality", type=int, default=88)
    options = parser.parse_args()
    named = dict(each.split("=", 1) for each in options.caches)
    caches = {name: Cache.load(Path(root)) for name, root in named.items()}
    pack_caches(caches, options.out, options.quality)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
