"""An archive: the same rows whoever judges, whatever dies, and however often it is stopped."""

import csv
import itertools
import os
import shutil
import signal
import sqlite3
import stat
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import Comprehensive3DSRStorage, ExplicitVRLittleEndian

import neurosono
from neurosono.archive.book import NAME, Book, Exam, Outcome
from neurosono.archive.cluster import judge_remotely
from neurosono.archive.options import ArchiveOptions, Asked
from neurosono.archive.pool import Died, LocalPool
from neurosono.archive.run import Progress, _Counted, _judge_on, largest_first, run_archive
from neurosono.archive.tables import write_tables
from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import BundleError, InputError, OutputError, RunError
from neurosono.engine.contracts.labels import DEFAULT_LABELS
from tests.support.cines import draw_frames, make_cine
from tests.support.clips import write_clip
from tests.support.commands import run, start, wait_until
from tests.support.signatures import sign_copy, trust_one

Row = dict[str, str]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Return a folder of four exams, the third of which is no clip."""
    folder = tmp_path / "archive"
    (folder / "b").mkdir(parents=True)
    write_clip(folder / "a.mp4", pictures=15)
    write_clip(folder / "b" / "1.mp4", pictures=10)
    write_clip(folder / "b" / "2.mp4", pictures=10, seed=2)
    (folder / "c.mp4").write_bytes(b"no clip")
    write_clip(folder / "d.mp4", pictures=12, seed=4)
    (folder / "readme.txt").write_text("no exam")
    (folder / ".hidden").mkdir()
    return folder


@pytest.fixture
def asked(bundle_root: Path) -> Asked:
    return Asked(str(bundle_root), Bundle.load(bundle_root).manifest.digest, every=3)


def read_rows(out: Path, name: str = "results.csv") -> list[Row]:
    with (out / name).open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_an_exam_as_the_front_door_judges_it(
    archive: Path, bundle_root: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    keys = trust_one(tmp_path)
    signed = sign_copy(bundle_root, tmp_path / "signed", keys)
    asked = ("--bundle", signed, "--trusted-keys", keys, "--every", "3")
    done = run("archive", archive, "--out", out, *asked)
    assert done.returncode == 1, done.stderr
    assert "1 of 4 exams failed, the rest is done" in done.stderr
    rows = read_rows(out)
    assert [row["exam"] for row in rows] == ["1", "2", "3", "4"]
    assert [row["failure"] for row in rows] == ["", "", "SourceError", ""]
    *_, (_, last) = neurosono.judge(archive / "b", bundle_root, every=3)
    row = rows[1]
    assert (int(row["decoded"]), int(row["sampled"]), int(row["used"])) == (20, 8, last.exam.used)
    assert {label: float(row[f"p_{label}"]) for label in last.labels} == dict(last.exam)
    assert [Path(each["source"]).name for each in read_rows(out, "exams.csv")] == [
        *("a.mp4", "b", "c.mp4", "d.mp4")
    ]
    (failed,) = read_rows(out, "failures.csv")
    assert (failed["exam"], failed["failure"]) == ("3", "SourceError")
    page = (out / "index.html").read_text()
    assert neurosono.NOTICE in page
    assert "SourceError" in page


def test_names_stand_in_private_files_only(archive: Path, asked: Asked, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (archive / "c.mp4").rename(archive / "Mustermann_Erika.mp4")
    with pytest.raises(RunError):
        run_archive(ArchiveOptions((str(archive),), out, jobs=1), asked)
    for path in out.iterdir():
        private = path.name in (NAME, "exams.csv", "failures.csv")
        assert (b"Mustermann" in path.read_bytes()) == private, path.name
        if private:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name


def test_the_same_tables_however_many_jobs(archive: Path, asked: Asked, tmp_path: Path) -> None:
    (archive / "c.mp4").unlink()
    for jobs in (1, 3):
        options = ArchiveOptions((str(archive),), tmp_path / str(jobs), jobs=jobs)
        assert run_archive(options, asked)["complete"]
    for name in ("results.csv", "exams.csv", "summary.json"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "3" / name).read_bytes(), name


def test_the_parquet_table_says_the_same(archive: Path, asked: Asked, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    with pytest.raises(RunError):
        run_archive(ArchiveOptions((str(archive),), tmp_path / "out", jobs=1), asked)
    rows = parquet.read_table(tmp_path / "out" / "results.parquet").to_pylist()
    for row, line in zip(rows, read_rows(tmp_path / "out"), strict=True):
        for name, cell in row.items():
            said = str(cell).lower() if isinstance(cell, bool) else cell
            assert line[name] == ("" if cell is None else str(said)), name


def test_a_killed_run_goes_on_with_what_is_not_done(
    archive: Path, bundle_root: Path, tmp_path: Path
) -> None:
    for number in range(6):
        write_clip(archive / f"e{number}.mp4", pictures=60, seed=number)
    out = tmp_path / "out"
    command = ("archive", archive, "--out", out, "--bundle", bundle_root, "--jobs", "1")
    first = start(*command)

    def count_done() -> int:
        """Look into a copy: the book itself is locked."""
        copy = tmp_path / "copy.sqlite"
        try:
            shutil.copy(out / NAME, copy)
            with closing(sqlite3.connect(f"file:{copy}?immutable=1", uri=True)) as connection:
                return int(connection.execute("SELECT count(*) FROM outcome").fetchone()[0])
        except (OSError, sqlite3.Error):  # not there yet, or caught in the middle of a write
            return 0

    wait_until(lambda: count_done() >= 2)
    children = psutil.Process(first.pid).children(recursive=True)
    first.kill()
    first.communicate()
    psutil.wait_procs(children, timeout=60)
    assert not [each for each in children if each.is_running()], "workers outlive nobody"
    book = Book(out)
    before = [outcome for outcome, _ in book.read()]
    book.close()
    assert 1 <= len(before) < 10, "the second may have been in the middle of being written"
    done = run(*command)
    assert done.returncode == 1, done.stderr
    book = Book(out)
    written = book._connection.execute("SELECT exam FROM outcome ORDER BY id").fetchall()
    assert len(written) == len({exam for (exam,) in written}) == 10, "nothing was done twice"
    assert [
        each for each, _ in book.read() if each.number in {one.number for one in before}
    ] == before
    book.close()


class _Deadly(LocalPool):
    """A pool in which the worker of one exam is killed as soon as it is at it."""

    def __init__(self, asked: Asked, jobs: int, victim: int, times: int) -> None:
        super().__init__(asked, jobs)
        self.victim, self.left = victim, times
        self.beside: list[int] = []

    def wait(self) -> list[Outcome | Died]:
        for worker in self._workers:
            if self.left and worker.ready and worker.exam and worker.exam.number == self.victim:
                self.left -= 1
                self.beside.append(self.busy - 1)
                os.kill(worker.process.pid or 0, signal.SIGKILL)
                worker.process.join()
        return super().wait()


@pytest.mark.parametrize(("times", "failure"), [(1, None), (2, "WorkerDied")])
def test_a_dead_worker_costs_its_own_exam_at_most(
    archive: Path, asked: Asked, tmp_path: Path, times: int, failure: str | None
) -> None:
    (archive / "c.mp4").unlink()
    write_clip(archive / "b" / "3.mp4", pictures=200)  # long enough to be met at work
    options = ArchiveOptions((str(archive),), tmp_path / "out", jobs=2)
    book = Book(options.out)
    book.take(_list(options))
    with _Deadly(asked, 2, victim=2, times=times) as pool:
        _judge_on(pool, book, options, _Counted(book, lambda _: None))
        assert pool.left == 0
        assert pool.beside[1:] == [0] * (times - 1), "done again alone, so none is blamed wrongly"
    outcomes = [outcome for outcome, _ in book.read()]
    assert [each.failure for each in outcomes] == [None, failure, None]
    assert write_tables(options.out, book, DEFAULT_LABELS).failed == (failure is not None)
    book.close()


def _list(options: ArchiveOptions) -> Any:
    from neurosono.archive.listing import list_exams

    return list_exams(options)


def test_failed_exams_are_done_again_where_asked(
    archive: Path, asked: Asked, tmp_path: Path
) -> None:
    options = ArchiveOptions((str(archive),), tmp_path / "out", jobs=1)
    with pytest.raises(RunError, match="1 of 4 exams failed"):
        run_archive(options, asked)
    write_clip(archive / "c.mp4", pictures=10)
    with pytest.raises(RunError, match="1 of 4 exams failed"):
        run_archive(options, asked)
    again = ArchiveOptions((str(archive),), tmp_path / "out", jobs=1, again=True)
    told: list[Progress] = []
    summary = run_archive(again, asked, told.append)
    assert summary["exams"] == {"listed": 4, "done": 4, "failed": 0}
    assert told == [Progress(4, 4, 1), Progress(4, 4, 0)]
    assert [row["complete"] for row in read_rows(tmp_path / "out")] == ["true"] * 4


def test_the_largest_exam_is_begun_first_and_a_folder_weighs_what_is_in_it(tmp_path: Path) -> None:
    for number, size in enumerate((10, 30, 20)):
        (tmp_path / f"{number}").write_bytes(bytes(size))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "1").write_bytes(bytes(25))
    sources = [("0",), ("1",), ("0", "2"), ("folder",), ("gone",)]
    exams = [
        Exam(number, tuple(str(tmp_path / name) for name in names))
        for number, names in enumerate(sources)
    ]
    assert [each.number for each in largest_first(iter(exams))] == [1, 2, 3, 0, 4]
    endless = largest_first(Exam(number, ("phantom:normal",)) for number in itertools.count())
    assert [next(endless).number for _ in range(3)] == [0, 1, 2], "without reading all the others"


def test_other_questions_go_into_another_table(archive: Path, asked: Asked, tmp_path: Path) -> None:
    options = ArchiveOptions((str(archive),), tmp_path / "out", jobs=1)
    with pytest.raises(RunError):
        run_archive(options, asked)
    other = Asked(asked.bundle, asked.digest, every=5)
    with pytest.raises(InputError, match="begun with another every"):
        run_archive(options, other)


def test_a_book_has_one_writer(tmp_path: Path) -> None:
    book = Book(tmp_path)
    with pytest.raises(OutputError, match="wait for the run that has it"):
        Book(tmp_path)
    book.close()


def test_a_hundred_thousand_exams_are_listed_and_told_one_by_one(tmp_path: Path) -> None:
    """Nothing of it is held in memory: a listing is read, and told, as it goes."""
    from neurosono.archive.listing import Found

    count = 100_000
    book = Book(tmp_path)
    book.take(Found(f"/archive/{number}", f"/archive/{number}") for number in range(count))
    waiting = book.list_waiting(0, again=False)
    assert next(waiting) == Exam(1, ("/archive/0",))
    book.write(Outcome(1, row={"state": "stable"}))
    assert next(waiting).number == 2
    assert book.count() == (count, 1, 0)
    assert next(book.list_waiting(0, again=False)).number == 2
    book.close()


def fill(book: Book, count: int) -> None:
    """List so many exams and write down what became of each."""
    from neurosono.archive.listing import Found

    figures = {f"p_{label}": 1 / 3 for label in DEFAULT_LABELS} | {"state": "stable", "engine": "e"}
    book.take(Found(f"/archive/{number}", f"/archive/{number}") for number in range(count))
    with book.together():
        for exam in book.list_waiting(0, again=False):
            book.write(Outcome(exam.number, row=figures))


def test_the_tables_of_many_exams_take_no_more_memory_than_of_few(tmp_path: Path) -> None:
    peaks = []
    for count in (2000, 6000):
        with closing(Book(tmp_path / f"{count}")) as book:
            fill(book, count)
            tracemalloc.start()
            try:
                assert write_tables(tmp_path / f"{count}", book, DEFAULT_LABELS).done == count
                peaks.append(tracemalloc.get_traced_memory()[1])
            finally:
                tracemalloc.stop()
    assert peaks[1] - peaks[0] < 2**20, "4,000 rows are some 8 MB"


def test_a_full_disk_is_one_sentence_and_keeps_what_it_took(tmp_path: Path) -> None:
    with closing(Book(tmp_path)) as book:
        fill(book, 10)
        pages = book._connection.execute("PRAGMA page_count").fetchone()[0]
        book._connection.execute(f"PRAGMA max_page_count = {pages}")
        counted = _Counted(book, lambda _: None)
        told: list[Outcome | Died] = [Outcome(1, "SourceError", "x" * 5000) for _ in range(10)]
        with pytest.raises(RunError, match="free some space"):
            counted.note_all(told)
        assert book.count() == (10, 10, 0)


def test_a_bundle_that_cannot_be_opened_is_told_before_any_exam(
    archive: Path, asked: Asked, tmp_path: Path
) -> None:
    other = Asked(asked.bundle, asked.digest, engine="torch", precision="int8")
    with pytest.raises(InputError):
        run_archive(ArchiveOptions((str(archive),), tmp_path / "out", jobs=1), other)
    assert not (tmp_path / "out" / "results.csv").exists()


def test_a_node_judges_as_we_do_and_refuses_another_release(tmp_path: Path) -> None:
    digest = Bundle.load("demo").manifest.digest
    asked = Asked("demo", digest, every=3)
    exam = Exam(7, (str(write_clip(tmp_path / "a.mp4", pictures=15)),))
    outcome = judge_remotely(exam, asked, neurosono.__version__)
    assert (outcome.number, outcome.failure, outcome.row["sampled"]) == (7, None, 5)
    *_, (_, last) = neurosono.judge(exam.sources[0], "demo", every=3)
    assert outcome.row["used"] == last.exam.used
    with pytest.raises(InputError, match=r"neurosono .*, but 0\.0 was expected"):
        judge_remotely(exam, asked, "0.0")
    with pytest.raises(BundleError, match="every machine of an archive needs the same one"):
        judge_remotely(exam, Asked("demo", "0" * 64), neurosono.__version__)


def test_a_report_in_a_study_is_left_out_and_counted(asked: Asked, tmp_path: Path) -> None:
    cine = make_cine(draw_frames(6), study="1.2.3")
    report = Dataset()
    report.SOPClassUID, report.SOPInstanceUID = Comprehensive3DSRStorage, "1.2.3.4"
    report.file_meta = FileMetaDataset()
    report.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    report.file_meta.MediaStorageSOPClassUID = report.SOPClassUID
    report.StudyInstanceUID, report.PatientID, report.Modality = "1.2.3", cine.PatientID, "SR"
    files = [str(tmp_path / name) for name in ("1.dcm", "2.dcm", "3.dcm")]
    for file, dataset in zip(files, (cine, report, report), strict=True):
        dataset.save_as(file, enforce_file_format=True)
    judged = judge_remotely(Exam(1, tuple(files[:2])), asked, neurosono.__version__)
    assert (judged.failure, judged.row["left_out"], judged.row["decoded"]) == (None, 1, 6)
    none = judge_remotely(Exam(2, tuple(files[1:])), asked, neurosono.__version__)
    assert none.failure == "SourceError"
    assert "no file of the exam holds pictures" in (none.why or "")


@pytest.mark.slow
def test_a_cluster_gives_the_same_rows_and_does_a_dead_workers_exam_again(
    archive: Path, asked: Asked, tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    (archive / "c.mp4").unlink()
    write_clip(archive / "e.mp4", pictures=400)
    alone = ArchiveOptions((str(archive),), tmp_path / "alone", jobs=1)
    there = ArchiveOptions((str(archive),), tmp_path / "there", jobs=2, cluster="local")
    run_archive(alone, asked)
    killed: list[int] = []

    def watch(progress: Any) -> None:
        if not killed and progress.done >= 2:  # none is at work just now: the next time
            killed.extend(_kill_one(lambda name: name.startswith("ray::judge_remotely")))

    assert run_archive(there, asked, watch)["complete"]
    assert killed
    for name in ("results.csv", "exams.csv"):
        assert (tmp_path / "alone" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()


def _kill_one(is_wanted: Callable[[str], bool]) -> list[int]:
    for process in psutil.Process().children(recursive=True):
        try:
            if process.cmdline() and is_wanted(process.cmdline()[0]):
                process.kill()
                return [process.pid]
        except psutil.NoSuchProcess:
            continue
    return []
