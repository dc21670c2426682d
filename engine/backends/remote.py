"""An ensemble on a server: the Open Inference Protocol, version 2, over HTTP with binary tensors.

Spoken by Triton, among others (https://github.com/kserve/open-inference-protocol and Triton's
binary tensor extension). Only the frame's grey square travels; exam, calibration and journal stay
here. One request is in flight, so newest-wins stays with whoever asks.
"""

import json
import re
import time
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosono.engine.backends import HINTS, INPUT, OUTPUTS, Inference, check_pictures
from neurosono.engine.backends.line import Line, NoAnswerError
from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.arrays import Pixels, Singles
from neurosono.engine.contracts.errors import (
    BundleError,
    EngineFailedError,
    EngineUnavailableError,
    ServerAwayError,
)
from neurosono.engine.contracts.manifest import Manifest
from neurosono.engine.contracts.server import Server
from neurosono.engine.exam.exam import average_members

OPEN_S = 5.0
"""The longest that opening may take: a server that has just started still loads its model."""

JSON_LENGTH = "Inference-Header-Content-Length"

CLOCK, UNTIL = "clock", "until_ns"
"""An output of our own servers, their monotonic clock in ns; and the parameter that says, by that
clock, until when a question may wait there."""

CLOCK_TOLD = re.compile(rb"clock_ns=(\d{1,19})\b")
"""In a refusal of what waited too long: a server that was started anew has another clock."""

LATEST_NS = 1 << 62
"""A clock beyond this is none: nothing runs for a century and a half."""

PATIENCE = 0.75
"""How long a question may wait at the server, as a part of what it has in all: it takes a while to
judge, and a later answer would be shown to nobody."""

TYPES: dict[str, type[np.float32] | type[np.int64]] = {"FP32": np.float32, "INT64": np.int64}

UNREADABLE = (TypeError, ValueError, LookupError, ArithmeticError, RecursionError)
"""What comes of reading JSON of whatever shape, numbers and depth as if it were as expected."""

EXPORT = "start it with what `neurosono export triton` wrote of this bundle"

UNSAID = "of-the-server"
"""The precision of a server that does not name one of ours: records take no other words."""


def name_model(name: str, digest: str) -> str:
    """Return the name under which a server holds the bundle of this name and digest (sha256)."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in name)
    return f"{plain}-{digest[:16]}"


class RemoteBackend:
    """One model on one server, behind the protocol of `Backend`."""

    name = "remote"

    def __init__(self, bundle: Bundle, server: Server) -> None:
        """Ask `server` for the model of `bundle`, whose digest (sha256) it must name.

        Raises `InputError` on a URL that is none, `EngineUnavailableError` where the server does
        not answer or lacks the model (unless it is to be waited for), `BundleError` where it holds
        another one.
        """
        manifest = bundle.manifest
        self._line = Line(server.url, server.read_token(), server.authority)
        self._model = name_model(manifest.name, manifest.digest)
        self._manifest, self._shapes = manifest, dict[str, tuple[int, ...]]()
        self._answer_s, self.size_px = server.answer_s, manifest.preprocessing.size_px
        self.members, self.precision = len(manifest.members), UNSAID
        self._known = False
        self._ahead_ns: int | None = None
        self._patience_ns = int(PATIENCE * server.answer_s * 1e9)
        try:
            self._greet(OPEN_S)
        except NoAnswerError as error:
            self.close()
            if not server.waits:
                advice = error.advice or EXPORT
                raise EngineUnavailableError(
                    f"the server at {server.url} does not serve {self._model} to us ({error}): "
                    f"{advice}, or use --engine auto"
                ) from error
        except BundleError:
            self.close()
            raise

    def infer(self, grey: Pixels) -> Inference:
        """Judge `(B, size, size)` uint8 pictures, one request each.

        Raises `InputError` on another shape, `ServerAwayError` where no whole answer comes in time;
        the next request then begins on a connection of its own, and asks anew who answers there.
        """
        check_pictures(grey, self.size_px)
        answers = [self._infer_one(picture) for picture in grey]
        return Inference(*(np.concatenate(parts) for parts in zip(*answers, strict=True)))

    def close(self) -> None:
        """End the connection."""
        self._line.close()
        self._known = False

    def _infer_one(self, picture: Pixels) -> list[Singles]:
        asked_ns = time.monotonic_ns()
        deadline_s = asked_ns / 1e9 + self._answer_s
        try:
            if not (self._line.is_open and self._known):
                self._greet(self._answer_s)
            if CLOCK in self._shapes and self._ahead_ns is None:
                self._learn_clock(picture, deadline_s)
            patient_ns = asked_ns + self._patience_ns
            until_ns = None if self._ahead_ns is None else patient_ns + self._ahead_ns
            found = self._ask(picture, until_ns, deadline_s)
            return [found[name] for name in OUTPUTS]
        except (NoAnswerError, BundleError) as error:
            self.close()
            raise ServerAwayError(f"the inference server gave no answer: {error}") from error

    def _learn_clock(self, picture: Pixels, deadline_s: float) -> None:
        """Ask what must be refused at once: the refusal tells the server's clock, and costs it
        nothing, however many ask."""
        try:
            self._ask(picture, 0, deadline_s)
        except NoAnswerError:
            if self._ahead_ns is None:
                raise

    def _ask(
        self, picture: Pixels, until_ns: int | None, deadline_s: float
    ) -> dict[str, NDArray[Any]]:
        """Ask once, and hear the server's clock from whatever it answers."""
        head = self._write_head(until_ns)
        body = head + np.ascontiguousarray(picture).tobytes()
        headers = {JSON_LENGTH: str(len(head)), "Content-Type": "application/octet-stream"}
        left_s = max(0.0, deadline_s - time.monotonic())
        path = f"/v2/models/{self._model}/infer"
        try:
            response, content = self._line.ask("POST", path, left_s, body, headers)
        except NoAnswerError as error:
            if told := CLOCK_TOLD.search(error.content):
                self._set_clock(int(told[1]))
            raise
        found = _read_answer(response.getheader(JSON_LENGTH), content, self._shapes)
        if CLOCK in found:
            self._set_clock(int(found[CLOCK].flat[0]))
        return found

    def _set_clock(self, clock_ns: int) -> None:
        """Note what a server says its clock is, unless no question could carry such a time."""
        if 0 <= clock_ns < LATEST_NS:
            self._ahead_ns = clock_ns - time.monotonic_ns()

    def _write_head(self, until_ns: int | None) -> bytes:
        side = {"name": INPUT, "datatype": "UINT8", "shape": [1, 1, self.size_px, self.size_px]}
        names = [*OUTPUTS, CLOCK] if CLOCK in self._shapes else OUTPUTS
        ask: dict[str, Any] = {
            "inputs": [side | {"parameters": {"binary_data_size": self.size_px**2}}],
            "outputs": [{"name": name, "parameters": {"binary_data": True}} for name in names],
        }
        if until_ns is not None:
            ask["parameters"] = {UNTIL: until_ns}
        return json.dumps(ask).encode()

    def _greet(self, limit_s: float) -> None:
        """Learn what the server holds; raises `NoAnswerError`, `BundleError`."""
        deadline_s = time.monotonic() + limit_s
        path = f"/v2/models/{self._model}"
        found = self._line.ask_json(path, limit_s)
        left_s = max(0.0, deadline_s - time.monotonic())
        told = _read_parameters(found) or _read_parameters(
            self._line.ask_json(f"{path}/config", left_s)
        )
        self._shapes = _check_model(found, told, self._manifest)
        named = told.get("precision", "f32")
        self.members = self._shapes["probabilities"][1]
        self.precision = named if isinstance(named, str) and named in HINTS else UNSAID
        self._known = True


