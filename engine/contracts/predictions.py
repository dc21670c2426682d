"""Predictions on patients that the model had not seen: written by training, read by calibration."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Self

import numpy as np

from neurosono.engine.contracts.arrays import Flags, Floats, Integers, Words
from neurosono.engine.contracts.errors import InputError, OutputError

FIXED_COLUMNS = ("row", "fold", "patient", "exam", "label", "gestational_weeks", "site")


@dataclass(frozen=True)
class Predictions:
    """One line a frame (or, from `by_exam`, an exam), all arrays of the same length N.

    `rows` are row numbers of the cache that was judged (of an exam: its first); `folds` the fold
    whose member judged it, -1 for the whole ensemble. `patients` and `exams` are pseudonyms.
    `targets` are class indices; `weeks` gestational weeks, NaN where unknown; `sites` the hospital
    or scanner, "" where unknown. `probabilities` is `(N, C)` float64, uncalibrated.
    """

    labels: tuple[str, ...]
    rows: Integers
    folds: Integers
    patients: Words
    exams: Words
    targets: Integers
    weeks: Floats
    sites: Words
    probabilities: Floats

    def __post_init__(self) -> None:
        count = len(self.rows)
        if self.probabilities.shape != (count, len(self.labels)) or count == 0:
            raise InputError(
                f"predictions must be ({count}, {len(self.labels)}) probabilities of one or more "
                f"frames, found {self.probabilities.shape}"
            )
        if not np.isfinite(self.probabilities).all():
            raise InputError("predictions must be finite numbers: train again")

    def by_exam(self) -> "Predictions":
        """Average each exam's frames, as the paper does; exams in order of their names."""
        _, first, exam_of = np.unique(self.exams, return_index=True, return_inverse=True)
        total = np.zeros((len(first), len(self.labels)))
        np.add.at(total, exam_of, self.probabilities)
        averaged = total / np.bincount(exam_of)[:, None]
        return self._take(first).with_probabilities(averaged)

    def select(self, wanted: Flags) -> "Predictions":
        """Return the frames where `wanted`, `(N,)`, is true; raise `InputError` if none is."""
        return self._take(np.flatnonzero(wanted))

    def _take(self, at: Integers) -> "Predictions":
        names = (each.name for each in fields(self) if each.name != "labels")
        return replace(self, **{name: getattr(self, name)[at] for name in names})

    @classmethod
    def join(cls, parts: Sequence["Predictions"]) -> "Predictions":
        """Put several tables of the same labels, one or more, under each other."""
        names = (each.name for each in fields(cls) if each.name != "labels")
        joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        return Predictions(labels=parts[0].labels, **joined)

    def with_probabilities(self, probabilities: Floats) -> "Predictions":
        """Return the same frames with other probabilities, e.g. calibrated ones."""
        return replace(self, probabilities=probabilities)

    def write(self, path: Path) -> None:
        """Write CSV, aside and then renamed; probabilities with seven significant digits."""
        aside = path.with_name(f".{path.name}.part")
        try:
            with aside.open("w", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow((*FIXED_COLUMNS, *(f"p_{label}" for label in self.labels)))
                for i in range(len(self.rows)):
                    weeks = "" if np.isnan(self.weeks[i]) else f"{self.weeks[i]:.2f}"
                    fixed = (self.rows[i], self.folds[i], self.patients[i], self.exams[i])
                    label = self.labels[self.targets[i]]
                    values = (f"{value:.7g}" for value in self.probabilities[i])
                    writer.writerow((*fixed, label, weeks, self.sites[i], *values))
            aside.replace(path)
        except OSError as error:
            aside.unlink(missing_ok=True)
            raise OutputError(f"cannot write {path}: {error.strerror}; free some space") from error

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote; raise `InputError` if it is something else."""
        try:
            with path.open(newline="") as file:
                reader = csv.DictReader(file)
                names = tuple(reader.fieldnames or ())
                lines = list(reader)
            labels = tuple(name.removeprefix("p_") for name in names[len(FIXED_COLUMNS) :])
            if names != (*FIXED_COLUMNS, *(f"p_{label}" for label in labels)):
                raise ValueError(f"unexpected columns {names}")
            return cls(
                labels=labels,
                rows=np.array([int(line["row"]) for line in lines], dtype=np.int64),
                folds=np.array([int(line["fold"]) for line in lines], dtype=np.int64),
                patients=np.array([line["patient"] for line in lines], dtype=np.str_),
                exams=np.array([line["exam"] for line in lines], dtype=np.str_),
                targets=np.array([labels.index(line["label"]) for line in lines], dtype=np.int64),
                weeks=np.array([float(line["gestational_weeks"] or "nan") for line in lines]),
                sites=np.array([line["site"] for line in lines], dtype=np.str_),
                probabilities=np.array(
                    [[float(line[f"p_{label}"]) for label in labels] for line in lines]
                ),
            )
        except FileNotFoundError as error:
            raise InputError(f"no predictions at {path}: run `neurosono train` first") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} holds no predictions ({error}): train again") from error
