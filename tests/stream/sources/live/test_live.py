"""Live sources over real sockets, with senders that are good, slow, silent, absent and broken."""

import contextlib
import http.server
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import av
import cv2
import numpy as np
import pytest

from neurosono.engine.contracts.errors import SourceBrokenError, SourceError
from neurosono.stream.pictures.picture import Picture
from neurosono.stream.simulate.scanner import EncodedPicture, Encoder, Muxer
from neurosono.stream.simulate.transmit import TcpTransmitter, UdpTransmitter
from neurosono.stream.sources.files.upright import FrameConverter
from neurosono.stream.sources.live.feed import FeedInfo, Shot, StreamFeed
from neurosono.stream.sources.live.links import parse_link
from neurosono.stream.sources.live.source import LiveOptions, LiveSource, open_live
from tests.support.clips import make_screen, write_clip
from tests.support.commands import wait_until
from tests.support.senders import (
    HOST,
    Screens,
    answering,
    free_tcp_port,
    free_udp_port,
    playing,
    record_stream,
)

PATIENCE_S = 4.5


class Heard:
    """Collects events."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, name: str, fields: dict[str, Any]) -> None:
        self.events.append((name, fields))

    def fields(self, name: str) -> list[dict[str, Any]]:
        return [fields for each, fields in self.events if each == name]


def take_until(
    live: LiveSource, condition: Callable[[list[Picture]], Any], timeout_s: float = PATIENCE_S
) -> list[Picture]:
    """Take pictures until `condition` holds of them; fails after `timeout_s`."""
    taken: list[Picture] = []
    deadline_s = time.monotonic() + timeout_s
    while not condition(taken):
        assert time.monotonic() < deadline_s, f"not so after {len(taken)} pictures"
        picture = live.take(0.05)
        if picture is not None:
            taken.append(picture)
    return taken


def open_quickly(argument: str, heard: Heard | None = None, **waits: float) -> LiveSource:
    waits = {"open_timeout_s": 1.0, "read_timeout_s": 0.3, **waits}
    return open_live(argument, options=LiveOptions(on_event=heard, **waits))


def assert_times_rise(pictures: list[Picture]) -> None:
    times = [picture.pts_s for picture in pictures]
    assert all(late > early for early, late in itertools.pairwise(times)), times


def test_udp_gives_pictures_as_they_come() -> None:
    heard, port = Heard(), free_udp_port()
    with open_quickly(f"udp://{HOST}:{port}", heard) as live:
        assert live.take(0.0) is None
        with playing(UdpTransmitter(HOST, port)):
            taken = take_until(live, lambda taken: len(taken) >= 30)
            now_ns = time.monotonic_ns()
        assert live.description == "UDP stream"
        assert live.nominal_rate_hz == 50
    assert_times_rise(taken)
    # 0, unless newer pictures won before it was taken
    assert taken[0].pts_s == pytest.approx(taken[0].index / 50, abs=0.25)
    assert {picture.clip for picture in taken} == {0}
    assert taken[0].pixels.shape == (240, 320)
    assert all(p.received_ns is not None and p.received_ns <= now_ns for p in taken)
    assert not any(picture.damaged for picture in taken)
    first = taken[0].pixels.astype(int)
    differences = [np.abs(first - make_screen(i)[..., 1]).mean() for i in range(25)]
    nearest, next_nearest, *_ = sorted(differences)
    assert nearest < 2 < 4 < next_nearest
    (connected,) = heard.fields("connected")
    assert (connected["codec"], connected["width_px"], connected["height_px"]) == ("h264", 320, 240)


def test_a_slow_taker_gets_the_newest_and_what_it_missed_is_counted() -> None:
    port = free_udp_port()
    with open_quickly(f"udp://{HOST}:{port}") as live:
        live.take(0.0)
        with playing(UdpTransmitter(HOST, port)):
            take_until(live, lambda taken: taken)
            taken, ages_ms = [], []
            for _ in range(6):
                # A taker that is busy: only after eight more came does it look again.
                before = live.counts.received
                wait_for_more(live, before + 8)
                picture = live.take(0.0)
                assert picture is not None
                assert picture.received_ns is not None
                ages_ms.append((time.monotonic_ns() - picture.received_ns) / 1e6)
                taken.append(picture)
        counts = live.counts
    assert counts.received == counts.taken + counts.overrun + counts.waiting
    assert counts.overrun >= 6 * 7
    steps = [b.index - a.index for a, b in itertools.pairwise(taken)]
    assert min(steps) >= 7
    assert np.median(ages_ms) < 50  # of 160 ms that passed between two looks


def wait_for_more(live: LiveSource, received: int) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while live.counts.received < received:
        assert time.monotonic() < deadline_s
        time.sleep(0.002)


def test_tcp_goes_on_after_the_sender_came_back() -> None:
    heard, port = Heard(), free_tcp_port()
    with open_quickly(f"tcp://{HOST}:{port}", heard) as live:
        with playing(TcpTransmitter(HOST, port)):
            first = take_until(live, lambda taken: len(taken) >= 5)
        take_until(live, lambda _: heard.fields("lost"))
        with playing(TcpTransmitter(HOST, port)):
            second = take_until(live, lambda taken: any(p.clip == 1 for p in taken))
        counts = live.counts
    assert_times_rise(first + second)
    assert counts.connections == 2
    lost = next(fields for fields in heard.fields("lost") if fields["was_open"])
    assert lost["reason"] == "the sender ended the stream"
    gap_s = second[-1].pts_s - first[-1].pts_s
    assert gap_s > 0.2  # the exam's time went on while there was no picture


def test_a_server_that_says_nothing_is_given_up_in_time() -> None:
    heard = Heard()
    with answering([b""]) as (port, seen), open_quickly(f"tcp://{HOST}:{port}", heard) as live:
        begun_s = time.monotonic()
        take_until(live, lambda _: heard.fields("timeout"))
        waited_s = time.monotonic() - begun_s
        take_until(live, lambda _: len(seen) >= 2)
        closing_s = time.monotonic()
        live.close()
        assert time.monotonic() - closing_s < 0.5
    assert 0.9 < waited_s < 3
    assert heard.fields("timeout")[0]["stage"] == "open"
    assert heard.fields("timeout")[0]["hangs"] is False


def test_an_rtsp_server_that_says_nothing_is_given_up_in_time() -> None:
    heard = Heard()
    before = threading.active_count()
    with (
        answering([b""]) as (port, seen),
        open_quickly(f"rtsp://user:secret@{HOST}:{port}/x", heard, open_timeout_s=0.4) as live,
    ):
        take_until(live, lambda _: len(seen) >= 2 and heard.fields("timeout"))
        assert heard.fields("timeout")[0]["stage"] == "open"
        assert live.description == "RTSP stream"
    assert "secret" not in str(heard.events)
    # FFmpeg's own wait for the silent server ends at its timeout, and its thread with it
    wait_until(lambda: threading.active_count() <= before)


def test_nobody_listening_is_told_and_tried_again_ever_more_rarely() -> None:
    heard = Heard()
    with open_quickly(f"tcp://{HOST}:{free_tcp_port()}", heard) as live:
        take_until(live, lambda _: len(heard.fields("reconnecting")) >= 3)
    assert heard.fields("lost")[0] == {
        "reason": "Connection refused",
        "was_open": False,
        "at_ns": heard.fields("lost")[0]["at_ns"],
    }
    assert [fields["delay_s"] for fields in heard.fields("reconnecting")] == [0.25, 0.5, 1.0]


def test_a_stream_that_stops_in_the_middle_is_given_up_and_reached_again() -> None:
    heard = Heard()
    stream = record_stream()
    with answering([stream]) as (port, _), open_quickly(f"tcp://{HOST}:{port}", heard) as live:
        taken = take_until(live, lambda taken: any(p.clip == 1 for p in taken))
    assert_times_rise(taken)
    told = heard.fields("timeout")[0]
    assert (told["stage"], told["hangs"]) == ("read", False)
    assert 0.27 <= told["after_s"] < 2
    assert heard.fields("lost")[0]["was_open"]


def test_what_is_no_video_is_told_in_words() -> None:
    heard = Heard()
    with (
        answering([b"this is not video " * 4000]) as (port, _),
        open_quickly(f"tcp://{HOST}:{port}", heard, open_timeout_s=0.3) as live,
    ):
        take_until(live, lambda _: heard.fields("lost"))
    assert not heard.fields("lost")[0]["was_open"]
    assert heard.fields("lost")[0]["reason"]


class HangingFeed:
    """A driver that never answers, whatever is asked of it, until the test is over."""

    def __init__(self, release: threading.Event) -> None:
        self._release = release
        self.progress_ns = 0

    def open(self) -> FeedInfo:
        self._release.wait()
        raise OSError("released")

    def shots(self) -> Iterator[Shot]:
        raise AssertionError

    def interrupt(self) -> None:
        pass

    def close(self) -> None:
        pass


def test_a_hang_inside_the_driver_is_left_alone_and_tried_again() -> None:
    heard, port, release = Heard(), free_udp_port(), threading.Event()
    link = parse_link(f"udp://{HOST}:{port}")
    options = LiveOptions(open_timeout_s=0.2, read_timeout_s=0.2, on_event=heard)
    feeds: list[Any] = []

    def connect(tally: Any) -> Any:
        from neurosono.stream.sources.live.feed import FeedOptions

        feeds.append(None)
        if len(feeds) == 1:
            return HangingFeed(release)
        return StreamFeed(link, FeedOptions(1.0, 1.0), tally)

    with (
        LiveSource(link, options, connect) as live,
        playing(UdpTransmitter(HOST, port)),
        contextlib.ExitStack() as at_end,
    ):
        at_end.callback(release.set)
        taken = take_until(live, lambda taken: len(taken) >= 3)
    assert_times_rise(taken)
    told = heard.fields("timeout")[0]
    assert (told["stage"], told["hangs"]) == ("open", True)
    assert 1.2 <= told["after_s"] < 3


def test_a_driver_that_always_hangs_ends_the_source_with_a_sentence() -> None:
    release = threading.Event()
    options = LiveOptions(open_timeout_s=0.01, read_timeout_s=0.01)
    link = parse_link("udp://127.0.0.1:5000")
    live = LiveSource(link, options, lambda _: HangingFeed(release))
    with contextlib.ExitStack() as at_end:
        at_end.callback(live.close)
        at_end.callback(release.set)
        with pytest.raises(SourceBrokenError, match="hang in its driver"):
            take_until(live, lambda _: False, timeout_s=6)


def test_an_ffmpeg_without_srt_says_so_at_once() -> None:
    try:
        av.open("srt://127.0.0.1:1", options={"connect_timeout": "10"}, timeout=1)
    except av.error.ProtocolNotFoundError:
        pass
    except OSError:
        pytest.skip("this FFmpeg was built with SRT")
    with pytest.raises(SourceError, match="built without SRT"):
        open_live("srt://127.0.0.1:1")


def test_a_host_that_decodes_too_slowly_skips_and_does_not_lag(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    convert, never = FrameConverter.convert, threading.Event()

    def convert_slowly(*arguments: Any) -> Any:
        never.wait(0.06)  # as a busy host would: three times as long as a picture lasts
        return convert(*arguments)

    monkeypatch.setattr(FrameConverter, "convert", convert_slowly)
    port, ages_ms = free_udp_port(), []
    with open_quickly(f"udp://{HOST}:{port}") as live:
        live.take(0.0)
        with playing(UdpTransmitter(HOST, port)):
            take_until(live, lambda taken: taken)
            while live.counts.taken < 30:
                (picture,) = take_until(live, lambda taken: taken)
                ages_ms.append((time.monotonic_ns() - picture.received_ns) / 1e6)
        assert live.counts.late > 20
    assert np.median(ages_ms[-10:]) < 250


def test_a_change_of_size_in_mid_stream_is_told() -> None:
    heard, port = Heard(), free_udp_port()
    # four seconds of the first size: a busy host takes a second or two to hear anything
    screens = [make_screen(i) for i in range(100)]
    screens += [make_screen(i, 0, 480, 360) for i in range(15)]
    with open_quickly(f"udp://{HOST}:{port}", heard) as live:
        live.take(0.0)
        with playing(UdpTransmitter(HOST, port), Screens(screens), loop=False):
            taken = take_until(live, lambda taken: taken and taken[-1].pixels.shape[0] == 360)
    assert_times_rise(taken)
    (change,) = heard.fields("size-change")
    assert (change["width_px"], change["height_px"]) == (480, 360)
    assert (taken[0].clip, taken[0].pixels.shape[:2]) == (0, (240, 320))
    assert taken[-1].clip == 1


def send_stamped(port: int, stamps_s: list[float]) -> None:
    """Send key pictures with these times, at once."""
    transmitter = UdpTransmitter(HOST, port)
    muxer, encoder = Muxer(transmitter, 50, states_lengths=True), Encoder(50)
    for stamp_s in stamps_s:
        data, is_key = encoder.encode(make_screen(0), as_key=True)
        muxer.send(EncodedPicture(stamp_s, data, is_key), stamp_s)
    muxer.close()
    transmitter.close()


@pytest.mark.parametrize(
    ("later_s", "name"), [(40.0, "clock-jump"), (22.0, "clock-jump"), (20.0, "stream-restart")]
)
def test_a_clock_that_leaves_its_course_is_told_and_times_still_rise(
    later_s: float, name: str
) -> None:
    heard, port = Heard(), free_udp_port()
    with open_quickly(f"udp://{HOST}:{port}", heard, read_timeout_s=2) as live:
        live.take(0.0)
        before = [20.0 + n / 10 for n in range(40)]
        after = [later_s + n / 50 for n in range(40)]
        send_stamped(port, before)
        taken = take_until(live, lambda taken: taken)
        send_stamped(port, after)
        taken += take_until(live, lambda more: more and heard.fields(name))
    assert_times_rise(taken)
    told = [each for each, _ in heard.events if each in ("clock-jump", "stream-restart")]
    assert told == [name]
    assert taken[-1].pts_s < 5


def test_a_sender_that_starts_anew_is_told() -> None:
    heard, port = Heard(), free_udp_port()
    with open_quickly(f"udp://{HOST}:{port}", heard, read_timeout_s=2) as live:
        live.take(0.0)
        with playing(UdpTransmitter(HOST, port)):
            taken = take_until(live, lambda taken: len(taken) >= 15)
        with playing(UdpTransmitter(HOST, port)):
            taken += take_until(live, lambda more: more and more[-1].clip == 1)
    assert_times_rise(taken)
    assert not heard.fields("lost")
    assert len(heard.fields("stream-restart")) == 1, "told no later than its first picture"


def test_lost_datagrams_mark_pictures_as_damaged_until_the_next_whole_one() -> None:
    heard, port = Heard(), free_udp_port()
    with open_quickly(f"udp://{HOST}:{port}", heard) as live:
        live.take(0.0)
        with playing(UdpTransmitter(HOST, port, drop_every=150)):
            taken = take_until(live, lambda _: heard.fields("recovered"))
        counts = live.counts
    assert counts.damaged >= sum(picture.damaged for picture in taken) > 0
    assert not all(picture.damaged for picture in taken)
    assert heard.fields("damage")


def test_a_recording_in_a_loop_is_a_scanner(tmp_path: Any) -> None:
    clip = write_clip(tmp_path / "DOE^JANE.mp4", pictures=6, rate_hz=50)
    heard = Heard()
    with open_quickly(f"loop:{clip}", heard) as live:
        taken = take_until(live, lambda taken: len(taken) >= 20)
        assert live.description == "loop of 1 clip (mp4)"
    assert_times_rise(taken)
    assert {picture.clip for picture in taken} == {0}
    assert not heard.fields("clock-jump")
    elapsed_s = (taken[-1].received_ns - taken[0].received_ns) / 1e9
    assert taken[-1].pts_s - taken[0].pts_s == pytest.approx(elapsed_s, abs=0.1)


class _Motion(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        picture = cv2.imencode(".jpg", make_screen(0))[1].tobytes()
        part = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(picture)
        with contextlib.suppress(OSError):
            for _ in range(200):
                self.wfile.write(part + picture + b"\r\n")
                time.sleep(0.01)  # a camera's pace

    def log_message(self, *_: Any) -> None:
        pass


def test_http_gives_pictures() -> None:
    with http.server.ThreadingHTTPServer((HOST, 0), _Motion) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        with open_quickly(f"http://{HOST}:{server.server_port}/video") as live:
            taken = take_until(live, lambda taken: len(taken) >= 5)
        server.shutdown()
        thread.join()
    assert_times_rise(taken)
    assert taken[0].pixels.shape == (240, 320)


SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 33\r\na=control:track\r\n"
)


def serve_rtsp(server: socket.socket, stream: bytes) -> None:
    """Answer one client as RFC 2326 has it, then send MPEG-TS in RTP (RFC 2250) inside it."""
    connected, _ = server.accept()
    with connected, connected.makefile("rb") as requests, contextlib.suppress(OSError):
        verb = b""
        while verb != b"PLAY":
            verb = requests.readline().split(b" ")[0]
            headers = dict(
                line.rstrip(b"\r\n").split(b": ", 1) for line in iter(requests.readline, b"\r\n")
            )
            body = SDP if verb == b"DESCRIBE" else ""
            extra = f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n" * bool(body)
            if verb == b"SETUP":
                assert b"interleaved" in headers[b"Transport"]
                extra = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
            sequence = headers[b"CSeq"].decode()
            answer = f"RTSP/1.0 200 OK\r\nCSeq: {sequence}\r\nSession: 1\r\n{extra}\r\n{body}"
            connected.sendall(answer.encode())
        for number, at in enumerate(range(0, len(stream), 1316)):
            packet = b"\x80\x21" + number.to_bytes(2, "big") + bytes(8) + stream[at : at + 1316]
            connected.sendall(b"$\0" + len(packet).to_bytes(2, "big") + packet)
        requests.read()


def test_rtsp_gives_pictures() -> None:
    stream = record_stream(50)
    with socket.create_server((HOST, 0)) as server:
        thread = threading.Thread(target=serve_rtsp, args=(server, stream))
        thread.start()
        port = server.getsockname()[1]
        with open_quickly(f"rtsp://{HOST}:{port}/x") as live:
            taken = take_until(live, lambda taken: taken)
        thread.join()
    assert taken[0].pixels.shape == (240, 320)


def test_nothing_runs_before_the_first_take_and_after_close() -> None:
    before = threading.active_count()
    live = open_quickly(f"udp://{HOST}:{free_udp_port()}")
    assert threading.active_count() == before
    live.take(0.0)
    assert threading.active_count() > before
    live.close()
    assert threading.active_count() == before
    assert live.take(0.0) is None
    assert list(live.pictures()) == []
