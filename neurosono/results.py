"""What a caller gets: a frame's result and the exam so far, by the labels of the bundle."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.frame import DisplayFrame, ScaleSource, SkipReason
from neurosono.engine.contracts.manifest import Manifest
from neurosono.engine.contracts.reader import ReaderResult
from neurosono.engine.contracts.result import ExamSnapshot, ExamState, Result
from neurosono.stream.view.summary import describe_exam, name_values


@dataclass(frozen=True, eq=False)
class ExamResult(Mapping[str, float]):
    """The exam after some frame: `exam["normal"]` is a class's probability, 0 to 1.

    All are NaN before the first frame that was used: there is no answer then, and NaN is neither
    over nor under any threshold.
    """

    labels: tuple[str, ...]
    snapshot: ExamSnapshot

    def __getitem__(self, label: str) -> float:
        """Return a class's probability; raises `KeyError` for one that the bundle has not."""
        return float(self.snapshot.probabilities[self._place(label)])

    def __iter__(self) -> Iterator[str]:
        return iter(self.labels)

    def __len__(self) -> int:
        return len(self.labels)

    def interval(self, label: str) -> tuple[float, float]:
        """Return the 95 % bounds of a class's probability; NaN before the first used frame."""
        place = self._place(label)
        return float(self.snapshot.low[place]), float(self.snapshot.high[place])

    def _place(self, label: str) -> int:
        if label not in self.labels:
            raise KeyError(f"{label!r}: the bundle has {', '.join(self.labels)}")
        return self.labels.index(label)

    @property
    def prediction(self) -> str | None:
        """The leading class; None before the first used frame."""
        named = name_values(self.labels, self.snapshot.probabilities)
        return None if named is None else max(named, key=named.__getitem__)

    @property
    def prediction_set(self) -> tuple[str, ...]:
        """The classes that the bundle's calibration cannot rule out."""
        return self.snapshot.prediction_set

    @property
    def state(self) -> ExamState:
        """`collecting`, `ambiguous` or `stable`: only then one class is left."""
        return self.snapshot.state

    @property
    def alarm(self) -> bool:
        """Whether the operating point for "any anomaly" is reached and held."""
        return self.snapshot.alarm

    @property
    def used(self) -> int:
        """How many frames added evidence."""
        return self.snapshot.used

    @property
    def skipped(self) -> dict[str, int]:
        """How many did not, by reason; with `used` they add up to all that were sampled."""
        return dict(self.snapshot.skipped)

    def to_json(self) -> dict[str, Any]:
        """Return what `exam.json` says of an exam, with the notice that belongs to it."""
        return describe_exam(self.labels, self.snapshot)


@dataclass(frozen=True, eq=False)
class FrameResult:
    """What the model says of one frame, and of the exam up to it.

    `manifest` is the bundle's, `raw` the result as it travels and is recorded (`engine.contracts`),
    `read` what bundles beside it say of the frame, `exams_read` what that adds up to.
    """

    manifest: Manifest
    raw: Result
    read: Mapping[str, ReaderResult] = field(default_factory=dict)
    exams_read: Mapping[str, Any] = field(default_factory=dict)

    @property
    def readings(self) -> dict[str, dict[str, Any]]:
        """What the bundles beside it say of this frame, as in `frames.jsonl`."""
        return {name: each.describe() for name, each in self.read.items()}

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, in the bundle's order."""
        return self.manifest.labels

    @property
    def seq(self) -> int:
        """The frame's number among those sampled, from 0."""
        return self.raw.seq

    @property
    def pts_s(self) -> float:
        """The frame's time in the exam, seconds."""
        return self.raw.pts_s

    @property
    def mm_per_px(self) -> float | None:
        """The side of a pixel of the source's picture, in millimetres; None: not known."""
        return self.raw.mm_per_px

    @property
    def mm_per_px_from(self) -> ScaleSource | None:
        """Who says so: `dicom` or `user`."""
        return self.raw.mm_per_px_from

    @property
    def used(self) -> bool:
        """Whether the frame added evidence."""
        return self.raw.used

    @property
    def skip_reason(self) -> SkipReason | None:
        """Why it added none; None where it did."""
        return self.raw.skip_reason

    @cached_property
    def probabilities(self) -> dict[str, float] | None:
        """The frame's own calibrated probabilities, 0 to 1, by label; None where it was skipped."""
        return name_values(self.labels, self.raw.probabilities)

    @cached_property
    def exam(self) -> ExamResult:
        """The exam up to this frame."""
        return ExamResult(self.labels, self.raw.exam)

    @cached_property
    def class_maps(self) -> dict[str, NDArray[np.float32]] | None:
        """Where the network saw each class: `(h, w)` float32, 0 to 1, over its square input.

        None where the frame was skipped, or came sooner than `cam_hz` allows.
        """
        cam = self.raw.cam
        return None if cam is None else dict(zip(self.labels, cam, strict=True))

    def paint(self, picture: DisplayFrame, label: str | None = None) -> NDArray[np.uint8] | None:
        """Lay a class's map (None: the leading one's) over the very frame that it was made of.

        Returns `(H, W, 3)` BGR uint8 of the region's size, None where there is no map. Raises
        `InputError` for another frame's picture: the map would point at anatomy that has moved.
        """
        from neurosono.stream.view.heatmap import Heatmap, paint_heatmap

        if (picture.stream_id, picture.seq) != (self.raw.stream_id, self.seq):
            raise InputError(
                f"picture {picture.seq} is not the frame {self.seq} that the map was made of: "
                "paint it over the picture that came with it"
            )
        if self.class_maps is None or self.probabilities is None:
            return None
        leading = max(self.probabilities, key=self.probabilities.__getitem__)
        label = leading if label is None else label
        if label not in self.class_maps:
            raise InputError(f"no class {label!r}: the bundle has {', '.join(self.labels)}")
        region = picture.region
        heatmap = Heatmap(self.class_maps[label], region, label, self.seq, self.pts_s)
        size = (region.shape[0], region.shape[1])
        return paint_heatmap(heatmap, size, self.manifest.preprocessing)
