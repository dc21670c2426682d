"""The frame cache: what extraction writes, and training and calibration read.

A folder of three files: `frames.npy`, uint8 `(N, S, S)`, the network's input exactly as replay
makes it; `index.csv`, one line a frame in the same order; `cache.json`, what it was made of.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from neurosono.engine.contracts.arrays import Integers, Pixels
from neurosono.engine.contracts.cache_index import (
    COLUMNS,
    CachedFrame,
    check_one_label_each,
    format_index,
    read_index,
)
from neurosono.engine.contracts.errors import InputError, OutputError
from neurosono.engine.contracts.labels import validate_labels
from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.engine.files import writing

__all__ = ["COLUMNS", "Cache", "CacheWriter", "CachedFrame", "check_one_label_each", "pseudonym"]

SCHEMA = "neurosono-cache/2"
FRAMES_NAME = "frames.npy"
INDEX_NAME = "index.csv"
SUMMARY_NAME = "cache.json"
ADVICE = "free some space or choose another"


@dataclass(frozen=True)
class Cache:
    """A cache on disk, checked. `frames` is `(N, S, S)` uint8, memory-mapped, in `rows`' order."""

    root: Path
    labels: tuple[str, ...]
    spec: PreprocessingSpec
    every: int
    source_digest: str
    digest: str
    rows: tuple[CachedFrame, ...]
    frames: Pixels

    @classmethod
    def load(cls, root: Path) -> Self:
        """Open a cache and check it against its digest; raise `InputError` if it is not whole."""
        again = "make it again with `neurosono train prepare`"
        try:
            summary = json.loads((root / SUMMARY_NAME).read_bytes())
            if summary.get("schema") != SCHEMA:
                raise InputError(
                    f"cache {root} must have schema {SCHEMA}, found {summary.get('schema')!r}: "
                    f"{again}"
                )
            index = (root / INDEX_NAME).read_bytes()
            frames = np.load(root / FRAMES_NAME, mmap_mode="r", allow_pickle=False)
            rows = read_index(index)
            spec = PreprocessingSpec.from_json(summary["preprocessing"])
            labels = validate_labels(summary["labels"])
            every, source_digest = int(summary["every"]), str(summary["source_digest"])
        except FileNotFoundError as error:
            raise InputError(f"no whole frame cache at {root}: {again}") from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"cache {root} is not readable ({error}): {again}") from error
        digest = _digest(spec, index, frames)
        if digest != summary["digest"] or frames.shape != (len(rows), spec.size_px, spec.size_px):
            raise InputError(f"cache {root} was altered or cut short: {again}")
        check_one_label_each((row.patient, row.label, row.path) for row in rows)
        return cls(root, labels, spec, every, source_digest, digest, rows, frames)

    @cached_property
    def targets(self) -> Integers:
        """Return `(N,)` class indices."""
        index = {label: number for number, label in enumerate(self.labels)}
        return np.array([index[row.label] for row in self.rows], dtype=np.int64)

    @cached_property
    def label_of_patient(self) -> dict[str, str]:
        """Return each patient's label, patients in sorted order."""
        found = {row.patient: row.label for row in self.rows}
        return dict(sorted(found.items()))

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Return what `cache.json` says of how the cache was made, and of what it holds."""
        found: dict[str, Any] = json.loads((self.root / SUMMARY_NAME).read_bytes())
        return found

    def rows_of(self, patients: Iterable[str]) -> Integers:
        """Return the row numbers of these patients' frames, ascending."""
        wanted = frozenset(patients)
        found = [number for number, row in enumerate(self.rows) if row.patient in wanted]
        return np.array(found, dtype=np.int64)


def pseudonym(name: str, salt: str) -> str:
    """Return a short name that stands for a patient or exam in reports.

    `salt` is the digest of the training cache, so that the same patient is found again in another
    cache, while the reports carry no folder name.
    """
    return "p" + hashlib.sha256(f"{salt}/{name}".encode()).hexdigest()[:12]


