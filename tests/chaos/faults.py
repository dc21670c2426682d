"""What may befall a session: each fault is made, lasts, and is taken back where it can be."""

import contextlib
import os
import random
import resource
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing

import psutil

from tests.chaos.scene import CAPTURE, ENGINE, Scene, overwrite, pause
from tests.chaos.wallclock import can_be_set
from tests.chaos.watching import Viewer
from tests.support.chromium import has_browser

Fault = Callable[[Scene, Viewer, random.Random], None]


def kill_engine(scene: Scene, viewer: Viewer, rng: random.Random) -> None:
    scene.child(ENGINE).kill()


def stop_engine(scene: Scene, viewer: Viewer, rng: random.Random) -> None:
    hold(scene.child(ENGINE), rng.uniform(0.7, 4.0))


def kill_capture(scene: Scene, viewer: Viewer, rng: random.Random) -> None:
    scene.child(CAPTURE).kill()


def stop_capture(scene: Scene, viewer: Viewer, rng: random.Random) -> None:
    hold(scene.child(CAPTURE), rng.uniform(0.3, 4.0))


def stop_display(scene: Scene, viewer: Viewer, rng: random.Random) -> None:
    assert scene.live is not None
    hold(psutil.Process(scene.live.pid), rng.uniform(0.3, 3.0))


def pause_sender(scene: Scene, viewer: Viewer, rng: random.Random) -> None:
    assert scene.sender is not None
    hold(psutil.Process(scene.sender.pid), rng.uniform(0.3, 3.0))


def restart_sender(scene: Scene, viewer: Viewer, rng: random.Random) -> None:
    """Begin the scanner anew: its clock jumps back to nothing."""
    scene.send()


def lose_datagrams(scene: Scene, viewer: Viewer, rng: random.Random) -> None:
    scene.send("--drop-every", str(rng.randint(20, 200)))
    pause(3.0)
    scene.send()


def lock_journal(scene: Scene, viewer: Viewer, rng: random.Random) -> None:
    with closing(sqlite3.connect(scene.journal, isolation_level=None, timeout=5)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        pause(rng.uniform(0.2, 4.0))
        holder.execute("ROLLBACK")


def move_journal(scene: Scene, viewer: Viewer, rng: random.Random) -> None:
    elsewhere = scene.journal.with_name("elsewhere")
    scene.journal.rename(elsewhere)
    pause(rng.uniform(0.3, 3.0))
    elsewhere.rename(scene.journal)


def unmount_journal(scene: Scene, viewer: Viewer, rng: random.Random) -> None:
    folder = scene.journal.parent
    folder.rename(folder.with_name("away"))
    pause(rng.uniform(0.3, 3.0))
    folder.with_name("away").rename(folder)


def delete_log(scene: Scene, viewer: Viewer, rng: random.Random) -> None:
    scene.journal.with_name(f"{scene.journal.name}-wal").unlink(missing_ok=True)


def fill_disk(scene: Scene, viewer: Viewer, rng: random.Random) -> None:
    """Let the display write nothing more into files: what a full disk does."""
    assert scene.live is not None
    before = resource.prlimit(scene.live.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(scene.live.pid, resource.RLIMIT_FSIZE, (0, before[1]))
    pause(rng.uniform(0.3, 3.0))
    resource.prlimit(scene.live.pid, resource.RLIMIT_FSIZE, before)


def fuzz_ring(scene: Scene, viewer: Viewer, rng: random.Random) -> None:
    for ring in scene.journal.parent.glob("*.ring"):
        overwrite(ring, rng.randrange(1 << 20), 1 << 16)


def cut_ring(scene: Scene, viewer: Viewer, rng: random.Random) -> None:
    for ring in scene.journal.parent.glob("*.ring"):
        os.truncate(ring, rng.choice([0, 7, 5000, 1 << 20]))


def delete_ring(scene: Scene, viewer: Viewer, rng: random.Random) -> None:
    for ring in scene.journal.parent.glob("*.ring"):
        ring.unlink()


def drop_viewer(scene: Scene, viewer: Viewer, rng: random.Random) -> None:
    viewer.drop()


def doze_viewer(scene: Scene, viewer: Viewer, rng: random.Random) -> None:
    viewer.asleep = True
    pause(rng.uniform(1.0, 4.0))
    viewer.asleep = False
    viewer.drop()


def babble(scene: Scene, viewer: Viewer, rng: random.Random) -> None:
    for _ in range(20):
        viewer.send("".join(chr(rng.randrange(32, 1000)) for _ in range(rng.randrange(1, 200))))


def new_exam(scene: Scene, viewer: Viewer, rng: random.Random) -> None:
    viewer.send('{"command": "new-exam", "fields": {}}')


def jump_clock(scene: Scene, viewer: Viewer, rng: random.Random) -> None:
    """Set the clock on the wall forwards and backwards, by little and by weeks."""
    for _ in range(4):
        scene.clock.move_by(rng.choice((-1, 1)) * rng.choice((0.3, 5.0, 3600.0, 4e6)))
        pause(rng.uniform(0.1, 0.6))
    scene.clock.move_by(0.0)


def close_tab(scene: Scene, viewer: Viewer, rng: random.Random) -> None:
    browser = scene.browse()
    browser.tab.close()
    pause(rng.uniform(0.1, 1.0))
    browser.tab = browser.open()


def reload_tab(scene: Scene, viewer: Viewer, rng: random.Random) -> None:
    tab = scene.browse().tab
    tab.reload()
    tab.await_on()


def sleep_tab(scene: Scene, viewer: Viewer, rng: random.Random) -> None:
    tab = scene.browse().tab
    tab.sleep(rng.uniform(1.0, 4.0))
    tab.await_on()


def cut_tab(scene: Scene, viewer: Viewer, rng: random.Random) -> None:
    """Stop the browser's network, which is not told: the tab has its own clock alone."""
    browser = scene.browse()
    with browser.cut():
        scene.tab_off_ms = browser.tab.await_off(time.time())
        pause(rng.uniform(0.1, 2.0))
    browser.tab.await_on()


def open_second_tab(scene: Scene, viewer: Viewer, rng: random.Random) -> None:
    browser = scene.browse()
    second = browser.open()
    pause(rng.uniform(0.3, 1.0))
    browser.tab.await_on()
    second.close()


def hold(process: psutil.Process, seconds: float) -> None:
    """Stop a process for a while."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGSTOP)
        pause(seconds)
        process.send_signal(signal.SIGCONT)


FAULTS: dict[str, Fault] = {
    each.__name__.replace("_", " "): each
    for each in (
        *(kill_engine, stop_engine, kill_capture, stop_capture, stop_display),
        *(pause_sender, restart_sender, lose_datagrams),
        *(lock_journal, move_journal, unmount_journal, delete_log, fill_disk),
        *(fuzz_ring, cut_ring, delete_ring),
        *(drop_viewer, doze_viewer, babble, new_exam),
        *(jump_clock, close_tab, reload_tab, sleep_tab, cut_tab, open_second_tab),
    )
}

OF_A_BROWSER = frozenset(name for name in FAULTS if name.endswith(" tab"))


def list_possible() -> list[str]:
    """Return the faults that can be made here: a movable clock needs `cc`, a tab a browser."""
    without = set() if can_be_set() else {"jump clock"}
    return sorted(set(FAULTS) - without - (set() if has_browser() else OF_A_BROWSER))
