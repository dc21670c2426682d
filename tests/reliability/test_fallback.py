"""An engine that fails in the middle of an exam, on real processes: the CPU's engine takes over.

A GPU's failure looks so from outside: the engine process ends with `EngineFailedError`. It stands
in here as torch with weights that give no finite number, which the exam refuses.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file, save_file

from neurosono.engine.bundle import Bundle, file_of, write_manifest
from neurosono.stream.judge.opened import OPEN_ALREADY
from neurosono.stream.live.options import SessionOptions
from tests.reliability.test_live import SOURCE, Session
from tests.support.bundles import make_bundle
from tests.support.commands import wait_until


class TorchSession(Session):
    """A live session that asks for the torch engine by name."""

    def _run(self, options: SessionOptions) -> None:
        super()._run(replace(options, engine="torch"))


@pytest.fixture
def broken_root(tmp_path: Path) -> Path:
    """Return a bundle whose OpenVINO engine is sound and whose members give NaN."""
    root = make_bundle(tmp_path / "bundle")
    bundle = Bundle.load(root)
    members = []
    for member in bundle.manifest.members:
        assert member.file is not None
        weights = load_file(root / member.file.path)
        weights["fc.bias"] = torch.full_like(weights["fc.bias"], float("nan"))
        save_file(weights, root / member.file.path)
        members.append(replace(member, file=file_of(root, member.file.path)))
    write_manifest(root, replace(bundle.manifest, members=tuple(members)))
    return root


@pytest.fixture
def session(broken_root: Path, tmp_path: Path) -> Iterator[Session]:
    running = TorchSession(broken_root, tmp_path, SOURCE)
    yield running
    if running.thread.is_alive():
        running.finish()
    running.journal.close()


def test_the_next_engine_takes_over_and_ai_is_off_in_between(session: Session) -> None:
    session.wait_for_evidence()
    said = list(session.screen.said)
    ended = session.finish()
    assert ended.engine["backend"] == "openvino"
    assert "torch failed in this session" in ended.engine["reason"]
    engines = [status["engine"] for _, status in said if status["ai"] == "AI ON"]
    on = [index for index, (_, status) in enumerate(said) if status["ai"] == "AI ON"]
    states = [status["ai"] for _, status in said]
    first_openvino = next(i for i in on if "openvino" in said[i][1]["engine"])
    assert "AI OFF" in states[:first_openvino]
    assert engines[-1].startswith("openvino")
    wait_until(lambda: not session.thread.is_alive())


def list_engines() -> list[psutil.Process]:
    """Return the engine processes that are there, the spare one among them."""
    children = psutil.Process(os.getpid()).children()
    return [each for each in children if "neurosono.stream.judge.worker" in each.cmdline()]


def test_a_killed_engine_of_another_kind_finds_the_next_one_open(
    bundle_root: Path, tmp_path: Path
) -> None:
    session = TorchSession(bundle_root, tmp_path, SOURCE)
    try:
        session.wait_for_evidence()
        spare = max(wait_until(lambda: len(found := list_engines()) == 2 and found), key=_begun)
        wait_until(lambda: session.screen.last["ai"] == "AI ON")
        said = len(session.screen.said)
        min(list_engines(), key=_begun).kill()
        wait_until(
            lambda: (
                session.screen.last["ai"] == "AI ON"
                and "openvino" in session.screen.last.get("engine", "")
            )
        )
        assert spare.is_running(), "it is what took over"
        assert list_engines() == [spare], "who falls back on itself keeps none"
        states = [status["ai"] for _, status in session.screen.said[said:]]
        assert "AI OFF" in states
    finally:
        ended = session.finish()
        session.journal.close()
    assert "torch failed in this session" in ended.engine["reason"]
    assert ended.engine["reason"].endswith(OPEN_ALREADY)
    frames = ended.counts
    assert frames["sampled"] == frames["used"] + sum(frames["skipped"].values())


def _begun(process: psutil.Process) -> float:
    return process.create_time()
