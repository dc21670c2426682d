"""The way of frames to one engine, and what becomes of those that it does not answer."""

from collections import deque
from collections.abc import Callable, Collection

from msgspec.structs import replace

from neurosono.engine.contracts.frame import Frame, SkipReason
from neurosono.stream.processes.channel import Outlet
from neurosono.stream.processes.wire import Event

MAX_UNANSWERED = 65536
"""Sampled frames remembered (without pixels) in case the engine dies before it answers: 18 minutes
at 60 Hz, far longer than a dead engine goes unnoticed."""


class Lane:
    """Sends frames to one engine; those that it left are handed back, each once.

    `stopped` takes in the words of others and says whether to give up waiting; `hand_back` gets a
    frame, without pixels and with the reason why, that no engine will answer.
    """

    def __init__(
        self,
        outlet: Outlet,
        stopped: Callable[[], bool],
        hand_back: Callable[[Frame], None],
        *,
        newest_wins: bool,
    ) -> None:
        self.outlet, self._stopped, self._hand_back = outlet, stopped, hand_back
        self._newest_wins = newest_wins
        self._is_off = False
        self._sent: deque[Frame] = deque(maxlen=MAX_UNANSWERED)

    @property
    def unanswered(self) -> int:
        """How many sampled frames are remembered, for nobody has said that they are recorded."""
        return len(self._sent)

    def send(self, frame: Frame) -> None:
        """Send a frame; where newer ones win, one that still waits travels on without pixels."""
        if self._is_closed():
            self._hand_back(_skip(frame, SkipReason.ENGINE_OFF))
            return
        self._sent.append(_skip(frame, SkipReason.ENGINE_OFF))
        if frame.skip_reason is not None:
            self.outlet.send_always(frame)
        elif self._newest_wins:
            displaced = self.outlet.send_newest(frame)
            if isinstance(displaced, Frame):
                self.outlet.send_always(_skip(displaced, SkipReason.SUPERSEDED))
        else:
            self.outlet.send_waiting(frame, self._is_closed)

    def turn_off(self, next_seq: int, answered: Collection[int]) -> None:
        """Send no more; hand back what was not answered: all but `answered` from `next_seq` on."""
        if self._is_off:
            return
        self._is_off = True
        self.outlet.forget_frames()  # or the next engine would judge what is counted here
        for frame in self._sent:
            if frame.seq >= next_seq and frame.seq not in answered:
                self._hand_back(frame)

    def turn_on(self) -> None:
        """Send to a new engine."""
        self._is_off = False
        self._sent.clear()

    def begin_exam(self, event: Event) -> None:
        """Say that another exam begins with the next frame; one that still waits is passed over.

        Sent after the word it would be taken for a frame of the next exam.
        """
        held = self.outlet.take_back()
        if isinstance(held, Frame):
            self.outlet.send_always(_skip(held, SkipReason.SUPERSEDED))
        self.outlet.send_always(event)

    def forget(self, next_seq: int) -> None:
        """All before `next_seq` are accounted for."""
        while self._sent and self._sent[0].seq < next_seq:
            self._sent.popleft()

    def flush(self) -> None:
        """Send what is held."""
        self.outlet.flush(self._is_closed)

    def end(self, end: Event) -> None:
        """Say that no frame comes any more."""
        self.outlet.send_always(end)
        self.flush()

    def _is_closed(self) -> bool:
        stopped = self._stopped()
        return self._is_off or stopped


def _skip(frame: Frame, reason: SkipReason) -> Frame:
    return replace(frame, pixels=None, skip_reason=frame.skip_reason or reason)
