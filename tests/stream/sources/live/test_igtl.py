"""OpenIGTLink: pictures of real senders, and of some that lie, stall, stop or say other things."""

import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from neurosono.engine.contracts.errors import SourceError
from neurosono.engine.contracts.frame import ScaleSource
from neurosono.stream.pictures.picture import Picture
from neurosono.stream.sources.live.links import LinkKind, parse_link
from neurosono.stream.sources.live.source import LiveSource, open_live
from tests.stream.sources.live.test_live import Heard, open_quickly, take_until
from tests.support.commands import wait_until
from tests.support.igtl import HOST, Told, frame_message, make_image, saying, serving
from tests.support.senders import free_tcp_port

LEVELS = np.random.default_rng(0).integers(0, 256, (24, 32), dtype=np.uint8)
SERVER = Path(__file__).parents[3] / "support" / "igtl_server.cpp"
HEADERS = Path("/usr/include/openigtlink")
PYIGTL = """
import sys, time, numpy as np, pyigtl
server = pyigtl.OpenIGTLinkServer(port=int(sys.argv[1]), local_server=True)
print("ready", flush=True)
for level in range(1, 200):
    picture = np.full((1, 48, 64), level, np.uint8)
    moved = pyigtl.TransformMessage(np.eye(4), device_name="Probe")
    image = pyigtl.ImageMessage(picture, np.diag([0.3, 0.3, 1, 1]), device_name="Image_Reference")
    server.send_message(moved, wait=True)
    server.send_message(image, wait=True)
    time.sleep(0.02)
"""


def take_first(live: LiveSource) -> Picture:
    return take_until(live, lambda taken: taken)[0]


def test_what_an_address_may_say() -> None:
    link = parse_link("igtl://192.0.2.7:18944?device=Image_Reference")
    assert (link.kind, link.host, link.port, link.device) == (
        LinkKind.IGTL,
        "192.0.2.7",
        18944,
        "Image_Reference",
    )
    assert parse_link("igtl://scanner:18944").device == ""


@pytest.mark.parametrize(
    "argument",
    [
        "igtl://127.0.0.1",
        "igtl://127.0.0.1:18944/path",
        "igtl://127.0.0.1:18944?name=x",
        "igtl://127.0.0.1:18944?device=a&device=b",
        "igtl://127.0.0.1:18944?device=" + 21 * "x",
        "igtl://127.0.0.1:18944?device=%C3%A4",
    ],
)
def test_an_address_that_cannot_be_is_refused(argument: str) -> None:
    with pytest.raises(SourceError, match="OpenIGTLink"):
        open_live(argument)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_grey_pictures_of_every_version_come_with_their_time_and_size(version: int) -> None:
    told = Told(version=version, metadata=b"\0\1ab" if version > 1 else b"")
    images = [
        make_image(LEVELS, Told(version=version, stamp_s=100 + k / 8, metadata=told.metadata))
        for k in range(3)
    ]
    over, heard = threading.Event(), Heard()
    with (
        serving(saying(images, hold=over)) as port,
        open_quickly(f"igtl://{HOST}:{port}", heard) as live,
    ):
        last = take_until(live, lambda taken: taken and taken[-1].index == 2)[-1]
        assert live.description == "OpenIGTLink stream"
        over.set()
    np.testing.assert_array_equal(last.pixels, LEVELS)
    assert last.pts_s == pytest.approx(0.25)
    assert last.scale.mm_per_px == pytest.approx(0.2)
    assert last.scale.mm_per_px_from is ScaleSource.OPENIGTLINK
    (connected,) = heard.fields("connected")
    assert (connected["codec"], connected["width_px"], connected["height_px"]) == (
        "OpenIGTLink",
        32,
        24,
    )


