"""The node's queue: what was told to be stored is there, once, whoever died."""

from pathlib import Path

import pytest

from neurosono.bundles import open_bundle
from neurosono.engine.contracts.errors import OutputError
from neurosono.node.examine import open_maker
from neurosono.node.options import Judging
from neurosono.node.run import tell_batch
from neurosono.node.spool import MOST_TRIES, BatchStanding, Spool
from neurosono.node.worker import Worker
from neurosono.stream.hospital.node import parse_node
from neurosono.stream.hospital.queue import GIVE_UP_S
from tests.support.cines import draw_frames, make_cine, write_cine
from tests.support.senders import HOST, free_tcp_port

SECOND_NS = 10**9


def arrive(spool: Spool, name: str = "x") -> Path:
    path = spool.incoming / f"{name}.dcm"
    path.write_bytes(name.encode())
    return path


def test_what_is_known_is_not_taken_twice(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        assert spool.store("1.2", "1.2.1", "US1", arrive(spool, "a"), 0)
        assert not spool.store("1.2", "1.2.1", "US1", arrive(spool, "b"), 1)
        assert spool.store("1.2", "1.2.2", "US1", arrive(spool, "c"), 2)
        (batch,) = spool.batches()
        assert (batch.cines, batch.sender, batch.standing) == (2, "US1", BatchStanding.OPEN)
        kept = spool.files_of(batch.number)
        assert sorted(path.read_bytes() for path in kept.iterdir()) == [b"a", b"c"]
        assert "1.2.1" not in (tmp_path / "queue.sqlite").read_bytes().decode("latin-1")
        assert (tmp_path / "queue.sqlite").stat().st_mode & 0o777 == 0o600


def test_a_study_is_taken_once_it_is_quiet_and_what_comes_later_is_another(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.store("1.2", "1.2.1", "US1", arrive(spool), 0)
        spool.store("1.2", "1.2.2", "US1", arrive(spool), 8 * SECOND_NS)
        assert spool.take(10 * SECOND_NS, 11 * SECOND_NS) is None
        taken = spool.take(10 * SECOND_NS, 18 * SECOND_NS)
        assert taken is not None
        assert spool.take(10 * SECOND_NS, 99 * SECOND_NS) is None, "it is under way"
        spool.store("1.2", "1.2.3", "US1", arrive(spool), 20 * SECOND_NS)
        assert [batch.cines for batch in spool.batches()] == [2, 1]
        spool.note(taken.number, BatchStanding.JUDGED, 21 * SECOND_NS)
        assert spool.count_waiting() == 2
        spool.note(taken.number, BatchStanding.STORED, 22 * SECOND_NS)
        spool.forget_files(taken.number)
        assert not spool.files_of(taken.number).exists()
        assert spool.count_waiting() == 1
        assert not spool.store("1.2", "1.2.1", "US1", arrive(spool), 23 * SECOND_NS)
        assert spool.forget(22 * SECOND_NS) == 0
        assert spool.forget(23 * SECOND_NS) == 1
        assert len(spool.batches()) == 1


def test_a_worker_that_died_costs_one_try_and_a_deadly_cine_is_given_up(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.store("1.2", "1.2.1", "US1", arrive(spool), 0)
        for _ in range(MOST_TRIES):
            assert spool.take(0, 1) is not None
            spool.recover(2)
        assert spool.take(0, 3) is None
        (batch,) = spool.batches()
        assert (batch.standing, batch.tries) == (BatchStanding.FAILED, MOST_TRIES)
        assert "died on it twice" in batch.said
        assert spool.store("1.2", "1.2.1", "US1", arrive(spool), 4), "what failed may come again"
        assert spool.take(0, 5) is not None


def test_what_was_never_told_of_goes_and_what_was_stays(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.store("1.2", "1.2.1", "US1", arrive(spool, "a"), 0)
        arrive(spool, "half")
        stray = spool.files_of(1) / "stray.dcm"
        stray.touch()
    with Spool(tmp_path) as again:
        again.sweep()
        assert not any(again.incoming.iterdir())
        assert [path.read_bytes() for path in again.files_of(1).iterdir()] == [b"a"]
        assert not stray.exists()


def test_results_wait_for_the_pacs_for_a_day(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.store("1.2", "1.2.1", "US1", arrive(spool), 0)
        spool.note(1, BatchStanding.JUDGED, 0)
        now_ns, tries = 0, 0
        while spool.batches()[0].standing is BatchStanding.JUDGED:
            (due,) = spool.list_due(now_ns)
            spool.postpone(due.number, "PACS is not there", now_ns)
            tries += 1
            assert spool.list_due(now_ns) == []
            now_ns += 3600 * SECOND_NS
        assert now_ns > GIVE_UP_S * SECOND_NS
        assert tries > 20
        assert spool.batches()[0].said == "PACS is not there"


def test_a_study_without_room_waits_for_a_day_and_costs_no_try(
    tmp_path: Path, bundle_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Judging(parse_node(f"PACS@{HOST}:{free_tcp_port()}"), quiet_s=0)
    maker = open_maker(open_bundle(bundle_root), asked, tmp_path / "journal.sqlite")
    with Spool(tmp_path) as spool, maker.examiner.open_journal() as journal:
        cine = make_cine(draw_frames(3))
        path = write_cine(spool.incoming / "x.dcm", cine)
        spool.store(cine.StudyInstanceUID, cine.SOPInstanceUID, "US1", path, spool.now_ns())
        worker, taken = Worker(spool, asked, maker, None), tmp_path / "results" / "1.part"
        taken.touch()  # where the folder of its results is to be
        assert worker.step(journal)
        (batch,) = spool.batches()
        assert (batch.standing, batch.tries) == (BatchStanding.OPEN, 0)
        assert "waits: cannot write into" in tell_batch(batch)
        assert not worker.step(journal), "not at once"
        taken.unlink()
        monkeypatch.setattr("neurosono.node.spool.ROOM_S", 0)
        spool.defer(1, "no room yet", spool.now_ns() - SECOND_NS)
        assert worker.step(journal)
        (batch,) = spool.batches()
        assert batch.standing is BatchStanding.JUDGED
        assert "is not there" in batch.said
        assert len(list(spool.results_of(1).iterdir())) >= 2
        spool.defer(1, "no room", batch.changed_ns + (GIVE_UP_S + 1) * SECOND_NS)
        assert spool.batches()[0].standing is BatchStanding.FAILED


def test_what_a_full_queue_held_up_is_taken_up_again(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.store("1.2", "1.2.1", "US1", arrive(spool), 0)
        for now_ns in range(1, 2 * MOST_TRIES + 1):
            assert spool.take(0, now_ns) is not None
            spool.reopen()
        assert spool.batches()[0].standing is BatchStanding.OPEN


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot use"):
        Spool(tmp_path / "file")
