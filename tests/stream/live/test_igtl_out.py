"""What goes out by OpenIGTLink, read by a library that is not ours; and never an old opinion."""

import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyigtl
import pytest

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.notice import NOTICE
from neurosono.stream.live.igtl_out import LINE_PX, NOT_READY, OK, IgtlOut, make_status
from neurosono.stream.live.peer import find_owner, is_ours
from neurosono.stream.sources.live.igtl_message import HEADER, read_header, read_image
from tests.support.commands import wait_until
from tests.support.senders import HOST

PICTURE = np.arange(200 * 320, dtype=np.uint32).astype(np.uint8).reshape(200, 320)
HEAT = np.full((200, 320, 3), (10, 20, 200), np.uint8)


class Seconds:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


@pytest.fixture
def out(clock: Seconds) -> Iterator[IgtlOut]:
    with IgtlOut(0, HOST, clock) as out:
        yield out


def make_status_dict(**changes: Any) -> dict[str, Any]:
    return {
        "exam": "20260314-0917",
        "ai": "AI ON",
        "ai_reason": "",
        "opinion_age_ms": 20.0,
        "labels": ["normal", "anencephaly"],
        "probabilities": [0.64, 0.36],
        "low": [0.5, 0.2],
        "high": [0.8, 0.5],
        "prediction_set": ["normal"],
        "state": "stable",
        "state_sentence": "One class is left.",
        "notice": NOTICE,
    } | changes


class Listener:
    """A connection that keeps the newest message of each device, by our own reader."""

    def __init__(self, out: IgtlOut) -> None:
        self._socket = socket.create_connection((HOST, out.port), 20)

    def read(self) -> tuple[str, str, bytes]:
        header = read_header(self._take(HEADER.size))
        return header.kind, header.device, self._take(header.body_bytes)

    def wait(self, condition: Any) -> bytes:
        for _ in range(400):
            kind, device, body = self.read()
            if condition(kind, device, body):
                return body
        raise AssertionError("it was never said")

    def _take(self, count: int) -> bytes:
        taken = b""
        while len(taken) < count:
            more = self._socket.recv(count - len(taken))
            assert more, "hung up"
            taken += more
        return taken

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def listener(out: IgtlOut) -> Iterator[Listener]:
    listener = Listener(out)
    yield listener
    listener.close()


def result_says(words: bytes) -> Any:
    return lambda kind, _, body: kind == "STRING" and words in body


def test_another_library_reads_all_of_it(out: IgtlOut) -> None:
    out.show(PICTURE, make_status_dict())
    out.show_heatmap(HEAT)
    client = pyigtl.OpenIGTLinkClient(HOST, out.port)
    try:
        said = client.wait_for_message("neurosono_result", timeout=30)
        told = json.loads(said.string)
        assert told["probabilities"] == [0.64, 0.36]
        assert told["notice"] == NOTICE
        picture = client.wait_for_message("neurosono_picture", timeout=30).image
        assert picture.shape[1:3] == (200 + 5 * LINE_PX + 6, 320)
        np.testing.assert_array_equal(picture[0, :200, :, 0], PICTURE)
        assert picture[0, 200:].max() > 100, "the words below"
        heatmap = client.wait_for_message("neurosono_heatmap", timeout=30).image
        assert heatmap.shape == (1, 200, 320, 3)
        assert heatmap[0, 0, 0].tolist() == [200, 20, 10]
    finally:
        client.stop()


def test_an_old_opinion_and_an_old_heatmap_are_gone(
    out: IgtlOut, listener: Listener, clock: Seconds
) -> None:
    out.show(PICTURE, make_status_dict())
    out.show_heatmap(HEAT)
    listener.wait(result_says(b"0.64"))
    listener.wait(lambda kind, device, body: device == "neurosono_heatmap" and len(body) > 9000)
    clock.now += 0.6  # nobody has said anything since
    body = listener.wait(result_says(b"the last answer is"))
    assert json.loads(body[4:])["probabilities"] is None
    listener.wait(lambda kind, _, body: kind == "STATUS" and body[1] == NOT_READY)
    listener.wait(lambda _, device, body: device == "neurosono_heatmap" and len(body) < 9000)