class CacheWriter:
    """Writes a cache frame by frame, aside; `finish` renames it to `root`, an error removes it."""

    def __init__(
        self, root: Path, labels: Sequence[str], spec: PreprocessingSpec, every: int, source: str
    ) -> None:
        self._root, self._spec = root, spec
        self._labels = validate_labels(labels)
        self._about = {"labels": list(self._labels), "every": every, "source_digest": source}
        self._rows: list[CachedFrame] = []
        self._part = root.with_name(root.name + ".part")
        if root.exists():
            raise OutputError(f"{root} is there already: choose another folder or remove it")
        with writing(root, ADVICE):
            shutil.rmtree(self._part, ignore_errors=True)
            self._part.mkdir(parents=True)
            self._file = (self._part / FRAMES_NAME).open("w+b")
            self._write_header()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # a full disk was told already, by what failed first
            self._file.close()
        shutil.rmtree(self._part, ignore_errors=True)

    def add(self, pixels: Pixels, row: CachedFrame) -> None:
        """Append one picture, `(S, S)` uint8."""
        size = self._spec.size_px
        if pixels.shape != (size, size) or pixels.dtype != np.uint8:
            raise InputError(f"a cached frame must be ({size}, {size}) uint8: {pixels.shape}")
        if row.label not in self._labels:
            raise InputError(f"a cached frame's label must be one of {self._labels}: {row.label!r}")
        with writing(self._root, ADVICE):
            self._file.write(np.ascontiguousarray(pixels).tobytes())
        self._rows.append(row)

    def finish(
        self,
        notes: Mapping[str, Any] | None = None,
        check: Callable[[Cache], Mapping[str, Any]] = lambda _: {},
    ) -> Cache:
        """Write index and summary, put the folder in its place, and open it.

        `notes` go into the summary, as does what `check` returns, which sees the whole cache before
        it is put in its place: where that raises, no cache is left.
        """
        if not self._rows:
            raise InputError("no frame carried evidence: nothing to put in a cache")
        with writing(self._root, ADVICE):
            self._file.seek(0)
            self._write_header()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            index = format_index(self._rows)
            (self._part / INDEX_NAME).write_bytes(index)
            frames = np.load(self._part / FRAMES_NAME, mmap_mode="r", allow_pickle=False)
            summary = self._summarise(_digest(self._spec, index, frames)) | dict(notes or {})
            self._write_summary(summary)
            found = check(Cache.load(self._part))
            self._write_summary(summary | dict(found))
            self._part.rename(self._root)
        return Cache.load(self._root)

    def _write_summary(self, summary: Mapping[str, Any]) -> None:
        (self._part / SUMMARY_NAME).write_text(json.dumps(summary, indent=2) + "\n")

    def _write_header(self) -> None:
        # NumPy pads the header so that the first axis may grow in place.
        shape = (len(self._rows), self._spec.size_px, self._spec.size_px)
        header: dict[str, Any] = {"shape": shape, "fortran_order": False, "descr": "|u1"}
        np.lib.format.write_array_header_1_0(self._file, header)

    def _summarise(self, digest: str) -> dict[str, Any]:
        patients: dict[str, int] = {}
        for row in self._rows:
            patients[row.patient] = patients.get(row.patient, 0) + 1
        return {
            "schema": SCHEMA,
            "notice": NOTICE,
            "digest": digest,
            **self._about,
            "preprocessing": self._spec.to_json(),
            "classes": self._count("label", self._labels),
            "sites": self._count("site", sorted({row.site for row in self._rows})),
            "frames_by_patient": patients,
        }

    def _count(self, column: str, values: Sequence[str]) -> dict[str, dict[str, int]]:
        patients: dict[str, set[str]] = {value: set() for value in values}
        frames = dict.fromkeys(values, 0)
        for row in self._rows:
            value = getattr(row, column)
            patients[value].add(row.patient)
            frames[value] += 1
        return {
            value: {"patients": len(patients[value]), "frames": frames[value]} for value in values
        }


def _digest(spec: PreprocessingSpec, index: bytes, frames: Pixels) -> str:
    found = hashlib.sha256(json.dumps(spec.to_json(), sort_keys=True).encode())
    found.update(index)
    found.update(np.ascontiguousarray(frames).data)
    return found.hexdigest()
