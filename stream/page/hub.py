"""Between the session and the screens: takes what is to be shown, gives back what people ask for.

The session's thread publishes and never waits: it leaves the newest of everything in a slot. One
encoder thread turns it into JPEG, once for all viewers, and only while somebody watches. Every
viewer has a mailbox of its own, so a slow one delays nobody.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.errors import InputError, RunError
from neurosono.stream.page.allowance import Allowance
from neurosono.stream.page.drafts import URGENCY, Draft, DraftKey, drop_oldest, encode
from neurosono.stream.page.mailbox import Answer, Mailbox, Parcel
from neurosono.stream.page.protocol import (
    Command,
    MessageKind,
    encode_json,
    is_blind,
    withhold_opinion,
)

__all__ = ["Command", "Hub"]

MAX_COMMANDS = 64
"""The session drains them many times a second; more is a jammed key or a broken page."""

MAX_THUMBNAILS = 24
"""Evidence kept for a viewer who comes later: three frames for each of eight classes."""

MAX_KEY_FRAMES = 48
"""Kept frames of one exam that the page lists; the oldest leaves the list, never the record."""

MAX_AGES = 4096
"""Ages of painted pictures that wait to be asked for: four seconds of sixteen screens at 60 Hz."""

MAX_VIEWERS = 16
"""A ward has fewer screens; each costs a connection and its share of the network."""

GIVES_WAY_NS = 2_000_000_000
"""A page answers within milliseconds. Where all places are taken, one that has owed an answer for
so long gives its own up; a tablet that only slept comes back by itself."""

COMMANDS_HZ, COMMANDS_BURST = 10.0, MAX_COMMANDS
"""All screens together. A person presses a key a few times a second at most."""

NEW_EXAMS_HZ, NEW_EXAMS_BURST = 0.1, 3
"""No patient is scanned in ten seconds; three at once are a person who corrects herself."""


@dataclass
class HubCounts:
    """What the hub did since it was made."""

    published: int = 0
    encoded: int = 0
    superseded: int = 0
    commands: int = 0
    commands_refused: int = 0
    viewers_seen: int = 0
    painted: int = 0


@dataclass
class Hub:
    """Fans the newest picture, heatmap, evidence and status out to every viewer; thread-safe.

    An array that is published belongs to the hub from then on: nobody writes to it again.
    `clock_ns` is the monotonic clock.
    """

    clock_ns: Callable[[], int] = time.monotonic_ns
    counts: HubCounts = field(default_factory=HubCounts)
    _viewers: dict[int, Mailbox] = field(default_factory=dict)
    _drafts: dict[DraftKey, Draft] = field(default_factory=dict)
    _lasting: dict[DraftKey, Draft] = field(default_factory=dict)
    _commands: deque[Command] = field(default_factory=deque)
    _painted_ms: deque[float] = field(default_factory=lambda: deque(maxlen=MAX_AGES))
    _last: tuple[Mapping[str, Any], int] | None = None
    _worklist: Parcel | None = None
    _blind: bool = False
    _stopping: bool = False
    _encoder: threading.Thread | None = None
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _allowed: Allowance = field(default_factory=lambda: Allowance(COMMANDS_HZ, COMMANDS_BURST))
    _exams: Allowance = field(default_factory=lambda: Allowance(NEW_EXAMS_HZ, NEW_EXAMS_BURST))

    def publish(self, pixels: Pixels, status: Mapping[str, Any]) -> None:
        """Show the newest picture, `(H, W)` grey or `(H, W, 3)` BGR uint8, and how things stand."""
        self._note(status)
        self._take(Draft(MessageKind.PICTURE, status, self.clock_ns(), pixels))

    def publish_heatmap(self, pixels: Pixels, about: Mapping[str, Any]) -> None:
        """Show a heatmap already drawn over its own frame, `(h, w, 3)` BGR uint8.

        `about` holds `label`, `seq`, and the age of its frame now: `age_ms`, or `pts_s`, which is
        measured against the last status. Raises `InputError` where neither tells it: a heatmap
        without an age is never shown (docs/architecture.md, rule 2).
        """
        said = {"age_ms": self._age_by_time(about)} | dict(about)
        if said["age_ms"] is None:
            raise InputError("a heatmap needs its age: give age_ms, or pts_s and a status before")
        self._take(Draft(MessageKind.HEATMAP, said, self.clock_ns(), pixels))

    def publish_reading(self, reader: str, pixels: Pixels, about: Mapping[str, Any]) -> None:
        """Show what a reader found on a frame: its pixels, and beside them what is to be drawn.

        `about` holds `seq`, `age_ms`, `frame` (what was said, in pixels of the source's picture)
        and `region_px`, where these pixels stand in that picture. The page draws it, never over
        another frame.
        """
        said = {"reader": reader} | dict(about)
        self._take(Draft(MessageKind.READING, said, self.clock_ns(), pixels, reader))

    def publish_evidence(self, label: str, pixels: Pixels, about: Mapping[str, Any]) -> None:
        """Show one of the frames that moved the exam most towards `label`.

        `about` may hold `rank` (0 is the strongest; each rank has one place), `seq`, `pts_s`,
        `probability`, and `exam`, whose change clears it.
        """
        said = {"label": label, "rank": 0, "exam": self._exam()} | dict(about)
        draft = Draft(MessageKind.EVIDENCE, said, self.clock_ns(), pixels, (label, said["rank"]))
        self._take_lasting(draft, MAX_THUMBNAILS)

    def publish_key_frame(
        self, key_frame_id: str, pixels: Pixels, about: Mapping[str, Any]
    ) -> None:
        """List a kept frame, or say anew what became of it: the page shows what was said last.

        `about` holds `label` (or null), `verdict` (`proposed`, `accepted`, `rejected` or
        `reassigned`), and may hold `pts_s`, `plane`, `kept_by` (`key` or `auto`) and `exam`.
        """
        said = {"key_frame_id": key_frame_id, "exam": self._exam()} | dict(about)
        draft = Draft(MessageKind.KEY_FRAME, said, self.clock_ns(), pixels, key_frame_id)
        self._take_lasting(draft, MAX_KEY_FRAMES)

    def publish_status(self, status: Mapping[str, Any]) -> None:
        """Say how things stand, without a picture; at least every 250 ms, or pages go dark."""
        self._note(status)
        if self._viewers:
            said = encode_json(withhold_opinion(status))
            self._post(Parcel(MessageKind.STATUS, said, self.clock_ns()))

    def publish_worklist(self, about: Mapping[str, Any]) -> None:
        """Offer the worklist's entries, and say which was taken and what became of the study.

        Names of patients are in it, so it is a message of its own: no status, and so no log, metric
        or film, ever holds one.
        """
        self._worklist = Parcel(MessageKind.WORKLIST, encode_json(about), self.clock_ns())
        self._post(self._worklist)

    def commands(self) -> list[Command]:
        """Return what people asked for since the last call, in order."""
        with self._changed:
            asked = list(self._commands)
            self._commands.clear()
        return asked

    def note_painted(self, told: Answer) -> None:
        """A browser says that it painted a picture."""
        self.counts.painted += 1
        if told.age_ms is not None:
            self._painted_ms.append(told.age_ms)

    def painted_ages_ms(self) -> list[float]:
        """Return how old each picture was that a browser has painted since the last call.

        From when it was received until the browser's word of it was back here, by one clock: the
        way back is in it, the time until the screen lights up is not.
        """
        return [self._painted_ms.popleft() for _ in range(len(self._painted_ms))]

    def viewers(self) -> int:
        """Return how many screens watch."""
        return len(self._viewers)

    def ask(self, command: Command) -> bool:
        """Take a command from a viewer; returns whether it was taken.

        One too many is refused and counted: more wait than the session takes, or they come faster
        than people press keys.
        """
        now_ns = self.clock_ns()
        with self._changed:
            room = len(self._commands) < MAX_COMMANDS and self._allowed.take(now_ns)
            if not room or (command.name == "new-exam" and not self._exams.take(now_ns)):
                self.counts.commands_refused += 1
                return False
            self.counts.commands += 1
            self._commands.append(command)
            return True

    def attach(self, wake: Callable[[], None]) -> Mailbox:
        """Begin to watch; raises `RunError` where too many do already, and all of them answer."""
        with self._changed:
            if len(self._viewers) >= MAX_VIEWERS:
                self._make_room()
            self.counts.viewers_seen += 1
            mailbox = Mailbox(self.counts.viewers_seen, wake, last_answer_ns=self.clock_ns())
            self._viewers[mailbox.number] = mailbox
            self._drafts |= self._lasting
            if self._worklist is not None:
                mailbox.put(self._worklist)
            self._changed.notify_all()
            return mailbox

    def _make_room(self) -> None:
        now_ns = self.clock_ns()
        mutest = max(self._viewers.values(), key=lambda box: box.silent_ns(now_ns))
        if mutest.silent_ns(now_ns) < GIVES_WAY_NS:
            raise RunError(f"{MAX_VIEWERS} screens watch already; close one of them")
        del self._viewers[mutest.number]
        mutest.close()

    def detach(self, mailbox: Mailbox) -> None:
        """End watching."""
        with self._changed:
            self._viewers.pop(mailbox.number, None)
            if not self._viewers:
                self._drafts.clear()

    def mailboxes(self) -> Sequence[Mailbox]:
        """Return the mailboxes of all viewers."""
        with self._changed:
            return list(self._viewers.values())

    def last_status(self) -> tuple[Mapping[str, Any], float] | None:
        """Return what the session said last and its age in ms, or None before it said anything."""
        last = self._last
        return None if last is None else (last[0], (self.clock_ns() - last[1]) / 1e6)

    def start(self) -> None:
        """Begin to encode, on a thread of the hub's own; the web server calls it."""
        self._stopping = False
        self._encoder = threading.Thread(target=self._encode_all, name="hub-encoder", daemon=True)
        self._encoder.start()

    def stop(self) -> None:
        """End the encoder's thread, and wait for it."""
        if self._encoder is None:
            return
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._encoder.join()
        self._encoder = None

    def flush(self, timeout_s: float) -> None:
        """Wait, but not for long, until every viewer has what was published."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            if not self._drafts and all(each.is_idle for each in self.mailboxes()):
                return
            time.sleep(0.01)

    def _age_by_time(self, about: Mapping[str, Any]) -> float | None:
        """Return how old a frame is by its time in the exam, in ms, or None if nothing tells."""
        last = self.last_status()
        if last is None or "pts_s" not in about or "pts_s" not in last[0]:
            return None
        behind_ms = (last[0]["pts_s"] - about["pts_s"]) * 1e3
        return max(0.0, float(behind_ms)) + float(last[0].get("age_ms") or 0.0) + last[1]

    def _exam(self) -> Any:
        return None if self._last is None else self._last[0].get("exam")

    def _note(self, status: Mapping[str, Any]) -> None:
        """Remember how things stand; what belongs to another exam, or may not be seen, goes."""
        exam, was_blind = status.get("exam"), self._blind
        changed = self._last is not None and self._exam() != exam
        self._last, self._blind = (status, self.clock_ns()), is_blind(status)
        with self._changed:
            if changed:
                self._lasting = {k: d for k, d in self._lasting.items() if d.belongs_to(exam)}
                self._drafts = {k: d for k, d in self._drafts.items() if d.belongs_to(exam)}
            if was_blind and not self._blind and self._viewers:
                self._drafts |= self._lasting  # the second read is over: now it may be seen
                self._changed.notify_all()
        for name, reading in status.get("readings", {}).items():
            if reading["ai"] != "AI ON" or self._blind:
                with self._changed:
                    self._drafts.pop((MessageKind.READING, name), None)
        if status.get("ai") != "AI ON" or self._blind:
            with self._changed:
                self._drafts.pop((MessageKind.HEATMAP, None), None)
            for mailbox in self.mailboxes():
                mailbox.forget(MessageKind.HEATMAP)

    def _take(self, draft: Draft) -> None:
        with self._changed:
            picture = draft.kind is MessageKind.PICTURE
            self.counts.published += picture
            if not self._viewers:
                return
            self.counts.superseded += picture and draft.key in self._drafts
            self._drafts[draft.key] = draft
            self._changed.notify_all()

    def _take_lasting(self, draft: Draft, most: int) -> None:
        with self._changed:
            self._lasting[draft.key] = draft  # said anew, it keeps its place in the row
            drop_oldest(self._lasting, draft.kind, most)
        self._take(draft)

    def _encode_all(self) -> None:
        while True:
            with self._changed:
                while not self._drafts and not self._stopping:
                    self._changed.wait()
                if self._stopping:
                    return
                key = min(self._drafts, key=lambda key: URGENCY[key[0]])
                draft = self._drafts.pop(key)
            for parcel in encode(draft, blind=self._blind):
                self.counts.encoded += parcel.kind is draft.kind
                self._post(parcel)

    def _post(self, parcel: Parcel) -> None:
        for mailbox in self.mailboxes():
            mailbox.put(parcel)
