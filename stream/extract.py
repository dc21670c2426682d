"""From a dataset of patients to a frame cache, through the very intake that replay uses."""

import csv
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.contracts.cache import Cache, CachedFrame, CacheWriter, check_one_label_each
from engine.contracts.errors import InputError, RunError, SourceBrokenError, SourceError
from engine.contracts.labels import DEFAULT_LABELS
from engine.contracts.preprocessing import PreprocessingSpec
from stream.evidence import EvidenceGate
from stream.intake import Intake
from stream.picture import Picture, Source
from stream.sampler import Sampler
from stream.screen import Screen
from stream.sources import open_source
from stream.sources.folder import list_media

COHORT_NAME = "cohort.csv"
"""Beside the label folders, if at all: a table with the columns patient and gestational_weeks."""


@dataclass(frozen=True)
class PatientFolder:
    """One patient's exam: all media in `folder`, which is `LABEL/PATIENT`, in replay's order."""

    label: str
    patient: str
    folder: Path
    media: tuple[Path, ...]


@dataclass(frozen=True)
class Dataset:
    """A folder of `LABEL/PATIENT/*`, listed and checked but not decoded yet."""

    root: Path
    labels: tuple[str, ...]
    patients: tuple[PatientFolder, ...]
    weeks: dict[str, float]
    digest: str


def find_dataset(root: Path) -> Dataset:
    """List a dataset; raises `InputError` where it is none, or where a patient has two labels."""
    if not root.is_dir():
        raise InputError(f"no dataset at {root}: name a folder that holds LABEL/PATIENT/ folders")
    labels = _order_labels([each.name for each in _subfolders(root)])
    patients = tuple(
        PatientFolder(label, folder.name, folder, list_media(folder).media)
        for label in labels
        for folder in _subfolders(root / label)
    )
    for label in labels:
        if not any(each.label == label for each in patients):
            raise InputError(
                f"class {label} in {root} holds no patient folder: add LABEL/PATIENT/ folders, or "
                "remove the empty one"
            )
    check_one_label_each(
        (each.patient, each.label, str(path.relative_to(root)))
        for each in patients
        for path in each.media[:1]
    )
    return Dataset(root, labels, patients, _read_weeks(root), _digest(root, patients))


def _subfolders(folder: Path) -> list[Path]:
    found = (each for each in folder.iterdir() if not each.name.startswith("."))
    return sorted((each for each in found if each.is_dir()), key=lambda each: each.name)


def _order_labels(found: Sequence[str]) -> tuple[str, ...]:
    """The known labels in the contract's order, then any others by name: never as listed."""
    if len(found) < 2:
        raise InputError(
            f"a dataset needs two or more label folders with patients in them, found {list(found)}"
        )
    known = [label for label in DEFAULT_LABELS if label in found]
    return (*known, *sorted(set(found) - set(known)))


def _read_weeks(root: Path) -> dict[str, float]:
    path = root / COHORT_NAME
    if not path.is_file():
        return {}
    try:
        with path.open(newline="") as file:
            return {
                line["patient"]: float(line["gestational_weeks"])
                for line in csv.DictReader(file)
                if line["gestational_weeks"]
            }
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"{path} must be a table with the columns patient and gestational_weeks: {error!r}"
        ) from error


def _digest(root: Path, patients: Sequence[PatientFolder]) -> str:
    """Name the dataset by its files' paths and sizes, so that a stale cache is noticed."""
    found = hashlib.sha256()
    for patient in patients:
        for path in patient.media:
            found.update(f"{path.relative_to(root).as_posix()}:{path.stat().st_size}\n".encode())
    return found.hexdigest()


def extract(
    dataset: Dataset,
    out: Path,
    *,
    spec: PreprocessingSpec,
    every: int,
    watch: Callable[[PatientFolder], None] = lambda _: None,
) -> Cache:
    """Write one picture in `every` of each exam that carries evidence into a new cache at `out`.

    Skipped pictures (frozen, near-duplicate, Doppler, not ultrasound) are left out, as replay
    leaves them out. `watch` hears of each patient done. Raises `RunError`, leaving no cache, where
    a clip breaks in the middle, and `InputError` where a class has no usable frame.
    """
    with CacheWriter(out, dataset.labels, spec, every, dataset.digest) as writer:
        used = dict.fromkeys(dataset.labels, 0)
        for patient in dataset.patients:
            for pixels, row in _take_frames(dataset, patient, spec, every):
                writer.add(pixels, row)
                used[patient.label] += 1
            watch(patient)
        for label, count in used.items():
            if count == 0:
                raise InputError(f"class {label} has no usable frame: sample more often (--every)")
        return writer.finish()


@dataclass
class _ClipLog:
    """A source that remembers which clip each picture came from: the intake does not say."""

    source: Source
    clips: dict[int, int] = field(default_factory=dict)

    @property
    def description(self) -> str:
        return self.source.description

    def pictures(self) -> Iterator[Picture]:
        for picture in self.source.pictures():
            self.clips[picture.index] = picture.clip
            yield picture


def _take_frames(
    dataset: Dataset, patient: PatientFolder, spec: PreprocessingSpec, every: int
) -> Iterator[tuple[NDArray[np.uint8], CachedFrame]]:
    log = _ClipLog(_open(patient))
    intake = Intake(
        log,
        screen=Screen(),
        sampler=Sampler(every=every),
        gate=EvidenceGate(),
        spec=spec,
        stream_id="extract",
    )
    try:
        for taken in intake.frames():
            if taken.sampled is None or taken.sampled.pixels is None:
                continue
            clip = log.clips[taken.display.index]
            yield (
                taken.sampled.pixels,
                CachedFrame(
                    path=patient.media[clip].relative_to(dataset.root).as_posix(),
                    label=patient.label,
                    patient=patient.patient,
                    exam=patient.patient,
                    clip=clip,
                    frame=taken.display.index,
                    pts_s=taken.sampled.pts_s,
                    gestational_weeks=dataset.weeks.get(patient.patient),
                ),
            )
    except SourceBrokenError as error:
        raise RunError(
            f"{patient.folder} breaks at frame {error.frame}: {error}; mend or remove the clip"
        ) from error


def _open(patient: PatientFolder) -> Source:
    try:
        return open_source([str(patient.folder)])
    except SourceError as error:
        raise SourceError(f"{patient.folder} cannot be read: {error}") from error