@pytest.mark.parametrize("components", [3, 4])
def test_colours_are_put_in_our_order(components: int) -> None:
    sent = np.zeros((24, 32, components), dtype=np.uint8)
    sent[..., :3] = (200, 100, 50)  # red, green, blue
    over = threading.Event()
    with (
        serving(saying([make_image(sent)], hold=over)) as port,
        open_quickly(f"igtl://{HOST}:{port}") as live,
    ):
        picture = take_first(live)
        over.set()
    assert picture.pixels.shape == (24, 32, 3)
    assert picture.pixels[0, 0].tolist() == [50, 100, 200]


def test_pixels_that_are_not_square_are_made_so() -> None:
    over = threading.Event()
    with (
        serving(saying([make_image(LEVELS, Told(mm=(0.4, 0.2)))], hold=over)) as port,
        open_quickly(f"igtl://{HOST}:{port}") as live,
    ):
        picture = take_first(live)
        over.set()
    assert picture.pixels.shape == (24, 64)
    assert picture.scale.mm_per_px == pytest.approx(0.2)


@pytest.mark.parametrize("mm", [(1.0, 1.0), (0.0, 0.0), (float("nan"), 0.2), (300.0, 300.0)])
def test_a_matrix_that_holds_no_size_gives_none(mm: tuple[float, float]) -> None:
    over = threading.Event()
    with (
        serving(saying([make_image(LEVELS, Told(mm=mm))], hold=over)) as port,
        open_quickly(f"igtl://{HOST}:{port}") as live,
    ):
        picture = take_first(live)
        over.set()
    np.testing.assert_array_equal(picture.pixels, LEVELS)
    assert picture.scale.mm_per_px is None


def test_only_the_device_that_was_asked_for_is_followed() -> None:
    other = make_image(LEVELS // 2, Told(device="Other"))
    ours = make_image(LEVELS, Told(device="Ours"))
    transform = frame_message("TRANSFORM", bytes(48), Told(device="Probe"))
    over = threading.Event()
    with (
        serving(saying([other, transform, ours, other], hold=over)) as port,
        open_quickly(f"igtl://{HOST}:{port}?device=Ours") as live,
    ):
        picture = take_first(live)
        assert live.counts.received == 1
        over.set()
    np.testing.assert_array_equal(picture.pixels, LEVELS)


def test_a_sender_of_other_things_is_told_by_what_it_sends() -> None:
    def talk(connected: socket.socket) -> None:
        while True:
            connected.sendall(frame_message("TRANSFORM", bytes(48), Told(device="Probe")))
            threading.Event().wait(0.01)

    heard = Heard()
    with serving(talk) as port, open_quickly(f"igtl://{HOST}:{port}", heard) as live:
        wait_until(lambda: live.take(0.02) or heard.fields("lost"), 10)
    assert "no IMAGE comes, only TRANSFORM Probe" in heard.fields("lost")[0]["reason"]


IMAGE = make_image(LEVELS)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (make_image(LEVELS, Told(version=7)), "of version 7"),
        (b"GET / HTTP/1.1\r\nHost: example\r\n" + 40 * b" ", "of version"),
        (frame_message("IMAGE", b"", Told(), claimed_bytes=1 << 40), "over 67108864"),
        (frame_message("IMAGE", bytes(20), Told()), "lacks its own header"),
        (make_image(LEVELS, Told(scalar=5)), "16 bits"),
        (make_image(LEVELS, Told(scalar=99)), "type 99"),
        (make_image(np.zeros((24, 32, 2), np.uint8)), "of 2 numbers"),
        (make_image(LEVELS, Told(depth=2)), "expected one slice"),
        (frame_message("IMAGE", IMAGE[58:-1], Told()), "with 767 bytes"),
        (frame_message("IMAGE", IMAGE[58:] + b"x", Told()), "with 769 bytes"),
        (frame_message("IMAGE", IMAGE[58:124] + b"\0\1" + IMAGE[126:], Told()), "a part of"),
        (IMAGE[:-5], "in the middle of a message"),
        (IMAGE[:30], "in the middle of a message"),
        (b"", "before it sent a picture"),
    ],
)
def test_what_is_no_picture_is_said_and_tried_again(message: bytes, words: str) -> None:
    heard = Heard()
    with serving(saying([message])) as port, open_quickly(f"igtl://{HOST}:{port}", heard) as live:
        wait_until(lambda: live.take(0.02) or heard.fields("reconnecting"), 10)
    assert words in heard.fields("lost")[0]["reason"]


