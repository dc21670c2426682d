"""What the screens show, for 3D Slicer and others that speak OpenIGTLink: a server of its own.

    STATUS  neurosono           whether the AI is on, and why not
    STRING  neurosono_result    what it says, as JSON
    IMAGE   neurosono_picture   the region with that written under it
    IMAGE   neurosono_heatmap   the last heatmap over its own frame; black once it is 500 ms old

Programs of the same user get the newest of each, at most ten times a second; another user's are
hung up on, as the protocol knows no token, and so is one that takes nothing for a second. Nobody
here waits for them.
"""

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np
from fastcrc import crc64

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.notice import NOTICE
from neurosono.stream.live.peer import is_ours
from neurosono.stream.live.stage import Stage
from neurosono.stream.overlay.typeface import BOLD, REGULAR, Typeface
from neurosono.stream.page.protocol import Command, encode_json, is_blind, withhold_opinion
from neurosono.stream.view.state import LATE_MS
from neurosono.stream.view.words import percentage

_HEADER = struct.Struct(">H12s20sQQQ")
_IMAGE = struct.Struct(">HBBBB3H12f6H")
_STATUS = struct.Struct(">Hq20s")
_STRING = struct.Struct(">HH")
UINT8, LITTLE, RAS, UTF_8 = 3, 2, 1, 106
OK, NOT_READY = 1, 13
"""Status codes of the protocol: "OK" and "Not ready"."""
MOST_CLIENTS = 4
RETRY_S = 0.2
"""Pause after a connection that could not be accepted."""
STALLED_S = 1.0
EVERY_S = 0.1
LINE_PX = 18
SAID = (
    *("exam", "ai", "ai_reason", "pts_s", "state", "state_sentence", "labels", "probabilities"),
    *("low", "high", "prediction_set", "alarm", "frames", "notice"),
)
"""What of a status is given out."""
WHITE, GREY, AMBER = (240, 240, 240), (170, 170, 170), (60, 180, 250)


@dataclass(frozen=True, eq=False)
class _Shown:
    pixels: Pixels
    at_s: float