def test_a_second_read_and_a_dead_ai_tell_nothing(out: IgtlOut, listener: Listener) -> None:
    out.show(PICTURE, make_status_dict(mode="second-read"))
    out.show_heatmap(HEAT)
    body = listener.wait(result_says(b"20260314"))
    assert json.loads(body[4:])["probabilities"] is None
    listener.wait(lambda _, device, body: device == "neurosono_heatmap" and len(body) < 9000)
    out.say(make_status_dict(ai="AI OFF", ai_reason="the engine process died"))
    body = listener.wait(result_says(b"engine process died"))
    assert json.loads(body[4:])["prediction_set"] == []


def test_pictures_can_be_followed_by_our_own_reader(out: IgtlOut, listener: Listener) -> None:
    out.show(PICTURE, make_status_dict())
    while True:
        header = read_header(listener._take(HEADER.size))
        body = listener._take(header.body_bytes)
        if header.device == "neurosono_picture":
            break
    np.testing.assert_array_equal(read_image(header, body).pixels[:200, :, 1], PICTURE)


def test_one_that_listens_to_nothing_is_hung_up_on(out: IgtlOut) -> None:
    large = np.zeros((2000, 2000, 3), np.uint8)
    with socket.create_connection((HOST, out.port), 20) as mute:
        out.show(large, make_status_dict())
        wait_until(lambda: out.hung_up == 1, 60)
        assert mute is not None


def test_status_says_whether_the_ai_is_on() -> None:
    assert make_status(OK, "AI ON")[HEADER.size : HEADER.size + 2] == b"\0\1"


def test_a_port_that_is_taken_is_refused(out: IgtlOut) -> None:
    with pytest.raises(InputError, match="choose another --igtl-out"):
        IgtlOut(out.port)


class Exhausted:
    """A listening socket whose process has no descriptor left, once."""

    def __init__(self, listener: Any) -> None:
        self._listener, self.refused = listener, 0

    def accept(self) -> Any:
        if not self.refused:
            self.refused += 1
            raise OSError(errno.EMFILE, "too many open files")
        return self._listener.accept()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._listener, name)


def test_without_a_descriptor_it_listens_on(out: IgtlOut) -> None:
    out.say(make_status_dict())
    out._listener = exhausted = Exhausted(out._listener)  # type: ignore[assignment]
    for refused in (0, 1):  # the first is accepted by the call that waits already
        listener = Listener(out)
        listener.wait(result_says(b"0.64"))
        listener.close()
        assert exhausted.refused >= refused


ASK = """
import os, socket, sys
os.setuid(int(sys.argv[3]))
with socket.socket() as asked:  # by number: names are looked up by what may lie out of reach
    asked.settimeout(60)
    asked.connect((sys.argv[1], int(sys.argv[2])))
    print(len(asked.recv(1)))
"""


def test_a_program_of_another_user_is_hung_up_on(out: IgtlOut) -> None:
    if os.geteuid() != 0:
        pytest.skip("who is not root cannot try to listen as another user")
    out.show(PICTURE, make_status_dict())
    command = [sys.executable, "-I", "-S", "-c", ASK, HOST, str(out.port)]
    for user, heard in ((65534, "0"), (0, "1")):
        told = [*command, str(user)]
        done = subprocess.run(told, capture_output=True, text=True, timeout=120, check=True)
        assert done.stdout.strip() == heard, user


def test_whose_a_connection_is_stands_in_the_system_s_own_table() -> None:
    with socket.create_server((HOST, 0)) as listening:
        with socket.create_connection(listening.getsockname()) as asked:
            accepted, _ = listening.accept()
            with accepted:
                assert find_owner(accepted) == os.geteuid()
                assert is_ours(accepted)
        with socket.socket() as unconnected:
            assert not is_ours(unconnected)
    assert asked.fileno() < 0
