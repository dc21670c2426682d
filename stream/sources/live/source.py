"""A live source: connected and kept connected, decoded in threads of its own, the newest wins."""

import time
from collections import deque
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Self

from neurosono.engine.contracts.errors import InputError, SourceBrokenError
from neurosono.stream.pictures.picture import Picture
from neurosono.stream.processes.legacy import Legacy
from neurosono.stream.sources.clip import FALLBACK_RATE_HZ, Region
from neurosono.stream.sources.exam_source import open_source
from neurosono.stream.sources.live.clock import Jump, LiveClock
from neurosono.stream.sources.live.device_modes import ModeWish
from neurosono.stream.sources.live.feed import Feed, FeedInfo, FeedOptions, Shot, StreamFeed, Tally
from neurosono.stream.sources.live.handover import Handover
from neurosono.stream.sources.live.igtl_feed import IgtlFeed
from neurosono.stream.sources.live.keeper import Keeper
from neurosono.stream.sources.live.latest import Latest
from neurosono.stream.sources.live.links import LOOP_PREFIX, Link, LinkKind, check_srt, parse_link
from neurosono.stream.sources.live.loop import RecordedFeed
from neurosono.stream.sources.live.reasons import tell_reason
from neurosono.stream.sources.live.reconnect import FIRST_DELAY_S, LONGEST_DELAY_S, Backoff

OnEvent = Callable[[str, dict[str, Any]], None]
"""Hears a name and its fields, all fit for JSON; `at_ns` is when it happened (monotonic)."""

TAKE_S = 0.1
"""How long `pictures` waits before it looks whether the source was closed."""

MOST_EVENTS = 1000
"""Events that wait for a taker who does not take; the oldest go first, and are counted."""

RESTART_WITHIN_S = 1.0
"""A sender whose clock falls back to within so much of where it began has begun anew."""

_REACHED = frozenset(LinkKind) - {LinkKind.UDP, LinkKind.LOOP}
"""What trying again is a burden to. To listen again burdens nobody, and pauses miss what comes."""


@dataclass(frozen=True)
class LiveOptions:
    """How to open a live source, and whom to tell what happens to it.

    `on_event` hears `connected`, `second-sender`, `lost`, `reconnecting`, `timeout`, `clock-jump`,
    `size-change`, `stream-restart`, `damage`, `recovered`, `stuck` and, of a recording
    that is played once, `played`, in the thread that takes pictures. The wish is for capture cards
    alone. `legacy` is what a process before this one left, and what this one leaves to the next.
    """

    wish: ModeWish = field(default_factory=ModeWish)
    open_timeout_s: float = 5.0
    read_timeout_s: float = 2.0
    on_event: OnEvent | None = None
    legacy: Legacy | None = None

    def __post_init__(self) -> None:
        for name in ("open_timeout_s", "read_timeout_s"):
            value = getattr(self, name)
            if not 0 < value <= 3600:
                raise InputError(f"{name} must be over 0 and at most 3600 seconds, found {value}")


@dataclass(frozen=True)
class LiveCounts:
    """What became of every picture so far: `received = taken + overrun + waiting`.

    `overrun` were overwritten by newer ones before they were taken. Never in `received`: `late`
    packets, too old to show when we came to them; `broken` ones, which gave no picture. `damaged`
    of the received pictures were marked so. `lost_bytes` came when nobody read at all,
    `strangers` are datagrams of another sender than the one that was followed.
    """

    received: int
    taken: int
    overrun: int
    waiting: int
    late: int
    broken: int
    damaged: int
    lost_bytes: int
    strangers: int
    connections: int
    events_lost: int


