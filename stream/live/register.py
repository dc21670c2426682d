"""Whose the running exam is, by the hospital's worklist, and whether its study has arrived.

Names go from here to the screens and into the key file beside the journal, and nowhere else: not
into a status, an event, a log or a film.
"""

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurosono.engine.contracts.errors import InputError, NeurosonoError, RunError
from neurosono.stream.hospital.entry import Entry
from neurosono.stream.hospital.identities import forget_step, keep_identity, read_kept
from neurosono.stream.hospital.node import Node
from neurosono.stream.hospital.outbox import (
    STUDY,
    ErrandStanding,
    Outbox,
    Outcome,
    Row,
    Step,
    Study,
)
from neurosono.stream.hospital.query import UTF_8, Question, ask_worklist, name_today
from neurosono.stream.hospital.queue import GIVE_UP_S
from neurosono.stream.page.protocol import Command

POSTING = "neurosono.stream.study.posting"
LOOK_S = 1.0
"""How often the outbox is looked at."""
DONE_FOR_S = 7 * 86_400
"""How long a new session still knows of what was sent and told."""
LONGEST_SENDING_S = 300.0
OPEN_S = 3600
"""How often the step of an exam that goes on is said to be under way still."""
SETTLE_S = 30.0
"""How long a session that ended waits for its study to arrive before it leaves that to the next."""


@dataclass(frozen=True)
class Registering:
    """Where the worklist is, and where the study of an exam that ended goes.

    `accession` is taken at once; `codes` and `pdf` are as in `neurosono study`; `mpps` is told when
    an exam that took an entry begins and ends.
    """

    worklist: Node
    send: Node | None = None
    accession: str | None = None
    fallback: str = UTF_8
    codes: str = "snomed"
    pdf: bool = False
    mpps: Node | None = None

    def __post_init__(self) -> None:
        Question(self.worklist, "", self.fallback)  # refuses a character set that is none

    def question(self) -> Question:
        """Return what to ask now."""
        return Question(self.worklist, name_today(), self.fallback)


