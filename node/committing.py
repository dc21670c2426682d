"""Whether instances are safe: senders ask the node, the node asks the PACS, and tells what it says.

The node commits nothing itself, for it keeps nothing.
"""

import contextlib
import threading
import time
from typing import Any, Self
from weakref import WeakValueDictionary

from pydicom.dataset import Dataset
from pynetdicom import evt

from neurosono.engine.contracts.errors import InputError, NeurosonoError, OutputError
from neurosono.node.commitments import Commitments, Request, RequestStanding
from neurosono.node.options import Judging, Listening
from neurosono.stream.hospital.commitment import (
    ALL_SAFE,
    DUPLICATE,
    INSTANCE,
    REQUEST,
    SOME_FAILED,
    asking_commitment,
    read_report,
    read_request,
    tell_commitment,
    tell_on,
)

LOOK_S = 0.2
HEAR_S = 3.0
MOST_WAITING = 1000
"""Requests that wait at once; more are refused."""
TAKEN, FAILED, NO_SUCH_INSTANCE, NO_SUCH_EVENT = 0x0000, 0x0110, 0x0112, 0x0113
INVALID, NO_SUCH_ACTION, NOT_ALLOWED, NO_ROOM = 0x0115, 0x0123, 0x0124, 0x0213
"""PS3.7 C.4 and C.5."""


class Committing:
    """Answers senders on their own threads, and asks and tells on one of its own."""

    def __init__(self, queue: Commitments, listening: Listening, asked: Judging) -> None:
        self._queue, self._listening, self._asked = queue, listening, asked
        self._open: WeakValueDictionary[int, Any] = WeakValueDictionary()
        """The associations on which was asked, as long as they live."""
        self.reporters = asked.list_titles()
        """Who may come in to report, and need not be allowed to store."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="committing", daemon=True)

    def ask(self, event: evt.Event) -> tuple[int | Dataset, None]:
        """Take a request (N-ACTION): what is answered with success is on the disk."""
        sender = str(event.assoc.requestor.ae_title).strip()
        status, why = self._take(event, sender)
        answer = Dataset()
        answer.Status = status
        if why:
            answer.ErrorComment = why[:64]
        return answer, None

    def _take(self, event: evt.Event, sender: str) -> tuple[int, str]:
        if not self._listening.admits(sender):
            return NOT_ALLOWED, "it may not ask here"
        if event.request.RequestedSOPInstanceUID != INSTANCE:
            return NO_SUCH_INSTANCE, ""
        if event.action_type != REQUEST:
            return NO_SUCH_ACTION, ""
        if self._asked.find_node(sender) is None:
            return FAILED, "there is no PACS to ask for it"
        try:
            number, instances = read_request(event.action_information)
            if self._queue.count_waiting() >= MOST_WAITING:
                return NO_ROOM, f"{MOST_WAITING} requests wait: ask again later"
            taken = self._queue.take(sender, number, instances)
        except OutputError:
            return NO_ROOM, "it cannot be written down: ask again later"
        except InputError as error:
            return INVALID, str(error)
        except Exception:  # noqa: BLE001 (of a stranger's bytes)
            return INVALID, "it cannot be read"
        if taken is None:
            return DUPLICATE, "that TransactionUID is under way for others"
        self._open[taken] = event.assoc
        return TAKEN, ""

    def hear(self, event: evt.Event) -> tuple[int, None]:
        """Hear what a PACS reports (N-EVENT-REPORT): once it is told so, that is on the disk."""
        if event.event_type not in (ALL_SAFE, SOME_FAILED):
            return NO_SUCH_EVENT, None
        try:
            known = self._queue.answer(read_report(event.event_information))
        except OutputError:
            return NO_ROOM, None  # it says so again
        except Exception:  # noqa: BLE001 (of a stranger's bytes)
            return INVALID, None
        return (TAKEN if known else INVALID), None

    def look(self) -> None:
        """Do what is due; raises `OutputError` where the queue cannot be read or written."""
        for request in self._queue.list_due():
            match request.standing:
                case RequestStanding.ASKED:
                    self._pass_on(request)
                case RequestStanding.PASSED:
                    self._queue.fail(request)  # the PACS had a day
                case _:
                    self._tell(request)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(LOOK_S):
            with contextlib.suppress(NeurosonoError):  # a full disk: the next look tries again
                self.look()

    def _pass_on(self, request: Request) -> None:
        node = self._asked.find_node(request.sender)
        if node is None:  # the node was started anew with other routes
            self._queue.fail(request)
            return
        self._queue.try_now(request)
        try:
            with asking_commitment(node, request.ours, request.asked, self.hear) as association:
                self._queue.pass_on(request)
                self._listen(association, request)
        except NeurosonoError as error:
            if self._queue.say(request, str(error)):
                self._queue.fail(request)

    def _listen(self, association: Any, request: Request) -> None:
        """Keep the association for a while: some report on it, most open one of their own."""
        until_s = time.monotonic() + HEAR_S
        while association.is_established and time.monotonic() < until_s:
            if self._queue.find(request.id).standing is RequestStanding.ANSWERED or self._stop.wait(
                0.02
            ):
                return

    def _tell(self, request: Request) -> None:
        node, association = self._find_ears(request)
        if node is None and association is None:
            title = request.sender
            why = f"its association is closed; say where it listens: --allow {title}@HOST:PORT"
            self._queue.end(request, RequestStanding.GIVEN_UP, why)
            return
        self._queue.try_now(request)
        what = request.number, request.asked, request.failed
        try:
            if node is None:
                tell_on(association, None, *what)
            else:
                tell_commitment(node, *what)
        except NeurosonoError as error:
            if self._queue.say(request, str(error)):
                self._queue.end(request, RequestStanding.GIVEN_UP, str(error))
            return
        safe = sum(each.sop_instance not in request.failed for each in request.asked)
        words = f"the PACS has committed {safe} of {len(request.asked)} instances"
        self._queue.end(request, RequestStanding.TOLD, words)

    def _find_ears(self, request: Request) -> tuple[Any, Any]:
        """Return where the sender listens, or else the association on which it asked."""
        node = self._listening.find_scanner(request.sender)
        association = self._open.get(request.id)
        if association is not None and not association.is_established:
            association = None
        return node, association