class IgtlOut:
    """The server; as a context manager it ends with every connection."""

    def __init__(
        self, port: int, host: str = "127.0.0.1", clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        """Raises `InputError` where the port cannot be had."""
        try:
            self._listener = socket.create_server((host, port))
        except OSError as error:
            raise InputError(
                f"cannot listen on {host}:{port} for OpenIGTLink ({error.strerror}); choose "
                "another --igtl-out"
            ) from error
        self.port = int(self._listener.getsockname()[1])
        self.hung_up = 0
        self._clock_s = clock_s
        self._status: tuple[Mapping[str, Any], float] | None = None
        self._picture: _Shown | None = None
        self._heatmap: _Shown | None = None
        self._ended = threading.Event()
        self._clients: set[threading.Thread] = set()
        self._face = Typeface()
        self._said: tuple[int, list[bytes]] = (0, [])
        self._news = threading.Condition()
        works = (self._accept, self._speak_on)
        self._threads = [threading.Thread(target=work, daemon=True) for work in works]
        for each in self._threads:
            each.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up on everybody."""
        self._ended.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._news:
            self._news.notify_all()
        for each in (*self._threads, *self._clients):
            each.join()

    def show(self, pixels: Pixels, status: Mapping[str, Any]) -> None:
        """Take the picture that is shown now, and how things stand."""
        self._picture = _Shown(pixels, self._clock_s())
        self.say(status)

    def say(self, status: Mapping[str, Any]) -> None:
        """Take how things stand."""
        self._status = withhold_opinion(status), self._clock_s()
        if status.get("ai") != "AI ON" or is_blind(status):
            self._heatmap = None

    def show_heatmap(self, pixels: Pixels) -> None:
        """Take a heatmap that was painted over its own frame."""
        if self._status is not None and not is_blind(self._status[0]):
            self._heatmap = _Shown(pixels, self._clock_s())

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                connected, _ = self._listener.accept()
            except OSError:  # at the end; or there is no descriptor left, which may pass
                self._ended.wait(RETRY_S)
                continue
            self._clients = {each for each in self._clients if each.is_alive()}
            if len(self._clients) >= MOST_CLIENTS or not is_ours(connected):
                connected.close()
                continue
            client = threading.Thread(target=self._serve, args=(connected,), daemon=True)
            try:
                client.start()
            except RuntimeError:  # the system refuses another thread
                connected.close()
                continue
            self._clients.add(client)

    def _serve(self, connected: socket.socket) -> None:
        heard = 0
        with connected:
            connected.settimeout(STALLED_S)
            try:
                while not self._ended.is_set():
                    with self._news:
                        while self._said[0] == heard and not self._ended.is_set():
                            self._news.wait()
                        heard, messages = self._said
                    for message in messages:
                        connected.sendall(message)
            except OSError:
                self.hung_up += 1

    def _speak_on(self) -> None:
        """Say every 100 ms what is to be said, once for all; nothing while nobody listens."""
        while not self._ended.wait(EVERY_S):
            if any(each.is_alive() for each in list(self._clients)):
                messages = self._speak()
                with self._news:
                    self._said = self._said[0] + 1, messages
                    self._news.notify_all()

    def _speak(self) -> list[bytes]:
        now_s, status = self._clock_s(), self._now()
        on = status.get("ai") == "AI ON"
        words = f"{status.get('ai')} {status.get('ai_reason', '')}".strip()
        messages = [
            make_status(OK if on else NOT_READY, words),
            make_string("neurosono_result", encode_json({n: status.get(n) for n in SAID})),
        ]
        picture, heatmap = self._picture, self._heatmap
        if picture is not None:
            annotated = annotate(picture.pixels, status, self._face)
            messages.append(make_picture("neurosono_picture", annotated))
        fresh = heatmap is not None and on and now_s - heatmap.at_s <= LATE_MS / 1e3
        shown = heatmap.pixels if heatmap is not None and fresh else np.zeros((8, 8, 3), np.uint8)
        messages.append(make_picture("neurosono_heatmap", shown))
        return messages

    def _now(self) -> Mapping[str, Any]:
        """Return the status as it may be told now: what is too old holds no opinion."""
        if self._status is None:
            return {"ai": "AI STARTING", "notice": NOTICE}
        status, at_s = self._status
        age_ms = (self._clock_s() - at_s) * 1e3 + float(status.get("opinion_age_ms") or 0)
        if status.get("ai") != "AI ON" or age_ms <= LATE_MS or status.get("over"):
            return status
        silent = {"ai": "AI OFF", "ai_reason": f"the last answer is {age_ms / 1e3:.1f} s old"}
        return withhold_opinion({**status, **silent})


class RelayedStage:
    """A stage whose pictures and words also go out by OpenIGTLink."""

    def __init__(self, stage: Stage, out: IgtlOut) -> None:
        self._stage, self._out = stage, out

    def publish(self, pixels: Pixels, status: dict[str, Any]) -> None:
        """Show a picture and what is known with it."""
        self._stage.publish(pixels, status)
        self._out.show(pixels, status)

    def publish_heatmap(self, pixels: Pixels, about: dict[str, Any]) -> None:
        """Show a heatmap, already over its own frame."""
        self._stage.publish_heatmap(pixels, about)
        self._out.show_heatmap(pixels)

    def publish_reading(self, reader: str, pixels: Pixels, about: dict[str, Any]) -> None:
        """Show what a reader found, beside its own frame's pixels."""
        self._stage.publish_reading(reader, pixels, about)

    def publish_evidence(self, label: str, pixels: Pixels, about: dict[str, Any]) -> None:
        """Show a frame that moved the exam."""
        self._stage.publish_evidence(label, pixels, about)

    def publish_status(self, status: dict[str, Any]) -> None:
        """Say how things stand without a picture."""
        self._stage.publish_status(status)
        self._out.say(status)

    def publish_key_frame(self, key_frame_id: str, pixels: Pixels, about: dict[str, Any]) -> None:
        """List a kept picture, or say anew what became of it."""
        self._stage.publish_key_frame(key_frame_id, pixels, about)

    def commands(self) -> list[Command]:
        """Return what the people at the screens asked for since the last call."""
        return self._stage.commands()

    def viewers(self) -> int:
        """Return how many screens watch."""
        return self._stage.viewers()

    def painted_ages_ms(self) -> list[float]:
        """Return how old each picture was that a screen has painted since the last call."""
        return self._stage.painted_ages_ms()


def annotate(pixels: Pixels, status: Mapping[str, Any], face: Typeface) -> Pixels:
    """Return the picture, `(H, W, 3)` BGR uint8, with what is said of it in lines below."""
    lines = [(f"{status.get('ai')} {status.get('ai_reason') or ''}".strip(), BOLD, WHITE)]
    if status.get("state_sentence"):
        lines.append((str(status["state_sentence"]), REGULAR, WHITE))
    values = (status.get(name) or [] for name in ("probabilities", "low", "high"))
    for label, value, low, high in zip(status.get("labels") or [], *values, strict=False):
        words = f"{label} {percentage(value)} ({percentage(low)} to {percentage(high)})"
        lines.append((words, REGULAR, GREY))
    lines.append((NOTICE, REGULAR, AMBER))
    colour = pixels if pixels.ndim == 3 else cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR)
    height, width = colour.shape[:2]
    canvas = np.zeros((height + LINE_PX * len(lines) + 6, width, 3), np.uint8)
    canvas[:height] = colour
    for number, (words, weight, ink) in enumerate(lines):
        at = 6.0, float(height + LINE_PX * (number + 0.75) + 2)
        face.draw(canvas, face.shorten(words, width - 12, 13, weight), at, 13, ink, weight)
    return canvas


def make_status(code: int, words: str) -> bytes:
    """Return a STATUS message."""
    said = words.encode("ascii", "replace") + b"\0"
    return _frame("STATUS", "neurosono", _STATUS.pack(code, 0, b"") + said)


def make_string(device: str, said: bytes) -> bytes:
    """Return a STRING message of UTF-8; what is too long for one says so."""
    if len(said) > 0xFFFF:
        said = json.dumps({"error": "too long for an OpenIGTLink STRING"}).encode()
    return _frame("STRING", device, _STRING.pack(UTF_8, len(said)) + said)


def make_picture(device: str, pixels: Pixels) -> bytes:
    """Return the IMAGE message of a `(H, W, 3)` BGR picture."""
    height, width = pixels.shape[:2]
    size = (width, height, 1)
    matrix = (1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0)
    head = _IMAGE.pack(1, 3, UINT8, LITTLE, RAS, *size, *matrix, 0, 0, 0, *size)
    rgb = np.ascontiguousarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
    return _frame("IMAGE", device, head + rgb.tobytes())


def _frame(kind: str, device: str, body: bytes) -> bytes:
    stamp = int(time.time() * 2**32)
    names = kind.encode(), device.encode()
    return _HEADER.pack(1, *names, stamp, len(body), crc64.ecma_182(body)) + body
