"""A live session whose engine is on a server that hangs, breaks, and comes back."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from neurosono.engine.bundle import Bundle
from neurosono.engine.choice import open_engine
from neurosono.engine.contracts.errors import EngineUnavailableError
from neurosono.engine.contracts.server import Server
from neurosono.engine.triton.repository import Serving
from neurosono.stream.bench.served import Served, find_triton
from neurosono.stream.live.options import SessionOptions
from neurosono.stream.live.session import SERVER_AWAY
from neurosono.stream.processes import watch
from tests.reliability.test_fallback import list_engines
from tests.reliability.test_live import SOURCE, Session, assert_nothing_stale
from tests.support.commands import run, wait_until
from tests.support.inference import Peer


class RemoteSession(Session):
    """A live session that asks a server."""

    server: Server

    def _run(self, options: SessionOptions) -> None:
        super()._run(replace(options, engine="remote", server=self.server))


Begin = Callable[..., RemoteSession]


@pytest.fixture
def peer(bundle_root: Path) -> Iterator[Peer]:
    """Serve the small bundle by its own engine, in this process."""
    bundle = Bundle.load(bundle_root)
    with Peer.of(bundle.manifest, open_engine(bundle, threads=1).backend.infer) as peer:
        yield peer


@pytest.fixture
def begin(bundle_root: Path, tmp_path: Path, peer: Peer) -> Iterator[Begin]:
    begun: list[RemoteSession] = []

    def start(**how: bool) -> RemoteSession:
        kind = type("S", (RemoteSession,), {"server": Server(peer.url, **how)})
        begun.append(kind(bundle_root, tmp_path, SOURCE))
        begun[0].wait_for_evidence()
        return begun[0]

    yield start
    for session in begun:
        if session.thread.is_alive():
            session.finish()
        session.clips.close()
        session.journal.close()


@pytest.mark.parametrize("trouble", ["hangs", "breaks"])
def test_a_server_in_trouble_is_ai_off_and_the_exam_goes_on_when_it_is_back(
    begin: Begin, peer: Peer, trouble: str
) -> None:
    session = begin()
    used, moment = session.screen.last["frames"]["used"], time.monotonic()
    setattr(peer, trouble, True)
    wait_until(lambda: session.screen.since(moment, "AI OFF") is not None)
    # as of a stuck engine: a picture may have been sent just before, and its 500 ms begin there
    assert (session.screen.since(moment, "AI OFF") or 9) < 0.8
    off = session.screen.last["frames"]["skipped"].get("engine-off", 0)
    wait_until(lambda: session.screen.last["frames"]["skipped"].get("engine-off", 0) > off + 2)
    setattr(peer, trouble, False)
    session.wait_for_evidence()
    assert session.screen.last["frames"]["used"] > used
    assert_nothing_stale(session.screen, moment)
    ended = session.finish()
    with session.journal.read() as reader:
        events = [e for e in reader.events(session.record.exam_id) if e.name == "restarted"]
    assert [e.fields for e in events if e.fields["role"] == "engine"] == [], "it lives on"
    counts = ended.counts
    assert ended.engine["backend"] == "remote"
    assert counts["sampled"] == counts["used"] + sum(counts["skipped"].values())


def test_a_fallback_takes_over_where_it_was_asked_for_and_gives_way_to_the_server(
    begin: Begin, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "FIRST_REST_S", 0.1)
    session = begin(fallback=True)
    wait_until(lambda: len(list_engines()) == 2)
    spare = max(list_engines(), key=lambda each: each.create_time())
    used, moment = session.screen.last["frames"]["used"], time.monotonic()
    peer.breaks = True
    wait_until(lambda: "openvino" in (session.screen.last.get("engine") or ""))
    session.wait_for_evidence()
    assert spare in list_engines(), "it is what took over"
    assert "for the server that is away" in session.screen.last["engine"]
    reasons = {status["ai_reason"] for _, status in session.screen.said if status["ai"] == "AI OFF"}
    assert SERVER_AWAY in reasons
    peer.breaks = False
    wait_until(lambda: session.screen.last["engine"].startswith("remote"))
    session.wait_for_evidence()
    assert session.screen.last["frames"]["used"] > used
    assert_nothing_stale(session.screen, moment)
    ended = session.finish()
    assert ended.engine["backend"] == "remote"
    assert "is back" in ended.engine["reason"]
    with session.journal.read() as reader:
        events = list(reader.events(session.record.exam_id))
    told = [each.fields.get("backend") for each in events if each.name == "ready"]
    assert (told[0], told[-1]) == ("remote", "remote")
    restarts = sum(each.name == "restarted" for each in events)
    assert restarts == told.count("openvino") > 0, "the way back needs none"
    assert "failed" in {each.name for each in events}
    counts = ended.counts
    assert counts["sampled"] == counts["used"] + sum(counts["skipped"].values())


def test_a_session_outlives_the_real_servers_death_and_goes_back_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        place = find_triton(None)
    except EngineUnavailableError as error:
        pytest.skip(str(error))
    monkeypatch.setattr(watch, "FIRST_REST_S", 0.1)
    bundle = Bundle.load("demo")
    with contextlib.ExitStack() as stack:
        served = stack.enter_context(Served(place, bundle, Serving(threads=1)))
        served.start()
        kind = type("S", (RemoteSession,), {"server": Server(served.url, fallback=True)})
        session = kind(bundle.root, tmp_path, SOURCE)
        for end in (session.journal.close, session.clips.close, session.thread.join):
            stack.callback(end)
        stack.callback(session.stop.set)
        session.wait_for_evidence()
        moment = time.monotonic()
        served.kill()  # all its processes, by SIGKILL
        wait_until(lambda: session.screen.last["engine"].endswith("for the server that is away"))
        session.wait_for_evidence()
        served.start()
        wait_until(lambda: session.screen.last["engine"].startswith("remote"))
        session.wait_for_evidence()
        ended = session.finish()
    assert_nothing_stale(session.screen, moment)
    assert ended.engine["backend"] == "remote"
    counts = ended.counts
    assert counts["sampled"] == counts["used"] + sum(counts["skipped"].values())


def test_a_replay_gives_the_same_answer_from_afar(
    bundle_root: Path, peer: Peer, tmp_path: Path
) -> None:
    source = "phantom:normal?seed=3&seconds=1&width=320&height=240"
    common = (source, "--bundle", bundle_root, "--no-video", "--out")
    far = run("replay", *common, tmp_path / "far", "--engine", "remote", "--server", peer.url)
    near = run("replay", *common, tmp_path / "near", "--threads", "1")
    assert (far.returncode, near.returncode) == (0, 0), far.stderr + near.stderr
    one, other = ((tmp_path / n / "frames.jsonl").read_text() for n in ("far", "near"))
    assert _without_times(one) == _without_times(other)
    peer.breaks = True
    lost = run("replay", *common, tmp_path / "lost", "--engine", "remote", "--server", peer.url)
    assert (lost.returncode, "the server at" in lost.stderr) == (2, True)


def _without_times(lines: str) -> list[str]:
    return [line.split('"ms"')[0] for line in lines.splitlines()]


def test_a_server_that_will_not_do_is_said_before_an_exam_begins(
    bundle_root: Path, peer: Peer
) -> None:
    server = ("--engine", "remote", "--server", peer.url)
    whole = peer.model["parameters"]["digest"]["string_value"]
    for model, said in (("cd" * 32, "the server holds another bundle"), (whole, "HTTP 404")):
        peer.model["parameters"]["digest"]["string_value"] = model
        done = run("live", SOURCE, "--bundle", bundle_root, *server, "--seconds", "100")
        assert done.returncode == 2, done.stderr
        assert said in done.stderr
        peer.name = "lacks it"


def test_a_fallback_takes_over_from_a_server_that_never_answered(bundle_root: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    bundle = Bundle.load(bundle_root)
    choice = open_engine(bundle, "remote", server=Server(url, fallback=True))
    assert choice.backend.name == "openvino"
    assert "remote failed in this session" in choice.reason
    assert "does not serve" in choice.reason, "and why"
    assert choice.describe()["stands_in_for"] == "remote"
    with pytest.raises(EngineUnavailableError, match="does not serve"):
        open_engine(bundle, "remote", server=Server(url))


def test_a_stand_in_from_the_start_is_counted(begin: Begin, peer: Peer) -> None:
    peer.breaks = True
    session = begin(fallback=True)
    ended = session.finish()
    assert ended.engine["stands_in_for"] == "remote"
    with session.journal.read() as reader:
        events = list(reader.events(session.record.exam_id))
    told = [(each.name, each.fields.get("error")) for each in events]
    assert told.count(("failed", "ServerAwayError")) == 1
    assert not [each for each in events if each.name == "restarted"]


def test_an_engine_on_a_server_needs_one_and_a_server_its_engine(tmp_path: Path) -> None:
    for words in (("--engine", "remote"), ("--server", "http://h:1"), ("--fallback",)):
        done = run("replay", "phantom:normal?seed=1", "--out", tmp_path / "o", *words)
        assert done.returncode == 2, done.stderr
        assert "--server" in done.stderr
