"""The stand-in scanner: what it sends is a stream that others can read, in real time."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import av
import numpy as np
import pytest

from neurosono.engine.contracts.errors import InputError, OutputError
from neurosono.stream.simulate.scanner import Encoder, Scanner, SimulateOptions
from neurosono.stream.simulate.transmit import (
    DATAGRAM_BYTES,
    TcpTransmitter,
    UdpTransmitter,
    parse_address,
)
from tests.support.clips import make_screen
from tests.support.commands import wait_until
from tests.support.senders import HOST, Screens, make_screens, playing

PROGRAM = (
    "import sys, typer; from neurosono.engine.contracts.errors import NeurosonoError\n"
    "from neurosono.scripts.{verb} import {verb}\n"
    "try: typer.run({verb})\n"
    "except NeurosonoError as error: print(error, file=sys.stderr); sys.exit(error.exit_code)\n"
)


def run_verb(verb: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one verb alone, as the command line runs it."""
    command = [sys.executable, "-c", PROGRAM.format(verb=verb), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)


def decode(data: bytes) -> list[Any]:
    import io

    with av.open(io.BytesIO(data), format="mpegts") as container:
        return list(container.decode(video=0))


def collect(play: Callable[[UdpTransmitter], None]) -> list[bytes]:
    """Return the datagrams that are sent while `play` runs."""
    datagrams: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind((HOST, 0))
        listener.settimeout(0.3)
        transmitter = UdpTransmitter(HOST, listener.getsockname()[1])
        thread = threading.Thread(target=play, args=(transmitter,))
        thread.start()
        while True:
            try:
                datagrams.append(listener.recv(65536))
            except TimeoutError:
                if not thread.is_alive():
                    break
        thread.join()
        transmitter.close()
    return datagrams


def play_once(
    source: Screens, **options: Any
) -> tuple[list[bytes], Scanner, list[tuple[int, int]]]:
    scanners: list[Scanner] = []
    sent: list[tuple[int, int]] = []

    def play(transmitter: UdpTransmitter) -> None:
        scanners.append(
            Scanner(
                source,
                transmitter,
                SimulateOptions(**options),
                stop=threading.Event(),
                on_sent=lambda *each: sent.append(each),
            )
        )
        scanners[0].play()

    return collect(play), scanners[0], sent


def test_what_is_sent_over_udp_is_the_source_in_real_time() -> None:
    begun_s = time.monotonic()
    datagrams, scanner, sent = play_once(make_screens(25))
    took_s = time.monotonic() - begun_s
    frames = decode(b"".join(datagrams))
    assert len(frames) == scanner.sent.pictures == len(sent) == 25
    assert took_s > 24 / 50
    assert all(len(datagram) % 188 == 0 for datagram in datagrams)
    assert max(map(len, datagrams)) == DATAGRAM_BYTES
    shown = frames[10].to_ndarray(format="bgr24").astype(int)
    differences = [np.abs(shown - make_screen(index)).mean() for index in range(25)]
    assert int(np.argmin(differences)) == 10
    # Pictures are stamped with when they were captured.
    stamps_s = np.diff([frame.time for frame in frames])
    captured_s = np.diff([captured_ns for _, captured_ns in sent]) / 1e9
    assert np.allclose(stamps_s, captured_s, atol=1e-4)


def test_a_loop_is_sent_again_without_being_made_again() -> None:
    class Counting(Screens):
        rounds = 0

        def pictures(self) -> Any:
            self.rounds += 1
            return super().pictures()

    source = Counting([make_screen(index) for index in range(5)])
    datagrams, scanner, _ = play_once(source, loop=True, seconds=0.4)
    frames = decode(b"".join(datagrams))
    assert len(frames) == scanner.sent.pictures >= 12
    assert scanner.sent.rounds >= 2
    assert source.rounds == 1
    times = [frame.time for frame in frames]
    assert times == sorted(set(times))


def test_sizes_may_change_and_may_be_odd() -> None:
    screens = [make_screen(i) for i in range(3)] + [make_screen(i, 0, 401, 301) for i in range(3)]
    datagrams, _, _ = play_once(Screens(screens))
    sizes = [(frame.width, frame.height) for frame in decode(b"".join(datagrams))]
    assert sizes == [(320, 240)] * 3 + [(402, 302)] * 3


