"""A server behind TLS and a token: who is trusted, and that the deadline holds there too."""

import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from neurosono.engine.backends.line import Line, NoAnswerError
from neurosono.engine.contracts.errors import EngineUnavailableError, InputError, ServerAwayError
from tests.engine.test_remote import MANIFEST, PICTURE, answer, asking
from tests.support.certificates import Authority, make_authority
from tests.support.inference import Peer


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("tls") / "clinic")


@pytest.fixture
def server(clinic: Authority) -> Iterator[Peer]:
    own = clinic.issue("server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.certfile, own.keyfile)
    with Peer.of(MANIFEST, answer, context) as peer:
        yield peer


def test_a_trusted_server_gets_pictures_and_the_token(
    server: Peer, clinic: Authority, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("secret\n")
    how = {"authority": str(clinic.path), "token_file": str(token), "answer_s": 30.0}
    with asking(server.url, **how) as backend:
        assert backend.infer(PICTURE).features[0, 0, 0] == pytest.approx(PICTURE.mean())
    assert [each["Authorization"] for each in server.heard] == ["Bearer secret"]


def test_nothing_is_said_to_a_server_for_which_nobody_vouches(
    server: Peer, clinic: Authority, tmp_path: Path
) -> None:
    stranger = make_authority(tmp_path / "stranger")
    by_name = server.url.replace("127.0.0.1", "localhost")  # its certificate is of the address
    for url, authority in ((server.url, None), (server.url, stranger), (by_name, clinic)):
        how = {} if authority is None else {"authority": str(authority.path)}
        with (
            pytest.raises(
                EngineUnavailableError, match=r"its certificate is not trusted.*--server-ca"
            ),
            asking(url, **how),
        ):
            pass
    assert server.heard == []
    empty = tmp_path / "empty.pem"
    empty.touch()
    with (
        pytest.raises(InputError, match="holds no certificates in PEM form"),
        asking(server.url, authority=str(empty)),
    ):
        pass


def test_an_answer_that_trickles_is_late_there_too(server: Peer, clinic: Authority) -> None:
    with asking(server.url, authority=str(clinic.path), answer_s=0.5) as backend:
        server.pause_s = 0.05
        begun_s = time.monotonic()
        with pytest.raises(ServerAwayError, match="nothing within 500 ms"):
            backend.infer(PICTURE)
        assert time.monotonic() - begun_s < 5, "its 700 bytes would take 35 s"


def test_a_server_that_never_shakes_hands_is_late(clinic: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        line = Line(f"https://127.0.0.1:{silent.getsockname()[1]}", None, str(clinic.path))
        begun_s = time.monotonic()
        with pytest.raises(NoAnswerError, match="nothing within 300 ms"):
            line.ask("GET", "/", 0.3)
        assert time.monotonic() - begun_s < 5
        line.close()
