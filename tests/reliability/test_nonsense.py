"""A child process that talks nonsense: it is started again, and the session goes on."""

import time
from pathlib import Path

import pytest

from neurosono.stream.processes import spawn
from tests.reliability.test_live import Session, assert_nothing_stale
from tests.support.commands import wait_until
from tests.support.nonsense import OF_CAPTURE, OF_ENGINE

ROOT = Path(__file__).parents[2]
QUICK = {
    "engine:named",
    "engine:repeated",
    "engine:far",
    "engine:deep",
    "capture:far",
    "capture:counts",
}
CASES = [
    pytest.param(case, marks=[] if case in QUICK else [pytest.mark.slow])
    for case in [f"engine:{what}" for what in OF_ENGINE]
    + [f"capture:{what}" for what in OF_CAPTURE]
]


@pytest.mark.parametrize("case", CASES)
def test_a_child_that_talks_nonsense_is_started_again(
    case: str, bundle_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = case.split(":")[0]
    monkeypatch.setitem(spawn.MODULES, role, "tests.support.nonsense")
    # `-P` keeps the current folder from a child: there it would not find our own module.
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("NONSENSE", case)
    monkeypatch.setenv("NONSENSE_ONCE", str(tmp_path / "talked"))
    begun = time.monotonic()
    session = Session(bundle_root, tmp_path)
    try:
        wait_until(lambda: (tmp_path / "talked").exists())
        session.wait_for_evidence()
        assert_nothing_stale(session.screen, begun)
        ended = session.finish()
        accounts = ended.measured["accounts"]
        assert 0 <= accounts["unaccounted"] <= 64
        assert min(accounts.values()) >= 0
        assert 0 < ended.counts["decoded"] < 100_000
        with session.journal.read() as reader:
            told = [(each.name, each.fields) for each in reader.events(session.record.exam_id)]
        assert ("failed", {"role": role, "error": "WireError"}) in told
        assert "restarted" in [name for name, _ in told]
        if role == "engine":
            reasons = " ".join(status["ai_reason"] for _, status in session.screen.said)
            assert "talked nonsense" in reasons
    finally:
        session.stop.set()
        session.thread.join(30)
        session.clips.close()
        session.journal.close()
