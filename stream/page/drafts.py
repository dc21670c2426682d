"""What was published and is not yet encoded, and how it becomes a parcel for the viewers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.errors import InputError
from neurosono.stream.page.mailbox import Parcel
from neurosono.stream.page.protocol import (
    MessageKind,
    encode_json,
    withhold_opinion,
    without_opinion,
)
from neurosono.stream.pictures.picture import shrink

PICTURE_QUALITY = 90
"""JPEG. On a phantom's region at 800 x 600: 49 dB, 70 kB, 0.6 ms (measured); 95 takes 98 kB."""

THUMBNAIL_PX = 320
"""The longer side of a thumbnail: twice what the page shows, for a tablet's dense screen."""

URGENCY = {
    MessageKind.PICTURE: 0,
    MessageKind.HEATMAP: 1,
    MessageKind.READING: 1,
    MessageKind.KEY_FRAME: 2,
    MessageKind.EVIDENCE: 3,
}
"""What is encoded first."""

_THUMBNAILS = (MessageKind.EVIDENCE, MessageKind.KEY_FRAME)

DraftKey = tuple[MessageKind, Any]


@dataclass(frozen=True)
class Draft:
    """One picture on its way to the screens: `(H, W)` grey or `(H, W, 3)` BGR uint8.

    `about` is what is said of it, `made_ns` when it was published, `slot` what it replaces. Raises
    `InputError` for any other array.
    """

    kind: MessageKind
    about: Mapping[str, Any]
    made_ns: int
    pixels: Pixels
    slot: Any = None

    def __post_init__(self) -> None:
        shape = self.pixels.shape
        grey_or_bgr = self.pixels.ndim == 2 or (self.pixels.ndim == 3 and shape[2] == 3)
        if not grey_or_bgr or self.pixels.dtype != np.uint8 or min(shape) < 1:
            raise InputError(
                f"a picture must be (H, W) or (H, W, 3) uint8, found {shape} {self.pixels.dtype}"
            )

    @property
    def key(self) -> DraftKey:
        """What it replaces."""
        return self.kind, self.slot

    def belongs_to(self, exam: Any) -> bool:
        """Whether it may still be shown once `exam` is the exam."""
        return self.kind not in _THUMBNAILS or self.about.get("exam") == exam

    def is_opinion(self) -> bool:
        """Whether there is nothing in it but what the AI thinks."""
        return self.kind in (MessageKind.HEATMAP, MessageKind.EVIDENCE, MessageKind.READING)


def encode(draft: Draft, *, blind: bool) -> list[Parcel]:
    """Return what the viewers get of `draft`; `blind` withholds what the AI thinks.

    A picture also gives its status alone, for viewers that take fewer pictures.
    """
    if blind and draft.is_opinion():
        return []
    pixels, about = draft.pixels, draft.about
    if draft.kind in _THUMBNAILS:
        pixels = shrink(pixels, THUMBNAIL_PX)
    if draft.kind is MessageKind.PICTURE:
        about = withhold_opinion(about)
    elif draft.kind is MessageKind.KEY_FRAME and blind:
        about = without_opinion(about)
    _, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, PICTURE_QUALITY])
    said = encode_json(about)
    age_ms = draft.about.get("age_ms")
    parcels = [Parcel(draft.kind, said, draft.made_ns, jpeg.tobytes(), draft.slot, age_ms)]
    if draft.kind is MessageKind.PICTURE:
        parcels.append(Parcel(MessageKind.STATUS, said, draft.made_ns))
    return parcels


def drop_oldest(kept: dict[DraftKey, Draft], kind: MessageKind, most: int) -> None:
    """Keep the newest `most` drafts of one kind; a dict is in the order in which it was filled."""
    keys = [key for key in kept if key[0] is kind]
    for key in keys[: max(0, len(keys) - most)]:
        del kept[key]
