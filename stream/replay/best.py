"""The best frame of each plane and finding, kept as a picture: what is told points at it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import cv2

from neurosono.engine.files import create_private, writing
from neurosono.stream.view.reading import ShownReading

if TYPE_CHECKING:
    from neurosono.engine.contracts.arrays import Pixels

FOLDER = "planes"


class BestFrames:
    """Holds of each reader, plane and finding the region of its best frame so far."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[int, Pixels]] = {}
        self._readers: set[str] = set()

    def see(self, readings: Mapping[str, ShownReading]) -> None:
        """Take what is shown of each reader; keep the frames that its exam calls the best."""
        self._readers |= set(readings)
        for reader, shown in readings.items():
            latest, pixels = shown.latest, shown.pixels
            if latest is None or pixels is None or shown.exam is None:
                continue
            told = {**shown.exam.get("planes", {}), **shown.exam.get("findings", {})}
            for what, mark in told.items():
                best, name = mark["best"], f"{reader}-{what}"
                if best is None:
                    self._held.pop(name, None)  # a finding may yield to another one
                    continue
                if best["seq"] == latest.seq:
                    self._held[name] = latest.seq, pixels
                elif name in self._held and self._held[name][0] != best["seq"]:
                    del self._held[name]  # in real time a frame may be passed over: no other for it

    def write(self, out: Path) -> None:
        """Write `planes/READER-PLANE.png` into `out`, each whole; raises `OutputError`."""
        if not self._held:
            return
        folder = out / FOLDER
        with writing(folder, "free some space or choose another --out"):
            if folder.is_symlink():
                folder.unlink()  # it would lead elsewhere
            folder.mkdir(mode=0o700, exist_ok=True)
            for reader in self._readers:
                for old in folder.glob(f"{reader}-*.png"):
                    old.unlink()  # of the replay before this one
            for name, (_, pixels) in self._held.items():
                aside = folder / f".{name}.png"
                with os.fdopen(create_private(aside), "wb") as file:
                    file.write(cv2.imencode(".png", pixels)[1].tobytes())
                aside.replace(folder / f"{name}.png")