def _read_parameters(found: dict[str, Any]) -> dict[str, Any]:
    """Return a model's parameters: plain values, or `{"string_value": …}` as Triton has them."""
    told = found.get("parameters")
    if not isinstance(told, dict):
        return {}
    return {
        key: value.get("string_value") if isinstance(value, dict) else value
        for key, value in told.items()
    }


def _check_model(
    found: dict[str, Any], told: dict[str, Any], manifest: Manifest
) -> dict[str, tuple[int, ...]]:
    """Return the outputs' shapes for one picture.

    Raises `BundleError` where the model is another than the bundle's, `NoAnswerError` where that is
    not said.
    """
    if (named := told.get("digest")) != manifest.digest:
        other = f"another bundle, {str(named)[:16]}" if named else "a model without a digest"
        raise BundleError(
            f"the server holds {other}, expected {manifest.digest[:16]}: export this bundle for it "
            "with `neurosono export triton`"
        )
    size_px, classes = manifest.preprocessing.size_px, len(manifest.labels)
    try:
        inputs = {each["name"]: (each["datatype"], each["shape"]) for each in found["inputs"]}
        shapes = {each["name"]: (1, *map(int, each["shape"][1:])) for each in found["outputs"]}
        grey, answer = inputs[INPUT], shapes["probabilities"]
        fits = grey[0] == "UINT8" and [int(side) for side in grey[1]][-2:] == [size_px, size_px]
    except UNREADABLE as error:
        raise NoAnswerError("its description of the model is not whole") from error
    if shapes.get(CLOCK) != (1, 1):
        shapes.pop(CLOCK, None)
    complete = set(OUTPUTS) <= set(shapes) and len(answer) == 3 and answer[2] == classes
    if not (fits and complete and 0 < answer[1] <= len(manifest.members)):
        raise BundleError(
            f"the server's model takes {grey} and gives {answer}, expected {size_px} px pictures "
            f"and {classes} classes of at most {len(manifest.members)} members: export this bundle "
            "for it anew"
        )
    return shapes


def _read_answer(
    length: str | None, content: bytes, shapes: dict[str, tuple[int, ...]]
) -> dict[str, NDArray[Any]]:
    """Return the outputs by name, all of `OUTPUTS` among them and as `shapes` has them.

    Raises `NoAnswerError`, also on numbers that no network gives: they would end the engine, and a
    server that has lost its wits may find them again.
    """
    try:
        end = int(length or "")
        found: dict[str, NDArray[Any]] = {}
        for each in json.loads(content[:end])["outputs"]:
            name, told_size = each["name"], each["parameters"]["binary_data_size"]
            kind, shape = TYPES[each["datatype"]], shapes[name]
            size = kind().itemsize * prod(shape)
            fits = (kind is np.int64) == (name == CLOCK) and tuple(each["shape"]) == shape
            if not fits or told_size != size or end + size > len(content):
                raise NoAnswerError("an output of another type or size than it says")
            found[name] = np.frombuffer(content, kind, prod(shape), end).reshape(shape)
            end += size
        answer = [found[name] for name in OUTPUTS]
        average_members(answer[0][0], shapes["probabilities"][2])
    except UNREADABLE as error:
        raise NoAnswerError("an answer that is not whole") from error
    except EngineFailedError as error:
        raise NoAnswerError("numbers that are no probabilities") from error
    if not all(np.isfinite(each).all() for each in answer):
        raise NoAnswerError("numbers that are not finite")
    return found
