"""What lies outside the ultrasound region, or is written on it, never leaves capture."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.stream.intake.evidence import EvidenceGate
from neurosono.stream.intake.intake import Intake
from neurosono.stream.intake.sampler import Sampler
from neurosono.stream.processes.wire import pack
from neurosono.stream.screen.follow import Screen
from neurosono.stream.sources import open_source
from tests.support.clips import make_screen
from tests.support.commands import run

WIDTH, HEIGHT = 640, 480
NAMES_AT = {"beside": (8, 6), "over-lit-tissue": (210, 200), "in-yellow": (180, 120)}
"""Where the name's corner is: beside the picture, or over the middle of it."""


def draw_name() -> NDArray[np.uint8]:
    """Return a patient's name as a scanner burns it in, `(h, w)`."""
    name = np.zeros((30, 200), dtype=np.uint8)
    cv2.putText(name, "INVENTED, PAT", (2, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.7, 255, 2)
    return name


@pytest.fixture(scope="module", params=NAMES_AT)
def clip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("named") / "clip.mp4"
    name = draw_name()
    x, y = NAMES_AT[request.param]
    ink = (0, 255, 255) if request.param == "in-yellow" else (255, 255, 255)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"crf": "8", "preset": "ultrafast"}
        for index in range(25):
            screen = make_screen(index, width=WIDTH, height=HEIGHT)
            screen[y : y + name.shape[0], x : x + name.shape[1]][name > 100] = ink
            frame = av.VideoFrame.from_ndarray(screen, format="bgr24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def find_name(pixels: NDArray[np.uint8]) -> float:
    """Return how well the name, or its left or right half, is found in a picture: 0 to 1."""
    grey = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    name = draw_name()
    best = 0.0
    for part in (name, name[:, :100], name[:, 100:]):
        if part.shape[0] <= grey.shape[0] and part.shape[1] <= grey.shape[1]:
            best = max(best, float(cv2.matchTemplate(grey, part, cv2.TM_CCOEFF_NORMED).max()))
    return best


def test_no_message_carries_the_name(clip: Path) -> None:
    intake = Intake(
        open_source([str(clip)]),
        screen=Screen(),
        sampler=Sampler(every=5),
        gate=EvidenceGate(),
        spec=PreprocessingSpec(),
        stream_id="s",
    )
    seen = 0
    for taken in intake.frames():
        seen += 1
        assert find_name(taken.display.pixels) < 0.6
        assert taken.display.pixels.any()
        assert len(pack(taken.display)) < WIDTH * HEIGHT * 3
        if taken.sampled is not None and taken.sampled.pixels is not None:
            assert find_name(taken.sampled.pixels) < 0.6
    assert seen == 25


@pytest.mark.parametrize(("options", "visible"), [([], False), (["--show-screen"], True)])
def test_the_overlay_shows_it_only_when_asked_by_name(
    options: list[str], visible: bool, clip: Path, bundle_root: Path, tmp_path: Path
) -> None:
    done = run("replay", clip, "--bundle", bundle_root, "--out", tmp_path, *options)
    assert done.returncode == 0, done.stderr
    with av.open(str(tmp_path / "overlay.mp4")) as container:
        best = max(find_name(f.to_ndarray(format="bgr24")) for f in container.decode(video=0))
    assert (best > 0.85) if visible else (best < 0.6)
