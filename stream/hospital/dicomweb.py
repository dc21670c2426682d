"""Fetching a study by DICOMweb (PS3.18: QIDO-RS finds, WADO-RS retrieves), to be replayed.

    dicomweb://HOST[:PORT]/ROOT/studies/UID[/series/UID[/instances/UID]]
    dicomweb://HOST[:PORT]/ROOT/studies?AccessionNumber=A-77

`dicomweb+http://` speaks without TLS. What comes lies in a private folder as long as it is used.
"""

import http.client
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qsl, urlencode, urlsplit

from neurosono.engine.contracts.errors import InputError, SourceError
from neurosono.stream.hospital.tls import Tls
from neurosono.stream.hospital.web import connect, tell_failure

SCHEMES = {"dicomweb": "https", "dicomweb+http": "http"}
MOST_BYTES = 8 << 30
"""Of all that is fetched for one replay."""
MOST_ANSWER_BYTES = 16 << 20
MOST_INSTANCES = 2000
CHUNK_BYTES = 1 << 20
UID = re.compile(r"[0-9.]{1,64}")
_PLACE = re.compile(
    r"(?P<root>.*)/studies(?:/(?P<study>[0-9.]{1,64})(?:/series/(?P<series>[0-9.]{1,64})"
    r"(?:/instances/(?P<instance>[0-9.]{1,64}))?)?)?/?"
)
_STUDY, _SERIES, _INSTANCE, _FRAMES, _ROWS = "0020000D", "0020000E", "00080018", "00280008", "00280010"  # fmt: skip  # noqa: E501


def is_dicomweb(source: str) -> bool:
    """Whether a source is named by its address on a DICOMweb server."""
    return source.partition("://")[0] in SCHEMES


@dataclass(frozen=True)
class Place:
    """What an address names: a study, series or instance, or a search for one study."""

    scheme: str
    host: str
    port: int | None
    root: str
    study: str | None
    series: str | None
    instance: str | None
    search: tuple[tuple[str, str], ...]

    @property
    def where(self) -> str:
        """The server in words."""
        return self.host if self.port is None else f"{self.host}:{self.port}"


def parse_place(address: str) -> Place:
    """Read an address; raises `InputError` without repeating what it searches for."""
    advice = "name it dicomweb://HOST[:PORT]/ROOT/studies/UID, or …/studies?AccessionNumber=…"
    parts = urlsplit(address)
    found = _PLACE.fullmatch(parts.path)
    if parts.scheme not in SCHEMES or not parts.hostname or parts.username or found is None:
        raise InputError(f"this is no study of a DICOMweb server: {advice}")
    search = tuple(parse_qsl(parts.query))
    if (found["study"] is None) == (not search):
        raise InputError(f"name either a study by its UID or what to search for: {advice}")
    try:
        port = parts.port
    except ValueError as error:
        raise InputError(f"the port of a DICOMweb server is a number: {advice}") from error
    scheme = SCHEMES[parts.scheme]
    named = (found["study"], found["series"], found["instance"])
    return Place(scheme, parts.hostname, port, found["root"], *named, search)


@contextmanager
def fetch_sources(
    sources: Sequence[str], token: str | None = None, tls: Tls | None = None
) -> Iterator[tuple[str, ...]]:
    """Yield the sources with folders in the place of addresses; they go when the block ends.

    `token` is shown to the servers as a bearer's, and with `tls` a certificate. Raises
    `SourceError` with what a server said.
    """
    with ExitStack() as stack:
        local = []
        for source in sources:
            if not is_dicomweb(source):
                local.append(source)
                continue
            place = parse_place(source)
            folder = Path(tempfile.mkdtemp(prefix="neurosono-"))  # of mode 700
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            _Server(place, token, tls).fetch(folder)
            local.append(str(folder))
        yield tuple(local)


