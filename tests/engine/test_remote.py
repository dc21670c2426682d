"""An engine on a server: what it says, and an answer that is late, cut, or of another model."""

import copy
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurosono.engine.backends import Inference
from neurosono.engine.backends.line import MOST_WORDS, Line, NoAnswerError
from neurosono.engine.backends.remote import RemoteBackend, name_model
from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.calibration import Calibration
from neurosono.engine.contracts.errors import (
    BundleError,
    EngineUnavailableError,
    InputError,
    ServerAwayError,
)
from neurosono.engine.contracts.manifest import Manifest, Member
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.engine.contracts.server import Server
from neurosono.stream.journal.words import PLAIN_WORD
from tests.support.commands import wait_until
from tests.support.inference import Peer, Spoil

SPEC = PreprocessingSpec(size_px=32, resize_px=32)
MANIFEST = Manifest("m", ("a", "b", "c"), SPEC, (Member("0", 1.0), Member("1", 1.0)))
BUNDLE = Bundle(Path("nowhere"), MANIFEST, Calibration())
DIGEST, SIZE_PX = MANIFEST.digest, SPEC.size_px
SHAPES = {"probabilities": (1, 2, 3), "cams": (1, 2, 3, 4, 4), "features": (1, 2, 8)}
PICTURE = np.arange(SIZE_PX * SIZE_PX, dtype=np.uint8).reshape(1, SIZE_PX, SIZE_PX)


def answer(grey: Any) -> Inference:
    """Return arrays that hold the mean grey, and equal probabilities."""
    values = (1 / 3, grey.mean(), grey.mean())
    filled = (np.full(*each, np.float32) for each in zip(SHAPES.values(), values, strict=True))
    return Inference(*filled)


@pytest.fixture
def server() -> Iterator[Peer]:
    with Peer.of(MANIFEST, answer) as peer:
        yield peer


@contextmanager
def asking(url: str, **how: Any) -> Iterator[RemoteBackend]:
    backend = RemoteBackend(BUNDLE, Server(url, **how))
    try:
        yield backend
    finally:
        backend.close()


def test_pictures_travel_whole_over_one_connection(server: Peer) -> None:
    with asking(server.url, answer_s=30.0) as backend:
        assert (backend.name, backend.precision, backend.members) == ("remote", "int8", 2)
        found = backend.infer(np.concatenate([PICTURE, PICTURE // 2]))
    assert found.probabilities.shape == (2, 2, 3)
    assert found.cams.shape == (2, 2, 3, 4, 4)
    expected = [PICTURE.mean(), (PICTURE // 2).mean()]
    np.testing.assert_allclose(found.features[:, 0, 0], expected, rtol=1e-6)


def test_a_token_goes_along(server: Peer, tmp_path: Path) -> None:
    file = tmp_path / "token"
    with (
        pytest.raises(InputError, match="cannot be read"),
        asking(server.url, token_file=str(file)),
    ):
        pass
    file.write_text("two words")
    with pytest.raises(InputError, match="no token"), asking(server.url, token_file=str(file)):
        pass
    file.write_text("secret\n")
    with pytest.raises(InputError, match="in the clear"):
        RemoteBackend(BUNDLE, Server("http://192.0.2.1:8000", token_file=str(file)))
    with asking(server.url, token_file=str(file)):
        assert server.heard[-1]["Authorization"] == "Bearer secret"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m["parameters"]["digest"].update(string_value="cd" * 32), "another bundle"),
        (lambda m: m.pop("parameters"), "without a digest"),
        (lambda m: m["outputs"][0].update(shape=[-1, 2, 4]), "3 classes"),
        (lambda m: m["inputs"][0].update(shape=[-1, 1, 64, 64]), "32 px"),
        (lambda m: m["outputs"].pop(1), "3 classes"),
        (lambda m: m["outputs"][0].update(shape=[-1, 9, 3]), "at most 2 members"),
    ],
)
def test_another_model_is_refused(
    server: Peer, change: Callable[[dict[str, Any]], Any], words: str
) -> None:
    change(server.model)
    with pytest.raises(BundleError, match=words), asking(server.url):
        pass


def test_a_server_that_lacks_the_model_or_is_none_is_said(server: Peer) -> None:
    other = replace(BUNDLE, manifest=replace(MANIFEST, name="other"))
    with pytest.raises(EngineUnavailableError, match="HTTP 404"):
        RemoteBackend(other, Server(server.url))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(EngineUnavailableError, match="refused"):
        RemoteBackend(BUNDLE, Server(f"http://127.0.0.1:{port}"))
    whole = server.model
    for broken in (
        {"shape": [-1, 2, float("inf")]}, {"shape": 3}, {"shape": [-1, "many", 3]}, {"name": []}
    ):  # fmt: skip
        server.model = copy.deepcopy(whole)
        server.model["outputs"][0] |= broken
        with pytest.raises(EngineUnavailableError, match="description of the model is not whole"):
            RemoteBackend(BUNDLE, Server(server.url))
    server.model = ["no object"]
    with pytest.raises(EngineUnavailableError, match="no JSON object"):
        RemoteBackend(BUNDLE, Server(server.url))


@pytest.mark.parametrize(
    "url", ["ftp://host", "http://", "host:8000", "http://host/path", "http://h:x", "http://[::1"]
)
def test_a_server_is_named_by_a_url(url: str) -> None:
    with pytest.raises(InputError, match="--server takes"):
        RemoteBackend(BUNDLE, Server(url))


def test_an_answer_that_trickles_is_late_all_the_same(server: Peer) -> None:
    with asking(server.url, answer_s=0.3) as backend:
        server.pause_s = 0.05
        begun_s = time.monotonic()
        with pytest.raises(ServerAwayError, match="nothing within 300 ms"):
            backend.infer(PICTURE)
        assert time.monotonic() - begun_s < 5, "its 700 bytes would take 35 s"
        server.pause_s = 0.0
    with asking(server.url, answer_s=30.0) as backend:
        assert backend.infer(PICTURE).probabilities.shape == (1, 2, 3)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda words, raw: (str(len(words)), words + raw[:-4]),
        lambda words, raw: (str(len(words)), words),
        lambda words, raw: ("x", words + raw),
        lambda words, raw: ("", words + raw),
        lambda words, raw: (str(len(words) + 3), words + raw),
        lambda words, raw: (str(len(words)), words.replace(b"FP32", b"FP16") + raw),
        lambda words, raw: (str(len(words)), words.replace(b"cams", b"maps") + raw),
        lambda words, raw: ("2", b"[]" + raw),
        lambda words, raw: (str(len(words)), words.replace(b"[1, 2, 3]", b"[9, 9, 9]") + raw),
        lambda words, raw: _join(words.replace(b"[1, 2, 8]", b"[1, 8, 2]"), raw),
        lambda words, raw: _join(words.replace(b": 24}", b": 1e999}"), raw),
        lambda words, raw: _join(b"[" * 100_000, raw),
        lambda words, raw: _join(words, b"\0\0\xc0\x7f" + raw[4:]),
        lambda words, raw: _join(words, raw[:-4] + b"\0\0\xc0\x7f"),
        lambda words, raw: _join(words, b"\0\0\x80\x3f" + raw[4:]),
    ],
)
def test_an_answer_that_is_not_whole_is_none(server: Peer, spoil: Spoil) -> None:
    with asking(server.url, answer_s=30.0) as backend:
        server.spoil = spoil
        with pytest.raises(ServerAwayError):
            backend.infer(PICTURE)
        server.spoil = None
        assert backend.infer(PICTURE).probabilities.shape == (1, 2, 3), "and the next one is"