class Register:
    """Offers the day's entries, keeps the one that an exam takes, and sends what ended.

    Every method returns at once; `publish` gets, on other threads, what the screens are to show.
    """

    def __init__(
        self,
        plan: Registering,
        journal: Path,
        bundle: str | None,
        publish: Callable[[dict[str, Any]], None],
        flush: Callable[[], object],
        *,
        ask: Callable[[Question], list[Entry]] = ask_worklist,
    ) -> None:
        """`flush` waits until the journal's file has what was said; `bundle` judges the exams."""
        self._plan, self._journal, self._bundle = plan, journal, bundle
        self._publish, self._flush, self._ask_worklist = publish, flush, ask
        self._asking = ThreadPoolExecutor(1, "worklist")
        self._doing = ThreadPoolExecutor(1, "register")
        self._lock = threading.Lock()
        self._exam_id = ""
        self._entries: list[Entry] | None = None
        self._said, self._asks = "", False
        self._taken: Entry | None = None
        self._last: str | None = None
        """The exam that was last handed to the outbox."""
        self._note: str = ""
        self._outbox = Outbox(journal)
        self._stop = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._poster = threading.Thread(target=self._post_all, name="outbox", daemon=True)
        self._poster.start()

    def begin(self) -> None:
        """Ask for the first time; where an entry was named from the start, wait, and take it.

        Raises `InputError` where that one cannot be had.
        """
        if self._plan.accession is None:
            self.obey(Command("worklist"))
            return
        try:
            self._entries = self._ask_worklist(self._plan.question())
        except RunError as error:
            raise InputError(f"--accession cannot be looked up: {error}") from error
        found = [each for each in self._entries if each.accession == self._plan.accession]
        if len(found) != 1:
            count = f"{len(found)} entries" if found else "no entry"
            raise InputError(
                f"{self._plan.worklist.where} has {count} of today with the accession number of "
                "--accession: leave it out, and choose on the page"
            )
        self._taken = found[0]

    def open_exam(self, exam_id: str) -> None:
        """Another exam runs: nobody has said yet whose it is, unless it was taken up again."""
        with self._lock:
            taken = self._taken if not self._exam_id else None
            self._exam_id = exam_id
            self._taken = kept = taken or read_kept(self._journal, exam_id)
        if taken is not None:
            self._doing.submit(self._keep, exam_id, taken)
        elif kept is not None:
            self._doing.submit(self._begin_step, exam_id, kept)
        self._show()

    def obey(self, command: Command) -> None:
        """Do what a person at a screen asks."""
        if command.name == "worklist":
            self._asks = True
            self._asking.submit(self._ask)
            self._show()
        elif command.name == "take":
            self._take(command.fields["accession"], command.fields.get("step", ""))

    def close_exam(self, exam_id: str, *, begun: bool) -> None:
        """The exam ended; without a frame it never was one."""
        with self._lock:
            taken, self._last = self._taken, exam_id if begun else self._last
        self._doing.submit(self._hand_over, exam_id, begun=begun, taken=taken is not None)

    def settle(self, longest_s: float = SETTLE_S) -> str:
        """Wait, but not for long, until the last study has arrived; returns how it stands."""
        self._doing.submit(int).result()
        deadline_s = time.monotonic() + longest_s
        while time.monotonic() < deadline_s:
            waiting = (
                row is not None and row.standing is ErrandStanding.WAITING and not row.said
                for row in (self._find_study(), self._find_step())
            )
            if not any(waiting):
                break
            self._stop.wait(0.05)
        return self._tell_study()["words"]

    def close(self) -> None:
        """End; what is not sent stays in the outbox."""
        self._stop.set()
        child = self._child
        if child is not None:
            child.terminate()
        self._poster.join()
        self._asking.shutdown(cancel_futures=True)
        self._doing.shutdown()
        self._outbox.close()

    def _ask(self) -> None:
        try:
            found, said = self._ask_worklist(self._plan.question()), ""
        except NeurosonoError as error:
            found, said = None, str(error)
        with self._lock:
            self._entries, self._said, self._asks = found, said, False
        self._show()

    def _take(self, accession: str, step: str) -> None:
        with self._lock:
            offered = self._entries or []
            found = [e for e in offered if (e.accession, e.step) == (accession, step)]
            if not found or not self._exam_id:
                return  # another screen has asked anew meanwhile; this one has heard of it
            if self._taken == found[0]:
                return
            self._taken, exam_id = found[0], self._exam_id
        self._doing.submit(self._keep, exam_id, found[0])
        self._show()

    def _keep(self, exam_id: str, entry: Entry) -> None:
        try:
            keep_identity(self._journal, exam_id, entry)
        except NeurosonoError:
            with self._lock:
                self._taken = None
                self._said = "whose exam this is could not be written down: free some space"
            self._show()
        else:
            self._begin_step(exam_id, entry)

    def _begin_step(self, exam_id: str, entry: Entry) -> None:
        """Have the hospital told that the exam of this entry runs, and of no other entry any more.

        An exam that is taken up again is the step that it was.
        """
        mpps = self._plan.mpps
        if mpps is None:
            return
        try:
            known = self._list_steps(exam_id)
            number, last = known[-1] if known else (STUDY, None)
            if last is not None and last.outcome is None:
                if read_kept(self._journal, exam_id, number) == entry:
                    return
                self._end_step(exam_id, Outcome.WRONG_ENTRY)
            number += 1
            keep_identity(self._journal, exam_id, entry, number)
            self._outbox.put(exam_id, number, Step.begin(mpps, time.time_ns()))
        except NeurosonoError as error:
            self._note = f"{mpps.where} is not told that the exam begins: {error}"
            self._show()

    def _end_step(self, exam_id: str, outcome: Outcome) -> None:
        try:
            for number, step in self._list_steps(exam_id):
                if step.outcome is None:
                    self._outbox.put(exam_id, number, step.end(outcome, time.time_ns()))
        except NeurosonoError as error:
            self._note = f"the step of exam {exam_id} is not told to be over: {error}"

    def _hand_over(self, exam_id: str, *, begun: bool, taken: bool) -> None:
        if not begun:
            self._end_step(exam_id, Outcome.ABANDONED)
            forget_step(self._journal, exam_id, 0)
            return
        self._post(exam_id, taken=taken)
        self._end_step(exam_id, Outcome.COMPLETED)  # now it is known what the exam gave
        self._show()

    def _post(self, exam_id: str, *, taken: bool) -> None:
        if self._plan.send is None:
            return
        if not taken:
            self._note = f"exam {exam_id} was not sent: no entry of the worklist was taken for it"
            self._show()
            return
        self._note = ""
        self._flush()
        plan, send = self._plan, self._plan.send
        study = Study(
            node=send.words,
            own_title=send.own_title,
            tls=send.tls,
            bundle=self._bundle,
            codes=plan.codes,
            pdf=plan.pdf,
        )
        try:
            self._outbox.put(exam_id, STUDY, study)
        except NeurosonoError as error:
            self._note = f"exam {exam_id} was not sent: {error}"
        self._show()

    def _post_all(self) -> None:
        with contextlib.suppress(NeurosonoError):
            self._outbox.forget(self._outbox.now_ns() - DONE_FOR_S * 10**9)
        while not self._stop.wait(LOOK_S):
            try:
                self._keep_open()
                if not self._outbox.list_due():
                    continue
            except NeurosonoError:
                continue  # the next look tries again
            command = [sys.executable, "-P", "-m", POSTING, str(self._journal)]
            try:
                child = self._child = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
                _await(child)
            except OSError:
                continue  # no process to be had: the next look tries again
            self._show()

    def _keep_open(self) -> None:
        """The step of an exam that runs is not abandoned, however long that runs."""
        row = self._find_step()
        if row is None or row.exam_id != self._exam_id or row.standing is not ErrandStanding.BEGUN:
            return
        if row.next_ns - self._outbox.now_ns() < (GIVE_UP_S - OPEN_S) * 10**9:
            self._outbox.note(row, ErrandStanding.BEGUN)

    def _tell_study(self) -> dict[str, str]:
        study, step = self._find_study(), self._find_step()
        words = [self._note or ("" if study is None else self._outbox.tell(study))]
        words.append("" if step is None else self._outbox.tell(step))
        standing = "none" if self._note or study is None else str(study.standing)
        return {"standing": standing, "words": "; ".join(each for each in words if each)}

    def _find_study(self) -> Row | None:
        try:
            return None if self._last is None else self._outbox.find(self._last)
        except NeurosonoError:
            return None

    def _find_step(self) -> Row | None:
        """Return the step to tell of: of the exam that runs where that has one, else the last."""
        for exam_id in (self._exam_id, self._last):
            with contextlib.suppress(NeurosonoError):
                if exam_id and (known := self._outbox.list_of(exam_id)) and known[-1].number:
                    return known[-1]
        return None

    def _list_steps(self, exam_id: str) -> list[tuple[int, Step]]:
        rows = self._outbox.list_of(exam_id)
        return [(row.number, row.what) for row in rows if isinstance(row.what, Step)]

    def _show(self) -> None:
        with self._lock:
            entries = self._entries
            about = {
                "exam": self._exam_id,
                "asks": self._asks,
                "entries": None if entries is None else [each.show() for each in entries],
                "said": self._said,
                "taken": None if self._taken is None else self._taken.show(),
            }
        self._publish({**about, "study": self._tell_study()})


def _await(child: subprocess.Popen[bytes]) -> None:
    """Wait for a process that sends, but not for ever."""
    try:
        child.wait(LONGEST_SENDING_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