class LiveSource:
    """Pictures as they come (a `Source`), through every loss of the connection.

    `index` of its pictures counts what was received: a gap is what was overrun. `clip` counts
    connections, and what began anew or changed its size inside one. `feed` makes the connections;
    `once` tells that the first of them is all there is, and `let_go` is called at the end.
    """

    def __init__(
        self,
        link: Link,
        options: LiveOptions,
        feed: Callable[[Tally], Feed],
        *,
        once: bool = False,
        let_go: Callable[[], None] = lambda: None,
    ) -> None:
        self._link, self._options, self._let_go = link, options, let_go
        self._tally = Tally()
        self._slot: Latest[Picture] = Latest()
        self._events: deque[tuple[str, dict[str, Any]]] = deque(maxlen=MOST_EVENTS)
        self._events_lost = 0
        self._clock = LiveClock()
        self._index, self._clip, self._damaged = 0, -1, 0
        self._connections = 0
        self._first_raw_s: float | None = None
        self._last_shape: tuple[int, ...] | None = None
        self._was_damaged = False
        self._strangers: int | None = 0
        self._info: FeedInfo | None = None
        self._is_closed = False
        self._keeper = Keeper(
            lambda: feed(self._tally),
            on_open=self._begin,
            on_shot=self._deliver,
            on_event=self._tell,
            backoff=Backoff(longest_s=LONGEST_DELAY_S if link.kind in _REACHED else FIRST_DELAY_S),
            open_timeout_s=options.open_timeout_s,
            read_timeout_s=options.read_timeout_s,
            explain_error=partial(tell_reason, link=link),
            once=once,
        )

    @property
    def is_over(self) -> bool:
        """Whether no picture will come any more, and none waits to be taken."""
        over = self._is_closed or self._keeper.played  # asked first: the last one may come now
        return over and not self._slot.counts.waiting

    @property
    def description(self) -> str:
        """The kind of source; never an address, which may hold a password or a person's name."""
        if self._link.kind is LinkKind.LOOP and self._info is not None:
            return f"loop of {self._info.codec}"
        return self._link.kind.value

    @property
    def nominal_rate_hz(self) -> float:
        """The rate that the source states, once it is connected."""
        return self._info.rate_hz if self._info is not None else FALLBACK_RATE_HZ

    @property
    def repaired_timestamps(self) -> int:
        """How many timestamps were missing or impossible so far."""
        return self._clock.repaired

    @property
    def us_regions(self) -> Mapping[int, tuple[Region, ...]]:
        """Where the source itself says that ultrasound is: no live source does."""
        return {}

    @property
    def counts(self) -> LiveCounts:
        """What became of every picture so far."""
        slot = self._slot.counts
        return LiveCounts(
            received=slot.put,
            taken=slot.taken,
            overrun=slot.overrun,
            waiting=slot.waiting,
            damaged=self._damaged,
            connections=self._connections,
            events_lost=self._events_lost,
            **asdict(self._tally),
        )

    def take(self, timeout_s: float) -> Picture | None:
        """Return the newest picture; None if none came in `timeout_s`, or if it is closed.

        Events are told first, in this thread. Raises `SourceBrokenError` if the source can never
        give a picture again.
        """
        if self._is_closed:
            return None
        self._keeper.start()
        picture = self._slot.take(timeout_s)
        self._tell_events()
        failed = picture is None and self._keeper.failure is not None
        if failed and not self._slot.counts.waiting:
            raise SourceBrokenError(str(self._keeper.failure), frame=self._index)
        return picture

    def fileno(self) -> int:
        """Return a descriptor that is readable once `take` has something to say."""
        return self._slot.fileno()

    def pictures(self) -> Generator[Picture]:
        """Yield the newest picture again and again, until `close`."""
        try:
            while not self._is_closed:
                picture = self.take(TAKE_S)
                if picture is not None:
                    yield picture
        finally:
            self.close()

    def close(self) -> None:
        """End all threads; at most a timeout later, where FFmpeg itself waits for the sender."""
        self._is_closed = True
        self._keeper.stop()
        self._slot.wake()
        self._keeper.join()
        self._let_go()
        self._tell_events()
        self._slot.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self, info: FeedInfo) -> None:
        self._info = info
        self._clock.begin()
        self._clip += 1
        self._connections += 1
        self._first_raw_s = None
        self._was_damaged = False
        self._strangers = self._tally.strangers
        fields = {**asdict(info), "kind": self._link.kind.value, "clip": self._clip}
        self._tell("connected", fields)

    def _deliver(self, shot: Shot) -> None:
        pts_s, jump = self._clock.stamp(shot.raw_s, shot.received_ns)
        if jump is not None:
            self._tell_jump(jump, shot, pts_s)
        elif self._first_raw_s is None:
            self._first_raw_s = shot.raw_s
        self._note_shape(shot, pts_s)
        self._note_strangers()
        if shot.damaged != self._was_damaged:
            self._was_damaged = shot.damaged
            self._tell("damage" if shot.damaged else "recovered", {"pts_s": pts_s})
        self._damaged += shot.damaged
        picture = Picture(
            index=self._index,
            clip=self._clip,
            pts_s=pts_s,
            decoded=shot.decoded,
            decode_ms=shot.decode_ms,
            received_ns=shot.received_ns,
            damaged=shot.damaged,
            chroma=shot.chroma,
            scale=shot.scale,
        )
        self._index += 1
        self._slot.put(picture)

    def _tell_jump(self, jump: Jump, shot: Shot, pts_s: float) -> None:
        first_s, raw_s = self._first_raw_s, shot.raw_s
        fields = {"step_s": jump.step_s, "elapsed_s": jump.elapsed_s, "pts_s": pts_s}
        has_restarted = (
            jump.step_s < 0
            and shot.stands_alone
            and first_s is not None
            and raw_s is not None
            and raw_s <= first_s + RESTART_WITHIN_S
        )
        if has_restarted:
            self._clip += 1
        self._tell("stream-restart" if has_restarted else "clock-jump", fields)

    def _note_shape(self, shot: Shot, pts_s: float) -> None:
        shape, last = shot.decoded.shape, self._last_shape
        self._last_shape = shape
        if last is None or shape == last:
            return
        self._clip += 1
        self._tell("size-change", {"width_px": shape[1], "height_px": shape[0], "pts_s": pts_s})

    def _note_strangers(self) -> None:
        """Tell once a connection that another sender uses the port as well."""
        if self._strangers is not None and self._tally.strangers > self._strangers:
            self._tell("second-sender", {"ignored": self._tally.strangers - self._strangers})
            self._strangers = None

    def _tell(self, name: str, fields: dict[str, Any]) -> None:
        if len(self._events) == MOST_EVENTS:
            self._events_lost += 1
        self._events.append((name, {**fields, "at_ns": time.monotonic_ns()}))
        self._slot.wake()

    def _tell_events(self) -> None:
        while self._events:
            name, fields = self._events.popleft()
            if self._options.on_event is not None:
                self._options.on_event(name, fields)


def open_live(argument: str, *, options: LiveOptions | None = None) -> LiveSource:
    """Return the live source that `argument` names; connecting begins with the first `take`.

    Raises `SourceError` for an argument that can never work: an address that is none, a capture
    card that is not there, a recording that cannot be read. A sender that is silent or absent is no
    error: the source keeps trying.
    """
    options = options or LiveOptions()
    link = parse_link(argument)
    if link.kind is LinkKind.LOOP:
        recording = open_source([argument.removeprefix(LOOP_PREFIX)], frame_threads=False)
        return LiveSource(link, options, lambda _: RecordedFeed(lambda: recording))
    if link.kind is LinkKind.SRT:
        check_srt()
    waits = FeedOptions(options.open_timeout_s, options.read_timeout_s, options.wish)
    if link.kind is LinkKind.IGTL:
        return LiveSource(link, options, lambda tally: IgtlFeed(link, waits, tally))
    handover = Handover(link, options.legacy)

    def connect(tally: Tally) -> StreamFeed:
        return StreamFeed(link, waits, tally, handover)

    return LiveSource(link, options, connect, let_go=handover.close)
