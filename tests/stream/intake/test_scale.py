"""How large a pixel is: from where it is known to a line of `frames.jsonl`."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from neurosono.engine.contracts.calibration import Calibration
from neurosono.engine.contracts.frame import Scaled, ScaleSource
from neurosono.engine.contracts.labels import DEFAULT_LABELS
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.engine.contracts.result import Result
from neurosono.engine.exam.exam import Exam
from neurosono.stream.intake.evidence import EvidenceGate
from neurosono.stream.intake.intake import Intake
from neurosono.stream.intake.sampler import Sampler
from neurosono.stream.pictures.picture import UNSCALED, Picture
from neurosono.stream.processes.wire import pack, unpack
from neurosono.stream.replay.files import FramesWriter
from neurosono.stream.screen.follow import Screen

HEADER = Scaled(mm_per_px=0.25, mm_per_px_from=ScaleSource.DICOM)
USER = Scaled(mm_per_px=0.125, mm_per_px_from=ScaleSource.USER)


class Stills:
    """Two pictures of one file, whose header says `scale`."""

    description = "stills"

    def __init__(self, scale: Scaled) -> None:
        self._scale = scale

    def pictures(self) -> Iterator[Picture]:
        speckle = np.random.default_rng(0).integers(0, 255, (240, 320), dtype=np.uint8)
        for index in range(2):
            yield Picture(index, index, index / 2, speckle, scale=self._scale)


@pytest.mark.parametrize(
    ("header", "user", "expected"),
    [
        (UNSCALED, UNSCALED, (None, None)),
        (HEADER, UNSCALED, (0.25, "dicom")),
        (UNSCALED, USER, (0.125, "user")),
        (HEADER, USER, (0.125, "user")),
    ],
)
def test_what_is_known_of_a_picture_stands_in_its_line(
    header: Scaled, user: Scaled, expected: tuple[float | None, str | None], tmp_path: Path
) -> None:
    intake = Intake(
        Stills(header),
        screen=Screen(),
        sampler=Sampler(every=1),
        gate=EvidenceGate(),
        spec=PreprocessingSpec(),
        stream_id="s",
        scale=user,
    )
    exam = Exam(DEFAULT_LABELS, Calibration())
    writer = FramesWriter(tmp_path, DEFAULT_LABELS)
    for taken in intake.frames():
        assert taken.sampled is not None
        made = Result.of(taken.sampled, exam.snapshot(), skip_reason=taken.sampled.skip_reason)
        travelled = unpack(pack(made)).message
        assert isinstance(travelled, Result)
        writer.write(travelled)
    writer.close()
    lines = [json.loads(line) for line in (tmp_path / "frames.jsonl").read_text().splitlines()]
    assert [(line["mm_per_px"], line["mm_per_px_from"]) for line in lines] == [expected] * 2
