"""What names a live source, what names none, and that no address is repeated in a message."""

import pytest

from neurosono.engine.contracts.errors import InputError, SourceError
from neurosono.stream.simulate.scanner import Encoder
from neurosono.stream.sources.live.feed import begins_alone
from neurosono.stream.sources.live.source import LiveOptions, open_live
from tests.support.clips import make_screen


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("udp://127.0.0.1", "lacks its host or port"),
        ("udp://example:5000", "an address of this machine"),
        ("tcp://127.0.0.1:x", "is wrong"),
        ("tcp://127.0.0.1:5000/path", "a host and a port alone"),
        ("clip.mp4", "no live source"),
        ("gopher://x:1", "no live source"),
        ("/dev/video77", "neurosono sources"),
        ("/dev/shm", "no capture card"),
        ("loop:nothing.mp4", "there is no 'nothing.mp4'"),
    ],
)
def test_an_argument_that_can_never_work_is_refused_at_once(argument: str, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        open_live(argument)


def test_a_password_is_not_repeated() -> None:
    with pytest.raises(SourceError) as caught:
        open_live("rtsp://user:secret@:x/")
    assert "secret" not in str(caught.value)


def test_waits_are_checked() -> None:
    with pytest.raises(InputError, match="read_timeout_s"):
        LiveOptions(read_timeout_s=0)


def test_pictures_that_stand_alone_are_known_by_their_bytes() -> None:
    encoder = Encoder(25)
    packets = [encoder.encode(make_screen(i), as_key=i == 3) for i in range(5)]
    assert [begins_alone(data, "h264") for data, _ in packets] == [is_key for _, is_key in packets]
    assert [is_key for _, is_key in packets] == [True, False, False, True, False]
    assert not begins_alone(b"\0\0\1\x65", "mjpeg")
    assert not begins_alone(b"\0\0\1", "h264")