def test_metadata_that_outgrow_their_message_are_refused() -> None:
    message = bytearray(make_image(LEVELS, Told(version=2)))
    message[58 + 4 : 58 + 8] = (1 << 20).to_bytes(4, "big")
    heard = Heard()
    with (
        serving(saying([bytes(message)])) as port,
        open_quickly(f"igtl://{HOST}:{port}", heard) as live,
    ):
        wait_until(lambda: live.take(0.02) or heard.fields("reconnecting"), 10)
    assert "longer than its message" in heard.fields("lost")[0]["reason"]


def test_a_sender_that_falls_silent_is_left_and_met_again() -> None:
    over, heard = threading.Event(), Heard()
    with (
        serving(saying([IMAGE, IMAGE[:100]], hold=over)) as port,
        open_quickly(f"igtl://{HOST}:{port}", heard) as live,
    ):
        take_first(live)
        wait_until(lambda: live.take(0.02) or heard.fields("timeout"), 10)
        over.set()
        take_until(live, lambda taken: taken, 10)
        assert live.counts.connections == 2
    assert heard.fields("timeout")[0]["stage"] == "read"


def test_a_slow_taker_gets_the_newest() -> None:
    over = threading.Event()
    images = [make_image(np.full((24, 32), k, np.uint8)) for k in range(40)]
    with serving(saying(images, hold=over)) as port, open_quickly(f"igtl://{HOST}:{port}") as live:
        first = take_first(live)
        wait_until(lambda: live.counts.received + live.counts.late == 40, 10)
        picture = live.take(0.0) or first  # on a busy machine all came before the first was taken
        counts = live.counts
        over.set()
    assert picture.pixels[0, 0] == 39
    assert counts.received == counts.taken + counts.overrun + counts.waiting


def test_the_protocols_own_library_is_understood(tmp_path: Path) -> None:
    if not HEADERS.is_dir() or shutil.which("g++") is None:
        pytest.skip("no g++ or no libopenigtlink-dev here: .ci/run installs both")
    program, port = tmp_path / "server", free_tcp_port()
    build = [
        "g++",
        "-w",
        f"-I{HEADERS}",
        str(SERVER),
        "-o",
        str(program),
        "-lOpenIGTLink",
        "-pthread",
    ]
    subprocess.run(build, check=True, timeout=120)
    follow([str(program), str(port), "60", "20"], port, shape=(240, 320), mm_per_px=0.25)


def test_the_python_library_is_understood() -> None:
    port = free_tcp_port()
    follow([sys.executable, "-c", PYIGTL, str(port)], port, shape=(48, 64), mm_per_px=0.3)


def follow(server: list[str], port: int, *, shape: tuple[int, int], mm_per_px: float) -> None:
    """Follow a server whose pictures are level, each brighter than the one before."""
    with subprocess.Popen(server, stdout=subprocess.PIPE) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline() == b"ready\n"
            with open_quickly(f"igtl://{HOST}:{port}", open_timeout_s=5.0) as live:
                taken = take_until(live, lambda taken: len(taken) >= 8, 20)
        finally:
            running.kill()
    levels = [int(picture.pixels[0, 0]) for picture in taken]
    assert all(np.ptp(picture.pixels) == 0 for picture in taken)
    assert levels == sorted(set(levels))
    assert taken[0].pixels.shape == shape
    assert taken[0].scale.mm_per_px == pytest.approx(mm_per_px, rel=1e-5)
