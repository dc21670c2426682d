"""The frame cache: what extraction writes, and training and calibration read.

A folder of three files: `frames.npy`, uint8 `(N, S, S)`, the network's input exactly as replay
makes it; `index.csv`, one line a frame in the same order; `cache.json`, what it was made of.
"""

import contextlib
import csv
import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engine.contracts.errors import InputError, NeurosonoError, OutputError
from engine.contracts.labels import validate_labels
from engine.contracts.preprocessing import PreprocessingSpec

SCHEMA = "neurosono-cache/2"
FRAMES_NAME = "frames.npy"
INDEX_NAME = "index.csv"
SUMMARY_NAME = "cache.json"


@dataclass(frozen=True)
class CachedFrame:
    """Where one cached picture comes from.

    `path` is the clip's, inside the dataset; `clip` and `frame` count the exam's clips and decoded
    frames from 0; `pts_s` is the time in the exam. `patient` is the folder's name: a cache is as
    private as the data it was made of. `site` is the hospital or scanner and `plane` the view, both
    "" where unknown.
    """

    path: str
    label: str
    patient: str
    exam: str
    clip: int
    frame: int
    pts_s: float
    gestational_weeks: float | None = None
    site: str = ""
    plane: str = ""


COLUMNS = tuple(each.name for each in fields(CachedFrame))


def check_one_label_each(found: Iterable[tuple[str, str, str]]) -> None:
    """Raise `InputError` if a patient stands under two labels; `found` is (patient, label, path).

    Such a patient would be learnt under one label and tested under the other.
    """
    first: dict[str, tuple[str, str]] = {}
    for patient, label, path in found:
        label_before, path_before = first.setdefault(patient, (label, path))
        if label_before != label:
            raise InputError(
                f"one patient stands under two labels, {label_before} ({path_before}) and {label} "
                f"({path}): a patient has one label; move or rename one of the two folders"
            )


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
    frames: NDArray[np.uint8]

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
            rows = _read_index(index)
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
    def targets(self) -> NDArray[np.int64]:
        """Return `(N,)` class indices."""
        index = {label: number for number, label in enumerate(self.labels)}
        return np.array([index[row.label] for row in self.rows], dtype=np.int64)

    @cached_property
    def label_of_patient(self) -> dict[str, str]:
        """Return each patient's label, patients in sorted order."""
        found = {row.patient: row.label for row in self.rows}
        return dict(sorted(found.items()))

    def rows_of(self, patients: Iterable[str]) -> NDArray[np.int64]:
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
        self._about = {"labels": list(validate_labels(labels)), "every": every}
        self._about["source_digest"] = source
        self._rows: list[CachedFrame] = []
        self._part = root.with_name(root.name + ".part")
        if root.exists():
            raise OutputError(f"{root} is there already: choose another folder or remove it")
        try:
            shutil.rmtree(self._part, ignore_errors=True)
            self._part.mkdir(parents=True)
            self._file = (self._part / FRAMES_NAME).open("w+b")
            self._write_header()
        except OSError as error:
            raise _output_error(root, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # a full disk was told already, by what failed first
            self._file.close()
        shutil.rmtree(self._part, ignore_errors=True)

    def add(self, pixels: NDArray[np.uint8], row: CachedFrame) -> None:
        """Append one picture, `(S, S)` uint8."""
        size = self._spec.size_px
        if pixels.shape != (size, size) or pixels.dtype != np.uint8:
            raise InputError(f"a cached frame must be ({size}, {size}) uint8: {pixels.shape}")
        try:
            self._file.write(np.ascontiguousarray(pixels).tobytes())
        except OSError as error:
            raise _output_error(self._root, error) from error
        self._rows.append(row)

    def finish(self) -> Cache:
        """Write index and summary, put the folder in its place, and open it."""
        if not self._rows:
            raise InputError("no frame carried evidence: nothing to put in a cache")
        try:
            self._file.seek(0)
            self._write_header()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            index = _format_index(self._rows)
            (self._part / INDEX_NAME).write_bytes(index)
            frames = np.load(self._part / FRAMES_NAME, mmap_mode="r", allow_pickle=False)
            summary = self._summarise(_digest(self._spec, index, frames))
            (self._part / SUMMARY_NAME).write_text(json.dumps(summary, indent=2) + "\n")
            self._part.rename(self._root)
        except OSError as error:
            raise _output_error(self._root, error) from error
        return Cache.load(self._root)

    def _write_header(self) -> None:
        # NumPy pads the header so that the first axis may grow in place.
        shape = (len(self._rows), self._spec.size_px, self._spec.size_px)
        header: dict[str, Any] = {"shape": shape, "fortran_order": False, "descr": "|u1"}
        np.lib.format.write_array_header_1_0(self._file, header)

    def _summarise(self, digest: str) -> dict[str, Any]:
        labels: list[str] = self._about["labels"]  # type: ignore[assignment]
        classes = {
            label: {
                "patients": len({row.patient for row in self._rows if row.label == label}),
                "frames": sum(row.label == label for row in self._rows),
            }
            for label in labels
        }
        patients: dict[str, int] = {}
        for row in self._rows:
            patients[row.patient] = patients.get(row.patient, 0) + 1
        return {
            "schema": SCHEMA,
            "digest": digest,
            **self._about,
            "preprocessing": self._spec.to_json(),
            "classes": classes,
            "frames_by_patient": patients,
        }


def _output_error(root: Path, error: OSError) -> NeurosonoError:
    return OutputError(f"cannot write {root}: {error.strerror}; free some space or choose another")


def _digest(spec: PreprocessingSpec, index: bytes, frames: NDArray[np.uint8]) -> str:
    found = hashlib.sha256(json.dumps(spec.to_json(), sort_keys=True).encode())
    found.update(index)
    found.update(np.ascontiguousarray(frames).data)
    return found.hexdigest()


def _format_index(rows: Sequence[CachedFrame]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow("" if value is None else value for value in astuple(row))
    return text.getvalue().encode()


def _read_index(index: bytes) -> tuple[CachedFrame, ...]:
    reader = csv.DictReader(io.StringIO(index.decode()))
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise ValueError(f"columns must be {COLUMNS}, found {reader.fieldnames}")
    return tuple(
        CachedFrame(
            path=line["path"],
            label=line["label"],
            patient=line["patient"],
            exam=line["exam"],
            clip=int(line["clip"]),
            frame=int(line["frame"]),
            pts_s=float(line["pts_s"]),
            gestational_weeks=float(line["gestational_weeks"])
            if line["gestational_weeks"]
            else None,
            site=line["site"],
            plane=line["plane"],
        )
        for line in reader
    )