def test_datagrams_are_left_out_on_request() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind((HOST, 0))
        transmitter = UdpTransmitter(HOST, listener.getsockname()[1], drop_every=3)
        for number in range(9):
            transmitter.write(bytes([number]))
        transmitter.close()
        assert [listener.recv(10)[0] for _ in range(6)] == [0, 1, 3, 4, 6, 7]
    assert (transmitter.sent, transmitter.dropped) == (9, 3)


def test_jitter_delays_but_does_not_disorder() -> None:
    datagrams, scanner, _ = play_once(make_screens(10), jitter_ms=15.0)
    times = [frame.time for frame in decode(b"".join(datagrams))]
    assert times == sorted(times)
    assert scanner.sent.pictures == 10


def test_an_encoder_begins_with_a_key_picture_and_gives_one_a_second() -> None:
    encoder = Encoder(10)
    keys = [encoder.encode(make_screen(i), as_key=False)[1] for i in range(21)]
    assert [index for index, is_key in enumerate(keys) if is_key] == [0, 10, 20]


def test_whoever_connects_by_tcp_begins_with_a_key_picture() -> None:
    transmitter = TcpTransmitter(HOST, 0)
    address = (HOST, transmitter.port)
    with playing(transmitter) as scanner:
        wait_until(lambda: scanner.sent.pictures > 3, 4)
        for _ in range(2):
            with socket.create_connection(address, timeout=4) as receiver:
                data = b""
                while len(data) < 120_000:
                    data += receiver.recv(65536)
            frames = decode(data[: len(data) // 188 * 188])
            assert frames[0].key_frame
        wait_until(lambda: transmitter.connections == 2, 4)
    assert transmitter.dropped > 0  # while nobody was there


def test_an_address_in_use_is_told() -> None:
    with socket.create_server((HOST, 0)) as taken, pytest.raises(OutputError, match="--tcp"):
        TcpTransmitter(HOST, taken.getsockname()[1])


@pytest.mark.parametrize("text", ["5000", "127.0.0.1:", ":5000", "127.0.0.1:0", "a:70000", "a:b"])
def test_an_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="HOST:PORT"):
        parse_address(text, "--udp")


def test_addresses_are_read() -> None:
    assert parse_address("127.0.0.1:5000", "--udp") == ("127.0.0.1", 5000)
    assert parse_address("[::1]:5000", "--udp") == ("::1", 5000)


@pytest.mark.parametrize("options", [{"seconds": 0}, {"jitter_ms": -1}, {"seconds": float("nan")}])
def test_options_that_cannot_be_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(InputError):
        SimulateOptions(**options)  # type: ignore[arg-type]


def test_the_command_sends_a_phantom_and_ends_cleanly_on_ctrl_c() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind((HOST, 0))
        listener.settimeout(30)
        where = f"{HOST}:{listener.getsockname()[1]}"
        arguments = ["phantom:normal?seconds=1&width=320&height=240", "--udp", where, "--loop"]
        command = [sys.executable, "-c", PROGRAM.format(verb="simulate"), *arguments]
        with subprocess.Popen([*command, "--json", "-"], stdout=-1, stderr=-1, text=True) as child:
            assert listener.recv(65536)[0] == 0x47
            child.send_signal(signal.SIGINT)
            out, err = child.communicate(timeout=120)
    assert child.returncode == 0, err
    assert json.loads(out)["pictures"] > 0
    assert "Traceback" not in err
    assert f"neurosono live udp://{where}" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["phantom:normal"], "--udp HOST:PORT or --tcp"),
        (["phantom:normal", "--udp", "nowhere"], "--udp cannot be 'nowhere'"),
        (["nothing.mp4", "--udp", "127.0.0.1:9"], "there is no 'nothing.mp4'"),
        (
            ["phantom:normal", "--tcp", f"{HOST}:1", "--drop-every", "3"],
            "for --udp",
        ),
    ],
)
def test_the_command_refuses_in_one_sentence(arguments: list[str], words: str) -> None:
    ended = run_verb("simulate", *arguments)
    assert ended.returncode == 2
    assert words in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


def test_sources_are_listed_even_where_there_is_no_card() -> None:
    ended = run_verb("sources", "--json", "-")
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert isinstance(found["cards"], list)
    assert {"UDP stream", "RTSP stream", "capture card", "loop"} <= {
        kind["kind"] for kind in found["kinds"]
    }
    assert "neurosono live udp://" in ended.stderr
