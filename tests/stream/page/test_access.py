import os
import socket
import ssl
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from neurosono.engine.contracts.errors import InputError
from neurosono.stream.page.access import Access, parse_allowed, split_host
from neurosono.stream.page.hub import Hub
from neurosono.stream.page.protocol import MessageKind
from neurosono.stream.page.web import WebServer
from tests.browser.publisher import make_status
from tests.stream.page.serving import BEARER, TOKEN, ask, get, port_of, receive, serving, watch


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://127.0.0.1:1", "null", None, "http://localhost.evil"]
)
def test_a_foreign_page_cannot_open_the_socket(origin):
    with serving() as (hub, server):
        with pytest.raises(InvalidStatus) as refused:
            watch(server, origin=origin).__enter__()
        assert refused.value.response.status_code == 403
        assert hub.viewers() == 0


@pytest.mark.parametrize("host", ["rebound.example", "rebound.example:{port}", "127.0.0.1:1", ""])
def test_a_foreign_name_for_this_machine_is_refused(host):
    with serving() as (_, server):
        named = host.format(port=port_of(server))
        for path in ("/", "/healthz", "/metrics", "/page/app.js"):
            assert get(server, path, headers={"host": named}).status_code == 421
        told = BEARER | {"Host": named}
        with pytest.raises(InvalidStatus):
            watch(server, additional_headers=told, origin=f"http://{named}").__enter__()


def test_localhost_is_another_name_of_loopback():
    with serving() as (_, server):
        named = f"localhost:{port_of(server)}"
        assert get(server, "/", headers={"host": named}).status_code == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_token_is_made_and_asked_for_on_loopback_too(host):
    with serving(host=host, token=None) as (hub, server):
        token = urlsplit(server.url).query.removeprefix("token=")
        assert len(token) >= 32
        for path in ("/", "/page/app.js", "/metrics", f"/?token={token[:-1]}!", "/?token=%C3%A9"):
            assert ask(server, path).status_code == 403, path
        assert ask(server, "/healthz").status_code == 503  # says only that nothing was said
        bearer = {"authorization": f"Bearer {token}"}
        assert ask(server, "/metrics", headers=bearer).status_code == 200
        for headers in ({}, {"cookie": f"neurosono={token}"}, {"cookie": '"[=;;=x'}):
            with pytest.raises(InvalidStatus):
                watch(server, additional_headers=headers).__enter__()
        for query in ("?token=", "?token=wrong"):
            with pytest.raises(InvalidStatus):
                watch(server, query).__enter__()
        with watch(server, f"?token={token}") as client:
            hub.publish_status(make_status(1))
            assert receive(client, MessageKind.STATUS)[0]["about"]["ai"] == "AI ON"


def test_the_token_becomes_a_cookie_and_the_url_is_clean():
    with serving() as (_, server), httpx.Client(trust_env=False) as browser:
        page = browser.get(server.url, follow_redirects=True)
        assert (page.status_code, page.url.query) == (200, b"")
        (cookie,) = browser.cookies.jar
        assert cookie.value == TOKEN
        assert (cookie.path, cookie.expires) == ("/", None)
        assert cookie.has_nonstandard_attr("HttpOnly")
        assert browser.get(f"http://127.0.0.1:{port_of(server)}/page/app.js").status_code == 200
        carried = {"cookie": f"other=1; {cookie.name}={cookie.value}"}
        with watch(server, additional_headers=carried):
            pass
        with serving(token="another") as (_, second):  # same host, another port: the same jar
            assert ask(second, "/", headers=carried).status_code == 403
            assert cookie.name not in ask(second, "/?token=another").headers["set-cookie"]


def test_without_a_token_only_where_that_is_asked_for():
    with serving(token=None, no_token=True) as (_, server):
        assert urlsplit(server.url).query == ""
        assert ask(server, "/").status_code == 200
        with watch(server, additional_headers={}):
            pass


def test_tls_files_that_cannot_be_used_are_said_in_a_sentence(tmp_path):
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no certificate")
    with pytest.raises(InputError, match="give both"):
        WebServer(Hub(), certfile=wrong)
    with pytest.raises(InputError, match="PEM"):
        WebServer(Hub(), certfile=wrong, keyfile=wrong)


def test_page_and_socket_travel_under_tls(tmp_path):
    certificate, key = make_certificate(tmp_path)
    trust = ssl.create_default_context(cafile=certificate)
    with serving(certfile=certificate, keyfile=key) as (hub, server):
        port = port_of(server)
        assert server.url == f"https://127.0.0.1:{port}/?token={TOKEN}"
        page = httpx.get(server.url, verify=trust, trust_env=False)
        assert "; Secure" in page.headers["set-cookie"]
        with watch(server, ssl=trust) as client:
            hub.publish_status(make_status(0))
            assert receive(client, MessageKind.STATUS)[0]["about"]["ai"] == "AI ON"


def make_certificate(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", os.fspath(key), "-out", os.fspath(certificate)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no openssl here to make a certificate with")
    return certificate, key


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("[::1]:8443", ("::1", 8443)),
        ("[::1]", ("::1", None)),
        ("LocalHost", ("localhost", None)),
        ("", ("", None)),
        ("a:b", ("a", None)),
    ],
)
def test_a_host_header_is_taken_apart(header, expected):
    assert split_host(header) == expected


def test_off_this_machine_an_address_or_its_own_name_is_accepted_but_no_other_name():
    access = Access("0.0.0.0", 8443, "https", TOKEN)
    assert access.admits_host({"host": "192.0.2.7:8443"})
    assert access.admits_host({"host": f"{socket.gethostname().upper()}:8443"})
    assert not access.admits_host({"host": "rebound.example:8443"})
    assert not access.admits_host({"host": "192.0.2.7:8444"})


def test_behind_a_forward_it_answers_to_the_names_that_were_allowed():
    with serving(allowed=(("localhost", 9000), ("scan.example", None))) as (_, server):
        for host, status in (
            ("localhost:9000", 200),
            ("localhost:9001", 421),
            ("scan.example", 200),
            ("scan.example:8443", 200),
            ("other.example", 421),
        ):
            assert get(server, "/", headers={"host": host}).status_code == status
        assert ask(server, "/", headers={"host": "scan.example"}).status_code == 403


def test_through_a_forward_the_page_is_still_our_own():
    with serving(allowed=(("localhost", 9000),)) as (_, server):

        def knock(origin):
            ours = socket.create_connection(("127.0.0.1", port_of(server)))
            address, told = "ws://localhost:9000/ws", BEARER
            return connect(address, sock=ours, origin=origin, proxy=None, additional_headers=told)

        with knock("http://localhost:9000"):
            pass
        with pytest.raises(InvalidStatus):
            knock("http://evil.example")


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("localhost:9000", ("localhost", 9000)),
        ("Scan.Example", ("scan.example", None)),
        ("[::1]:80", ("::1", 80)),
    ],
)
def test_a_name_to_allow(value, read):
    assert parse_allowed(value) == read


@pytest.mark.parametrize("value", ["", "a:b", "http://a", "a:0", "a:70000", "a/b", "::1", "a b"])
def test_a_name_that_cannot_be_allowed(value):
    with pytest.raises(InputError, match="--allow-host"):
        parse_allowed(value)
