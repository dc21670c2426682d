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

from neurosono.engine.backends import INPUT, OUTPUTS, Inference, check_pictures
from neurosono.engine.backends.line import Line, NoAnswerError
from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.arrays import Pixels, Singles
from neurosono.engine.contracts.errors import (
    BundleError,
    EngineUnavailableError,
    ServerAwayError,
)
from neurosono.engine.contracts.server import Server

OPEN_S = 5.0
"""The longest that opening may take: a server that has just started still loads its model."""

JSON_LENGTH = "Inference-Header-Content-Length"

CLOCK, UNTIL = "clock", "until_ns"
"""An output of our own servers, their monotonic clock in ns; and the parameter that says, by that
clock, until when a question may wait there."""

CLOCK_TOLD = re.compile(rb"clock_ns=(\d{1,19})\b")
"""In a refusal of what waited too long: a server that was started anew has another clock."""

PATIENCE = 0.75
"""How long a question may wait at the server, as a part of what it has in all: it takes a while to
judge, and a later answer would be shown to nobody."""

TYPES = {"FP32": np.float32, "INT64": np.int64}


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
        self._digest, self._classes = manifest.digest, len(manifest.labels)
        self._answer_s, self.size_px = server.answer_s, manifest.preprocessing.size_px
        self.members, self.precision = len(manifest.members), "of-the-server"
        self._known, self._has_clock = False, False
        self._ahead_ns: int | None = None
        self._patience_ns = int(PATIENCE * server.answer_s * 1e9)
        try:
            self._greet(OPEN_S)
        except NoAnswerError as error:
            self.close()
            if not server.waits:
                raise EngineUnavailableError(
                    f"the server at {server.url} has no model {self._model} for us ({error}): "
                    "start it with what `neurosono export triton` wrote of this bundle, or use "
                    "--engine auto"
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
            if self._has_clock and self._ahead_ns is None:
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
                self._ahead_ns = int(told[1]) - time.monotonic_ns()
            raise
        found = _read_answer(response.getheader(JSON_LENGTH), content)
        if CLOCK in found:
            self._ahead_ns = int(found[CLOCK].item()) - time.monotonic_ns()
        return found

    def _write_head(self, until_ns: int | None) -> bytes:
        side = {"name": INPUT, "datatype": "UINT8", "shape": [1, 1, self.size_px, self.size_px]}
        names = [*OUTPUTS, CLOCK] if self._has_clock else OUTPUTS
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
        members = _check_model(found, told, self._digest, self.size_px, self._classes)
        self.members, self.precision = members, str(told.get("precision", "f32"))
        self._has_clock = any(each["name"] == CLOCK for each in found["outputs"])
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
    found: dict[str, Any], told: dict[str, Any], digest: str, size_px: int, classes: int
) -> int:
    """Return how many members the model holds; raise `BundleError` where it is not the bundle's."""
    if told.get("digest") != digest:
        named = told.get("digest")
        other = f"another bundle, {str(named)[:16]}" if named else "a model without a digest"
        raise BundleError(
            f"the server holds {other}, expected {digest[:16]}: export this bundle for it with "
            "`neurosono export triton`"
        )
    try:
        inputs = {each["name"]: (each["datatype"], each["shape"]) for each in found["inputs"]}
        outputs = {each["name"]: each["shape"] for each in found["outputs"]}
        grey, answer = inputs[INPUT], [int(length) for length in outputs["probabilities"]]
        fits = grey[0] == "UINT8" and [int(side) for side in grey[1]][-2:] == [size_px, size_px]
        complete = set(OUTPUTS) <= set(outputs) and len(answer) == 3 and answer[2] == classes
    except (KeyError, TypeError, ValueError) as error:
        raise NoAnswerError("its description of the model is not whole") from error
    if not (fits and complete and answer[1] > 0):
        raise BundleError(
            f"the server's model takes {grey} and gives {answer}, expected {size_px} px pictures "
            f"and {classes} classes: export this bundle for it anew"
        )
    return answer[1]


def _read_answer(length: str | None, content: bytes) -> dict[str, NDArray[Any]]:
    """Return the outputs by name, all of `OUTPUTS` among them; raises `NoAnswerError`."""
    try:
        end = int(length or "")
        described = json.loads(content[:end])["outputs"]
        found: dict[str, NDArray[Any]] = {}
        for each in described:
            size, shape = int(each["parameters"]["binary_data_size"]), tuple(each["shape"])
            kind = np.dtype(np.int64 if each["name"] == CLOCK else np.float32)
            fits = TYPES.get(each["datatype"]) is kind.type and size == kind.itemsize * prod(shape)
            if not fits or end + size > len(content):
                raise NoAnswerError("an output of another type or size than it says")
            found[each["name"]] = np.frombuffer(content, kind, prod(shape), end).reshape(shape)
            end += size
        return found | {name: found[name] for name in OUTPUTS}
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise NoAnswerError("an answer that is not whole") from error
