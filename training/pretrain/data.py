"""Pictures without their labels, from frame caches and the gate's data alike."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from neurosono.engine.contracts.arrays import Integers, Pixels, Words
from neurosono.engine.contracts.cache import SUMMARY_NAME, Cache
from neurosono.engine.contracts.errors import InputError
from neurosono.training.gate.data import SHELF, GateData

READ = 256
"""Pictures read at a time on the way to a GPU."""

HELD_SHARE = 0.25
"""Of a GPU's free memory that pictures may take."""


@dataclass(frozen=True)
class Pool:
    """Pictures of several folders. `places` (N, 2) are the folder's and the picture's numbers.

    `patients` (N,) are unique over all folders as far as their names are; `left_out` counts the
    pictures of patients that were to stay apart.
    """

    parts: tuple[Pixels, ...]
    places: Integers
    patients: Words
    left_out: int
    digest: str

    def read(self, rows: Integers, size_px: int) -> Tensor:
        """Return (B, 1, size_px, size_px) float32 in 0 to 255, averaged down where larger."""
        found = []
        for part, number in self.places[rows]:
            picture = np.asarray(self.parts[part][number])
            if picture.shape[0] != size_px:
                picture = cv2.resize(picture, (size_px, size_px), interpolation=cv2.INTER_AREA)
            found.append(picture)
        return torch.from_numpy(np.stack(found)).unsqueeze(1).float()


class Pictures:
    """A pool's pictures on the way to a device: all of them on a GPU at once where they fit."""

    def __init__(
        self, pool: Pool, size_px: int, device: torch.device, held: bool | None = None
    ) -> None:
        """Hold them on the device, or not; without `held`, on a GPU with room for them."""
        self._pool, self._size_px, self._device = pool, size_px, device
        if held is None:
            held = device.type == "cuda" and self._fit(len(pool.places) * size_px**2)
        self._held = self._load() if held else None

    def take(self, rows: Integers) -> Tensor:
        """Return (B, 1, size_px, size_px) float32 in 0 to 255, on the device."""
        if self._held is None:
            return send(self._pool.read(rows, self._size_px), self._device)
        return self._held[send(torch.from_numpy(rows), self._device)].float()

    def _load(self) -> Tensor:
        """Return (N, 1, size_px, size_px) uint8 on the device."""
        rows = np.arange(len(self._pool.places))
        parts = [
            self._pool.read(rows[at : at + READ], self._size_px).byte().to(self._device)
            for at in range(0, len(rows), READ)
        ]
        return torch.cat(parts)

    def _fit(self, size: int) -> bool:
        free, _ = torch.cuda.mem_get_info(self._device)
        return size <= HELD_SHARE * free


def send(values: Tensor, device: torch.device) -> Tensor:
    """Return the same values on the device; towards a GPU without waiting for what runs there."""
    if device.type != "cuda":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)


def gather(
    folders: Sequence[Path],
    apart_from: Sequence[Path],
    size_px: int,
    without: Sequence[str] = (),
) -> Pool:
    """Open folders of pictures; patients of `apart_from`, folders too, are left out.

    So are the gate's pictures of the sources `without`, where patients have other names.

    Raises `InputError` where one is neither a frame cache nor the gate's data, has smaller
    pictures, or nothing is left.
    """
    apart = {patient for folder in apart_from for patient in _open(folder)[1]}
    known: set[str] = set()
    parts, places, patients, digests, left_out = [], [], [], [], 0
    for number, folder in enumerate(folders):
        frames, owners, digest, sources = _open(folder)
        known.update(sources)
        if frames.shape[1] < size_px:
            raise InputError(
                f"the pictures of {folder} are {frames.shape[1]} px a side, asked for are "
                f"{size_px}: give a smaller --size-px"
            )
        wanted = [
            row
            for row, owner in enumerate(owners)
            if owner not in apart and sources[row] not in without
        ]
        left_out += len(owners) - len(wanted)
        parts.append(frames)
        places += [(number, row) for row in wanted]
        patients += [owners[row] for row in wanted]
        digests.append(digest)
    if missing := [name for name in without if name not in known]:
        raise InputError(f"there is no source {missing[0]!r} here: found {sorted(known - {''})}")
    if len(places) < 2:
        raise InputError("fewer than two pictures are left to learn from: name other folders")
    said = hashlib.sha256("\n".join([*digests, *sorted(apart), *without]).encode()).hexdigest()
    return Pool(tuple(parts), np.array(places), np.array(patients), left_out, said)


def _open(folder: Path) -> tuple[Pixels, list[str], str, list[str]]:
    """Return frames, the patient of each, the digest of both, and each one's source or ""."""
    if (folder / SUMMARY_NAME).is_file():
        cache = Cache.load(folder)
        patients = [row.patient for row in cache.rows]
        return cache.frames, patients, cache.digest, [""] * len(patients)
    if (folder / SHELF.summary_name).is_file():
        data = GateData.load(folder)
        patients = [row.patient for row in data.rows]
        return data.frames, patients, data.digest, [row.source for row in data.rows]
    raise InputError(
        f"{folder} holds no pictures: name a cache made by `neurosono train prepare`, or what "
        "`neurosono train gate prepare` made"
    )
