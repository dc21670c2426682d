"""A live session whose system has nothing left to start a process with."""

import os
import resource
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from neurosono.stream.processes.watch import MAX_RESTARTS, RETRY_S
from tests.reliability.test_live import SOURCE, Session, assert_nothing_stale
from tests.support.commands import wait_until

FEW = 8
"""Descriptors below this number are all taken in any session."""


@pytest.fixture
def session(bundle_root: Path, tmp_path: Path) -> Iterator[Session]:
    live = Session(bundle_root, tmp_path, SOURCE)
    try:
        live.wait_for_evidence()
        yield live
    finally:
        live.stop.set()
        live.thread.join(30)
        live.clips.close()
        live.journal.close()


def test_an_engine_that_the_system_refuses_to_start_is_tried_until_it_starts(
    session: Session,
) -> None:
    engine = session.child("neurosono.stream.judge.worker")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    moment = time.monotonic()
    resource.setrlimit(resource.RLIMIT_NOFILE, (FEW, hard))  # those that are open stay open
    try:
        os.kill(engine.pid, signal.SIGKILL)
        enough_s = (MAX_RESTARTS + 2) * RETRY_S  # so many deaths would have been the end
        wait_until(lambda: session.screen.said[-1][0] - moment > enough_s)
        since = [said for at, said in session.screen.said if at >= moment]
        # a busy host may have no picture for a while as well
        assert any(said["ai"] == "AI OFF" and "refused" in said["ai_reason"] for said in since)
        assert since[-1]["ai"] in ("AI OFF", "NO SIGNAL")
        assert session.screen.last["frames"]["decoded"] > 0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    session.wait_for_evidence()
    assert_nothing_stale(session.screen, moment)
    session.finish()
    with session.journal.read() as reader:
        names = [event.name for event in reader.events(session.record.exam_id)]
    assert names.count("failed") > MAX_RESTARTS
    assert "gave-up" not in names
