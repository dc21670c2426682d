"""What befalls a node that listens: many that lead nowhere, a full disk, a clock that is wrong."""

from pathlib import Path

from neurosono.node.clock import ClockWatch
from neurosono.node.receiver import FULL, STORED
from neurosono.node.spool import Spool
from tests.node.associations import WAYS, listening, open_many, store
from tests.support.cines import draw_frames, make_cine


def test_associations_that_lead_nowhere_leave_nothing_behind(tmp_path: Path) -> None:
    with listening(tmp_path / "node") as listener:
        told = open_many(listener, 50)
        assert {way: told["opened"][way] for way in WAYS} == dict.fromkeys(WAYS, 10)
        before, after = told["before"], told["after"]
        assert after["threads"] <= before["threads"]
        assert after["files"] <= before["files"] + 2, "sockets are closed"
        assert after["megabytes"] < before["megabytes"] + 30
        assert store(listener.port, make_cine(draw_frames(3))).Status == STORED
        assert not list((tmp_path / "node" / "incoming").iterdir())


def test_a_disk_that_fills_in_mid_transfer_refuses_that_cine_and_no_other(tmp_path: Path) -> None:
    large, small = make_cine(draw_frames(12)), make_cine(draw_frames(3))
    with listening(tmp_path / "node", room=len(large.PixelData) // 2) as listener:
        for _ in range(2):
            answer = store(listener.port, large)
            assert (answer.Status, answer.ErrorComment) == (
                FULL,
                "the disk is full: send it again later",
            )
            assert not list((tmp_path / "node" / "incoming").iterdir())
            assert store(listener.port, small).Status == STORED
    with Spool(tmp_path / "node") as spool:
        assert [batch.cines for batch in spool.batches()] == [1], "what was confirmed, once"


def test_a_clock_that_is_set_is_told_once_and_one_that_drifts_is_not() -> None:
    now = {"wall": 1000.0, "steady": 5.0}
    watch = ClockWatch(lambda: now["wall"], lambda: now["steady"])
    for _ in range(100):
        now = {"wall": now["wall"] + 1.2, "steady": now["steady"] + 1.0}
        assert watch.look() == ""
    now["wall"] -= 7200
    assert "clock was set back by 7200 s: nothing that waits goes by it" in watch.look()
    assert watch.look() == ""
    now["wall"] += 86_400
    assert "set forward by 86400 s" in watch.look()