def test_a_server_that_ends_and_comes_back_is_asked_again(server: Peer) -> None:
    with asking(server.url, answer_s=30.0) as backend:
        backend.infer(PICTURE)
        server.spoil = lambda words, raw: _break()
        with pytest.raises(ServerAwayError):
            backend.infer(PICTURE)
        server.spoil = None
        backend.infer(PICTURE)
    assert server.answers == 2


def test_a_connection_that_a_proxy_ended_costs_no_picture_and_is_asked_who_it_is(
    server: Peer,
) -> None:
    with asking(server.url, answer_s=30.0) as backend:
        server.tires = True
        for _ in range(2):
            backend.infer(PICTURE)
            wait_until(lambda: not backend._line.is_open)
        assert (server.answers, len(server.heard)) == (2, 2), "asked once more, at its beginning"
        server.model["parameters"]["digest"]["string_value"] = "cd" * 32
        with pytest.raises(ServerAwayError, match="another bundle"):
            backend.infer(PICTURE)


def _break() -> tuple[str, bytes]:
    raise ConnectionAbortedError


def _join(words: bytes, raw: bytes) -> tuple[str, bytes]:
    return str(len(words)), words + raw


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "said",
    [
        b"\x1b]0;owned\x07" * 99 + b"\r\n", HEAD.replace(b"200 OK", b"500 \x1b[31m") + b"\r\n",
        b"", b"\0" * 99, b"HTTP/1.1 oh no\r\n\r\n", HEAD * 200, HEAD + b"a" * 70_000,
        HEAD + b"Content-Length: -1\r\n\r\n", HEAD + b"Content-Length: 99\r\n\r\n{}",
        *(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + size for size in (b"-5\r\n{}", b"x\r\n")),
        HEAD + b"Content-Length: 100000\r\n\r\n" + b"[" * 100_000, HEAD + b"\r\n\xff\xfe",
    ],
)  # fmt: skip
def test_what_is_no_http_is_no_answer(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def speak() -> None:
            with listener.accept()[0] as one:
                one.recv(65536)
                one.sendall(said)

        thread = threading.Thread(target=speak)
        thread.start()
        line = Line(f"http://127.0.0.1:{listener.getsockname()[1]}", None, None)
        with pytest.raises(NoAnswerError) as told:
            line.ask_json("/v2", 30.0)
        assert str(told.value).isprintable()
        assert len(str(told.value)) <= MOST_WORDS
        line.close()
        thread.join()


def test_a_model_is_named_by_its_bundle() -> None:
    assert name_model("neurosono demo/ü", DIGEST) == f"neurosono-demo---{DIGEST[:16]}"


def test_a_server_that_is_away_when_an_exam_goes_on_is_waited_for(server: Peer) -> None:
    whole = copy.deepcopy(server.model)
    server.model["parameters"]["digest"]["string_value"] = "cd" * 32
    server.model, model = None, server.model
    with asking(server.url, waits=True, answer_s=30.0) as backend:
        assert PLAIN_WORD.fullmatch(backend.precision), "the record takes no other words"
        with pytest.raises(ServerAwayError):
            backend.infer(PICTURE)
        server.model = model
        with pytest.raises(ServerAwayError, match="another bundle"):
            backend.infer(PICTURE)
        server.model = whole
        assert backend.infer(PICTURE).probabilities.shape == (1, 2, 3)
        assert (backend.precision, backend.members) == ("int8", 2)
    server.model["parameters"]["precision"]["string_value"] = "a name, a date"
    with asking(server.url) as backend:
        assert PLAIN_WORD.fullmatch(backend.precision)