class _Server:
    """One server, asked for one study."""

    def __init__(self, place: Place, token: str | None, tls: Tls | None) -> None:
        self._place, self._left_bytes, self._tls = place, MOST_BYTES, tls
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def fetch(self, folder: Path) -> None:
        place = self._place
        study = place.study or self._find_study()
        found = self._list_instances(study)
        if not found:
            raise SourceError(f"{place.where} has no picture there: check the address")
        for number, (series, instance) in enumerate(found):
            path = f"/studies/{study}/series/{series}/instances/{instance}"
            accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
            self._ask(path, accept, partial(self._save, path=folder / f"{number:05}.dcm"))

    def _find_study(self) -> str:
        search = urlencode([*self._place.search, ("limit", "2")])
        found = self._query(f"/studies?{search}")
        if len(found) != 1:
            count = "no study" if not found else "more than one study"
            raise SourceError(
                f"{self._place.where} has {count} of what is searched for: name one by its UID"
            )
        return _read_uid(found[0], _STUDY, self._place)

    def _list_instances(self, study: str) -> list[tuple[str, str]]:
        """Return series and instance of all pictures, in the order of their numbers."""
        place = self._place
        below = "" if place.series is None else f"/series/{place.series}"
        asked = "includefield=NumberOfFrames&includefield=Rows&includefield=InstanceNumber"
        rows = self._query(f"/studies/{study}{below}/instances?{asked}&limit={MOST_INSTANCES}")
        found = []
        for row in rows:
            uids = _read_uid(row, _SERIES, place), _read_uid(row, _INSTANCE, place)
            if place.instance in (None, uids[1]) and (_ROWS in row or _FRAMES in row):
                found.append((_read_number(row), uids))
        if len(rows) >= MOST_INSTANCES:
            raise SourceError(f"that study has {MOST_INSTANCES} objects or more: name one series")
        return [uids for _, uids in sorted(found)]

    def _query(self, path: str) -> list[dict[str, Any]]:
        def read(answer: http.client.HTTPResponse) -> Any:
            said = answer.read(MOST_ANSWER_BYTES + 1)
            if answer.status == 204 or not said:
                return []
            if len(said) > MOST_ANSWER_BYTES:
                raise ValueError("too long")
            return json.loads(said)

        try:
            rows = self._ask(path, "application/dicom+json", read)
        except ValueError:
            rows = None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise SourceError(f"{self._place.where} gave an answer that is no DICOM JSON")
        return rows

    def _ask(self, path: str, accept: str, take: Callable[[http.client.HTTPResponse], Any]) -> Any:
        place = self._place
        address = place.scheme, place.host, place.port
        try:
            with closing(connect(*address, self._tls)) as connection:
                headers = {"Accept": accept, **self._headers}
                connection.request("GET", f"{place.root}{path}", headers=headers)
                answer = connection.getresponse()
                if answer.status not in (200, 204):
                    raise SourceError(
                        f"{place.where} answered {answer.status} {answer.reason}: check the "
                        "address" + (", and --web-token" if answer.status in (401, 403) else "")
                    )
                return take(answer)
        except (OSError, http.client.HTTPException) as error:
            raise SourceError(
                f"{place.where} {tell_failure(error, *address, self._tls)}"
            ) from error

    def _save(self, answer: http.client.HTTPResponse, path: Path) -> None:
        """Write the one part of a multipart answer to a file, without holding it in memory."""
        boundary = answer.headers.get_param("boundary")
        if answer.headers.get_content_maintype() != "multipart" or not boundary:
            raise SourceError(f"{self._place.where} sent no multipart answer for an object")
        end = b"\r\n--" + str(boundary).encode()
        _skip_head(answer, end[2:])
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            self._copy(answer, file, end)

    def _copy(self, answer: http.client.HTTPResponse, file: BinaryIO, end: bytes) -> None:
        held = b""
        while True:
            chunk = answer.read(CHUNK_BYTES)
            held += chunk
            at = held.find(end)
            if at >= 0:
                file.write(held[:at])
                return
            if not chunk:
                raise SourceError(f"{self._place.where} broke off in the middle of an object")
            self._left_bytes -= len(chunk)
            if self._left_bytes < 0:
                raise SourceError(f"that is over {MOST_BYTES >> 30} GB: name one series")
            file.write(held[: -len(end)])
            held = held[-len(end) :]


def _skip_head(answer: http.client.HTTPResponse, boundary: bytes) -> None:
    """Read up to where the part's own bytes begin."""
    lines = 0
    while (line := answer.readline(4096)) and lines < 100:
        lines += 1
        if line.strip() == boundary:
            while (line := answer.readline(4096)).strip() and lines < 100:
                lines += 1
            return
    raise http.client.HTTPException


def _read_uid(row: dict[str, Any], tag: str, place: Place) -> str:
    values = (row.get(tag) or {}).get("Value") or [""]
    if UID.fullmatch(str(values[0])) is None:
        raise SourceError(f"{place.where} gave an answer that names no {tag}")
    return str(values[0])


def _read_number(row: dict[str, Any]) -> int:
    values = (row.get("00200013") or {}).get("Value") or [0]
    return int(values[0]) if str(values[0]).lstrip("-").isdecimal() else 0
