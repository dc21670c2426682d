"""The clock that queues wait by: set by nobody, and gone on with over every restart."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from neurosono.engine.contracts.errors import OutputError
from neurosono.stream.hospital.clock import QueueClock, read_boot, read_up_ns
from neurosono.stream.hospital.queue import Queue

SECOND_NS, DAY_NS = 10**9, 86_400 * 10**9


@dataclass
class Machine:
    """One whose clock on the wall anybody sets."""

    wall_ns: int = 1000 * DAY_NS
    up_ns: int = 5 * SECOND_NS
    boot: str = "first"

    def pass_s(self, seconds: float) -> None:
        self.wall_ns += round(seconds * 1e9)
        self.up_ns += round(seconds * 1e9)

    def restart(self, off_s: float = 60.0) -> None:
        self.wall_ns += round(off_s * 1e9)
        self.up_ns, self.boot = 0, self.boot + "."

    @property
    def clock(self) -> Callable[[sqlite3.Connection], QueueClock]:
        return lambda connection: QueueClock(
            connection,
            wall_ns=lambda: self.wall_ns,
            up_ns=lambda: self.up_ns,
            boot=lambda: self.boot,
        )


class Log(Queue):
    """The smallest queue there is."""

    def write(self) -> None:
        with self._transaction() as connection:
            connection.execute("INSERT INTO line VALUES (1)")


def open_log(folder: Path, machine: Machine) -> Log:
    return Log(folder / "log.sqlite", "CREATE TABLE IF NOT EXISTS line (x)", machine.clock)


def test_a_clock_that_is_set_changes_nothing_for_whoever_shares_the_queue(tmp_path: Path) -> None:
    machine = Machine()
    with open_log(tmp_path, machine) as first:
        began_ns = first.now_ns()
        assert began_ns == machine.wall_ns
        machine.wall_ns += 10 * DAY_NS
        machine.pass_s(3)
        with open_log(tmp_path, machine) as second:
            assert first.now_ns() == second.now_ns() == began_ns + 3 * SECOND_NS
        machine.wall_ns -= 400 * DAY_NS
        machine.pass_s(3)
        with open_log(tmp_path, machine) as third:
            assert third.now_ns() == began_ns + 6 * SECOND_NS


def test_while_a_machine_was_off_only_the_wall_knows_and_time_never_goes_back(
    tmp_path: Path,
) -> None:
    machine = Machine()
    with open_log(tmp_path, machine) as log:
        machine.pass_s(100)
        log.write()
        last_ns = log.now_ns()
        machine.pass_s(5)
        with log._transaction():
            pass  # writes nothing, not even the time
    machine.wall_ns -= 5 * SECOND_NS
    machine.restart(off_s=3600)
    with open_log(tmp_path, machine) as log:
        assert log.now_ns() == last_ns + 3600 * SECOND_NS
        log.write()
    machine.restart()
    machine.wall_ns = 0  # its battery is empty
    with open_log(tmp_path, machine) as log:
        assert log.now_ns() == last_ns + 3600 * SECOND_NS
        machine.wall_ns = 1001 * DAY_NS  # a time server sets it right
        machine.pass_s(2)
        assert log.now_ns() == last_ns + 3602 * SECOND_NS


def test_this_machine_tells_its_start_and_how_long_ago_that_was() -> None:
    assert read_boot() == read_boot()
    assert 0 < read_up_ns() <= read_up_ns()


def test_a_queue_that_cannot_be_is_refused_and_what_fails_is_undone(tmp_path: Path) -> None:
    (tmp_path / "log.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(OutputError, match="cannot use"):
        open_log(tmp_path, Machine())
    (tmp_path / "log.sqlite").unlink()
    with open_log(tmp_path, Machine()) as log:
        with log._transaction() as connection:
            connection.execute("DROP TABLE line")
        with pytest.raises(OutputError, match="cannot write down what waits: no such table"):
            log.write()
        with log._transaction() as connection:
            connection.execute("CREATE TABLE line (x)")
        log.write()


def test_one_who_comes_and_goes_takes_no_lock_of_others_along(tmp_path: Path) -> None:
    write = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); "
    write += "c.execute('INSERT INTO line VALUES (1)'); c.commit(); c.close()"
    with open_log(tmp_path, Machine()) as log:
        for count in (1, 3):
            log.write()
            open_log(tmp_path, Machine()).close()
            command = [sys.executable, "-P", "-c", write, str(tmp_path / "log.sqlite")]
            subprocess.run(command, check=True, timeout=60)
            assert log._query("SELECT count(*) FROM line") == [(count + 1,)]
