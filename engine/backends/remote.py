"""An ensemble on a server: the Open Inference Protocol, version 2, over HTTP with binary tensors.

Spoken by Triton, among others (https://github.com/kserve/open-inference-protocol and Triton's
binary tensor extension). Only the frame's grey square travels; exam, calibration and journal stay
here. One request is in flight, so newest-wins stays with whoever asks.
"""

import json
import time
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurosono.engine.backends import INPUT, OUTPUTS, Inference, check_pictures
from neurosono.engine.backends.line import Line, NoAnswerError
from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import (
    BundleError,
    EngineUnavailableError,
    ServerAwayError,
)
from neurosono.engine.contracts.server import Server

OPEN_S = 5.0
"""The longest that opening may take: a server that has just started still loads its model."""

JSON_LENGTH = "Inference-Header-Content-Length"


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
        self.members, self.precision = len(manifest.members), "of the server"
        self._known = False
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
        side = {"name": INPUT, "datatype": "UINT8", "shape": [1, 1, self.size_px, self.size_px]}
        ask = {
            "inputs": [side | {"parameters": {"binary_data_size": self.size_px**2}}],
            "outputs": [{"name": name, "parameters": {"binary_data": True}} for name in OUTPUTS],
        }
        self._head = json.dumps(ask).encode()

    def infer(self, grey: NDArray[np.uint8]) -> Inference:
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

    def _infer_one(self, picture: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        body = self._head + np.ascontiguousarray(picture).tobytes()
        headers = {JSON_LENGTH: str(len(self._head)), "Content-Type": "application/octet-stream"}
        deadline_s = time.monotonic() + self._answer_s
        try:
            if not self._known:
                self._greet(self._answer_s)
            left_s = max(0.0, deadline_s - time.monotonic())
            response, content = self._line.ask(
                "POST", f"/v2/models/{self._model}/infer", left_s, body, headers
            )
            return _read_answer(response.getheader(JSON_LENGTH), content)
        except (NoAnswerError, BundleError) as error:
            self.close()
            raise ServerAwayError(f"the inference server gave no answer: {error}") from error

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


def _read_answer(length: str | None, content: bytes) -> list[NDArray[np.float32]]:
    """Return the outputs, in the order of `OUTPUTS`; raises `NoAnswerError`."""
    try:
        end = int(length or "")
        described = json.loads(content[:end])["outputs"]
        found: dict[str, NDArray[np.float32]] = {}
        for each in described:
            size, shape = int(each["parameters"]["binary_data_size"]), tuple(each["shape"])
            if each["datatype"] != "FP32" or size != 4 * prod(shape) or end + size > len(content):
                raise NoAnswerError("an output of another type or size than it says")
            values = np.frombuffer(content, np.float32, prod(shape), end)
            found[each["name"]] = values.reshape(shape)
            end += size
        return [found[name] for name in OUTPUTS]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise NoAnswerError("an answer that is not whole") from error
