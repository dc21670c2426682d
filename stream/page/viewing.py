"""One browser that watches: sends what its mailbox gives, takes its acknowledgements and wishes."""

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from neurosono.engine.contracts.errors import WireError
from neurosono.stream.page.allowance import Allowance
from neurosono.stream.page.hub import Hub
from neurosono.stream.page.mailbox import Mailbox
from neurosono.stream.page.protocol import (
    MAX_NUMBER,
    MessageKind,
    encode_json,
    pack_message,
    parse_answer,
    parse_command,
)

SILENT_S = 20.0
"""A viewer that owes an answer for so long sleeps or is gone; its page opens a new connection."""

TICK_S = 0.05
"""How often a throttled status is looked at again: half of the gap between two of them."""

MAX_REFUSED = 16
"""A page of ours sends nothing that is refused; after so much nonsense we hang up."""

WORDS_HZ, WORDS_BURST = 500.0, 2000
"""A page acknowledges each message: some hundred a second at 60 Hz, more after a hiccup."""

POLICY_VIOLATION = 1008
TRY_AGAIN_LATER = 1013


class Viewing:
    """One viewer's connection, from its greeting to its end."""

    def __init__(
        self,
        socket: WebSocket,
        hub: Hub,
        labels: Sequence[str],
        greeting: Mapping[str, Any],
        *,
        read_only: bool,
    ) -> None:
        self._socket, self._hub, self._labels = socket, hub, tuple(labels)
        self._greeting, self._read_only = greeting, read_only
        self._filled = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._refused = 0
        self._words = Allowance(WORDS_HZ, WORDS_BURST)

    async def run(self, mailbox: Mailbox) -> None:
        """Serve until either end hangs up."""
        greeting = encode_json({"n": 0, "hello": {**self._greeting, "viewer": mailbox.number}})
        await self._socket.send_bytes(pack_message(MessageKind.STATUS, greeting))
        tasks = [asyncio.ensure_future(part(mailbox)) for part in (self._feed, self._listen)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for one in ended:
            if isinstance(one, Exception) and not isinstance(one, WebSocketDisconnect):
                raise one
        if self._socket.application_state is WebSocketState.CONNECTED:
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                await self._socket.close(POLICY_VIOLATION if self._refused else TRY_AGAIN_LATER)

    def wake(self) -> None:
        """Say, from any thread, that there is something to send."""
        with contextlib.suppress(RuntimeError):  # the server has just ended
            self._loop.call_soon_threadsafe(self._filled.set)

    async def _feed(self, mailbox: Mailbox) -> None:
        while True:
            self._filled.clear()
            while (message := mailbox.take(time.monotonic_ns())) is not None:
                try:
                    async with asyncio.timeout(SILENT_S):
                        await self._socket.send_bytes(message)
                except TimeoutError:
                    return
            if mailbox.closed or mailbox.silent_ns(time.monotonic_ns()) > SILENT_S * 1e9:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._filled.wait()

    async def _listen(self, mailbox: Mailbox) -> None:
        while self._refused < MAX_REFUSED:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if not self._words.take(time.monotonic_ns()):
                self._refused = MAX_REFUSED
                self._hub.counts.commands_refused += 1
                return
            try:
                self._hear(mailbox, message.get("text") or "")
            except WireError:
                self._refused += 1
                self._hub.counts.commands_refused += 1

    def _hear(self, mailbox: Mailbox, text: str) -> None:
        answer = parse_answer(text)
        if "ack" not in answer:
            command = parse_command(answer, self._labels, mailbox.number)
            if self._read_only:
                raise WireError("this screen may watch only")
            self._refused += not self._hub.ask(command)
            return
        number, client_ms = answer["ack"], answer.get("t_ms")
        if not isinstance(client_ms, int | float) or not abs(client_ms) <= MAX_NUMBER:  # or NaN
            raise WireError("an acknowledgement names the page's own time")
        if type(number) is not int:
            raise WireError("an acknowledgement names a message")
        heard = mailbox.answer(number, float(client_ms), time.monotonic_ns())
        if heard is not None and answer.get("painted") is True:
            self._hub.note_painted(heard)
