"""The journal's files: private, checked, migrated; a notebook that believes whole entries only."""

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from neurosono.engine.contracts.errors import InputError, OutputError
from neurosono.stream.journal.journal import Journal
from neurosono.stream.journal.notebook import Notebook, is_alive
from neurosono.stream.journal.ring import HEADER, PREFACE, read_ring
from neurosono.stream.journal.schema import SCHEMA_VERSION, default_path, prepare
from tests.support.records import ABOUT, make_exam, make_results


def set_version(path: Path, version: int) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version={version}")


def make_journal(path: Path, results: int = 0) -> None:
    with Journal.open(path) as journal:
        exam = journal.begin(ABOUT)
        for result in make_results(make_exam(), results):
            exam.record(result)
        exam.end({})


def test_the_record_is_private_and_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_path() == tmp_path / "neurosono" / "journal.sqlite"
    with Journal.open() as journal:
        journal.begin(ABOUT)
        journal.flush()
        files = list((tmp_path / "neurosono").iterdir())
        assert len(files) == 4, "database, log, shared memory, notebook"
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE((tmp_path / "neurosono").stat().st_mode) == 0o700
    assert [file.name for file in (tmp_path / "neurosono").iterdir()] == ["journal.sqlite"]
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", "/home/x")
    assert default_path() == Path("/home/x/.local/share/neurosono/journal.sqlite")


def test_a_file_that_is_none_of_ours_is_left_alone(tmp_path: Path) -> None:
    text, other = tmp_path / "notes.txt", tmp_path / "other.sqlite"
    text.write_text("dear diary, " * 200)
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE t (x)")
    modes = [file.stat().st_mode for file in (text, other)]
    with pytest.raises(InputError, match="damaged"):
        Journal.open(text)
    with pytest.raises(InputError, match="no journal of neurosono"):
        Journal.open(other)
    with pytest.raises(OutputError, match="no file"):
        Journal.open(tmp_path)
    with pytest.raises(OutputError, match="choose another --journal"):
        Journal.open(text / "journal.sqlite")
    assert text.read_text().startswith("dear diary")
    assert [file.stat().st_mode for file in (text, other)] == modes


def test_damage_is_found_at_the_opening(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    make_journal(path, 400)
    data = bytearray(path.read_bytes())
    for at in range(20 * 4096, len(data), 8192):
        data[at : at + 64] = b"\xff" * 64
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"damaged .* move it"):
        Journal.open(path)


def test_a_newer_journal_is_refused_and_an_older_one_brought_up(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    make_journal(path)
    set_version(path, SCHEMA_VERSION + 1)
    with pytest.raises(InputError, match="use the release that wrote it"):
        Journal.open(path)
    set_version(path, SCHEMA_VERSION)

    def bring_up(connection: sqlite3.Connection) -> None:
        connection.execute("ALTER TABLE exam ADD COLUMN extra TEXT")

    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("ALTER TABLE exam ADD COLUMN never TEXT")
        raise sqlite3.OperationalError("the disk is full")

    steps = {SCHEMA_VERSION: bring_up, SCHEMA_VERSION + 1: fail}
    with pytest.raises(InputError, match="the disk is full"):
        prepare(path, steps, SCHEMA_VERSION + 2)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION + 1
        names = {row[1] for row in connection.execute("PRAGMA table_info(exam)")}
    assert "extra" in names
    assert "never" not in names, "a step that fails leaves nothing"
    with pytest.raises(InputError, match="cannot be brought up"):
        prepare(path, {}, SCHEMA_VERSION + 2)


def test_a_database_whose_maker_was_killed_is_made(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    path.touch()
    make_journal(path, 3)
    with Journal.open(path) as journal, journal.read() as reader:
        assert reader.exams()[0].sampled == 3


def list_left(path: Path, start: int = 0) -> list[bytes]:
    return [payload for payload, _ in read_ring(path.read_bytes(), start).entries]


def test_entries_go_round_the_ring(tmp_path: Path) -> None:
    path = tmp_path / "a.ring"
    notebook = Notebook.create(path, 4096)
    for turn in range(200):
        payload = bytes([turn]) * (turn % 90 + 1)
        assert notebook.append(payload[:1], payload[1:])
        assert list_left(path, notebook.position) == [payload]
        notes = notebook.take(4096)
        assert [b"".join(note.parts) for note in notes] == [payload]
        notebook.forget(notes)
        assert notebook.take(4096) == []
    assert notebook.position > 3 * 4096
    assert set(path.read_bytes()[PREFACE:]) == {0}, "what was read in is blanked"
    notebook.close()
    assert not path.exists()


def test_a_full_ring_overwrites_nothing_and_what_comes_waits_beyond_it(tmp_path: Path) -> None:
    path = tmp_path / "a.ring"
    notebook = Notebook.create(path, 4096)
    room = (4096 - 2 * HEADER.size) // 2
    said = [letter * room for letter in (b"a", b"b", b"c", b"d")]
    assert all(notebook.append(payload) for payload in said)
    assert list_left(path) == said[:2]
    first = notebook.take(1)
    assert [note.parts for note in first] == [(said[0],)]
    notebook.forget(first)
    assert list_left(path, notebook.position) == said[1:3], "moved in where there is room"
    assert notebook.close() == 0
    rest = path.with_name("a~.ring")
    assert list_left(path, notebook.position) == said[1:3]
    assert list_left(rest) == said[3:], "for the next opening"


def test_a_half_written_entry_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "a.ring"
    notebook = Notebook.create(path, 4096)
    assert is_alive(path)
    assert Notebook.take_over(path, 0) is None, "its writer lives"
    for payload in (b"one", b"two", b"three"):
        notebook.append(payload)
    notebook.close()
    assert not is_alive(path)
    data = bytearray(path.read_bytes())
    at = data.index(b"three")
    data[at] ^= 1
    path.write_bytes(data)
    left = Notebook.take_over(path, 0)
    assert left is not None
    assert [note.parts for note in left.take(4096)] == [(b"one",), (b"two",)]
    left.close()


def test_what_another_release_left_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    make_journal(path)
    notebook = Notebook.create(tmp_path / "journal.sqlite-notes-0123.ring", 4096)
    notebook.append(b"of another release, unreadable")
    notebook.close()
    with Journal.open(path) as journal:
        (left,) = journal.unread
        assert left.read_bytes() == b"of another release, unreadable"
        assert stat.S_IMODE(left.stat().st_mode) == 0o600
    with Journal.open(path) as journal:
        assert journal.unread == ()
