"""Where a study's objects go: a folder, a DICOM node, a DICOMweb server."""

import http.client
import io
import json
import os
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info
from pynetdicom import _config
from pynetdicom.sop_class import Verification

from neurosono.engine.contracts.errors import OutputError
from neurosono.stream.hospital.associate import associate
from neurosono.stream.hospital.node import Node
from neurosono.stream.hospital.tls import Tls
from neurosono.stream.hospital.web import connect, split_address, tell_failure

TIMEOUT_S = 30.0
CHUNK = 1 << 20
_ACCEPTED = (200, 201)
_STORED = (0x0000, 0xB000, 0xB006, 0xB007)
"""Stored, or stored with a warning (PS3.4 table B.2-1)."""


def write_files(objects: Sequence[Dataset], out: Path) -> list[Path]:
    """Write the objects into a folder that is new or empty; nobody else may read them."""
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(out.iterdir()):
            raise OutputError(f"{out} is not empty: choose another --out")
        paths = []
        for number, each in enumerate(objects, 1):
            path = out / f"{number}-{each.Modality}.dcm"
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                each.save_as(file, enforce_file_format=True)
            paths.append(path)
    except OSError as error:
        cause = error if error.strerror else error.__cause__  # pydicom puts its own words around it
        reason = getattr(cause, "strerror", None) or "the disk refuses it"
        raise OutputError(f"cannot write into {out}: {reason}; free some space") from error
    return paths


def encode(dataset: Dataset) -> bytes:
    """Return an object as a file's bytes."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def send_dicom(objects: Sequence[Dataset | Path], node: Node) -> None:
    """Store objects, or files of them as they are, on a node, in one association.

    Raises `OutputError` which says what the other side answered and how many it took.
    """
    heads = [
        read_file_meta_info(each) if isinstance(each, Path) else each.file_meta for each in objects
    ]
    contexts: dict[str, list[str]] = {}
    for head in heads:
        known = contexts.setdefault(str(head.MediaStorageSOPClassUID), [])
        if (syntax := str(head.TransferSyntaxUID)) not in known:
            known.append(syntax)
    where = node.where
    _config.STORE_SEND_CHUNKED_DATASET = True  # files are read as they are sent
    association = associate(node, {**contexts, Verification: None}, TIMEOUT_S, OutputError)
    stored = 0
    try:
        for each in objects:
            status = association.send_c_store(each)
            if status.get("Status") not in _STORED:
                said = f"0x{status.Status:04X}" if "Status" in status else "nothing"
                raise OutputError(
                    f"{where} stored {stored} of {len(objects)} objects, then answered {said}"
                )
            stored += 1
    except ValueError as error:  # no context was accepted for this class
        raise OutputError(
            f"{where} stored {stored} of {len(objects)} objects and takes none of "
            f"{heads[stored].MediaStorageSOPClassUID.name}"
        ) from error
    finally:
        if association.is_established:
            association.release()


def send_web(objects: Sequence[Dataset | Path], url: str, tls: Tls | None = None) -> None:
    """Store objects, or files of them, by STOW-RS (PS3.18 10.5) below `url`, the service's root.

    Raises `InputError` for an address that is none, `OutputError` for what the server answered.
    """
    parts = split_address(url)
    host = str(parts.hostname)
    boundary = uuid.uuid4().hex
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    whole = (each if isinstance(each, Path) else encode(each) for each in objects)
    body: list[bytes | Path] = [part for each in whole for part in (head, each, b"\r\n")]
    body.append(f"--{boundary}--\r\n".encode())
    kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
    size = sum(len(each) if isinstance(each, bytes) else each.stat().st_size for each in body)
    headers = {"Content-Type": kind, "Accept": "application/dicom+json"}
    headers["Content-Length"] = str(size)
    where = f"{host}:{parts.port}" if parts.port else host
    try:
        connection = connect(parts.scheme, host, parts.port, tls)
        try:
            connection.request("POST", f"{parts.path.rstrip('/')}/studies", _read(body), headers)
            answer = connection.getresponse()
            told = answer.read(1 << 20)
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as error:
        said = tell_failure(error, parts.scheme, host, parts.port, tls)
        raise OutputError(f"{where} {said}") from error
    failed = _count_failed(told)
    if answer.status not in _ACCEPTED or failed:
        raise OutputError(
            f"{where} answered {answer.status} {answer.reason}"
            + (f" and refused {failed} of {len(objects)} objects" if failed else "")
        )


def _read(body: Sequence[bytes | Path]) -> Iterator[bytes]:
    """Yield what is sent, of files no more at once than the other side takes."""
    for each in body:
        if isinstance(each, bytes):
            yield each
            continue
        with each.open("rb") as file:
            yield from iter(lambda: file.read(CHUNK), b"")


def _count_failed(said: bytes) -> int:
    try:
        found = json.loads(said)
        return len(found.get("00081198", {}).get("Value", []))
    except (ValueError, AttributeError):
        return 0
