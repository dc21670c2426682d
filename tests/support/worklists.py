"""Worklists of nobody real: entries as files, and dcmtk's server of them, which alters no byte."""

import contextlib
import datetime
import shutil
import socket
import subprocess
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom.dsutils import decode, encode

from tests.support.commands import wait_until
from tests.support.senders import HOST, free_tcp_port

TITLE = "WORKLIST"
TODAY = f"{datetime.datetime.now().astimezone():%Y%m%d}"


def make_entry(
    name: str,
    accession: str,
    *,
    charset: str | None = "ISO_IR 192",
    day: str = TODAY,
    modality: str = "US",
    at: str = "101500",
    step: str = "S1",
) -> Dataset:
    """Return one scheduled step; a `charset` of None names none, and the name is in Latin-1."""
    entry, scheduled = Dataset(), Dataset()
    entry.SpecificCharacterSet = charset or "ISO_IR 100"
    entry.PatientName, entry.PatientID = name, f"ID-{accession}"
    entry.PatientBirthDate, entry.PatientSex = "19900102", "F"
    entry.AccessionNumber = accession
    entry.StudyInstanceUID = f"1.2.826.0.1.3680043.9.{int(accession[2:])}"
    entry.RequestedProcedureID = f"R{accession[2:]}"
    entry.RequestedProcedureDescription = "Neurosonography"
    entry.RequestedProcedurePriority = "ROUTINE"
    entry.ReferringPhysicianName = "Referrer^Rita"
    entry.AdmissionID, entry.CurrentPatientLocation = "", ""
    scheduled.ScheduledStationAETitle, scheduled.Modality = "NEUROSONO", modality
    scheduled.ScheduledProcedureStepStartDate = day
    scheduled.ScheduledProcedureStepStartTime = at
    scheduled.ScheduledPerformingPhysicianName = "Performer^Pat"
    scheduled.ScheduledProcedureStepDescription = "Fetal brain"
    scheduled.ScheduledProcedureStepID = step
    scheduled.ScheduledProcedureStepLocation = "Room 1"
    entry.ScheduledProcedureStepSequence = [scheduled]
    return entry


def receive(entry: Dataset) -> Dataset:
    """Return an entry as it comes over the wire: its strings are bytes until they are decoded."""
    data = encode(entry, True, True)
    assert data is not None
    return decode(BytesIO(data), True, True)


def write_entries(folder: Path, entries: list[Dataset], *, unsaid: tuple[str, ...] = ()) -> Path:
    """Write entries as worklist files; those whose accession is in `unsaid` lose their charset."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, entry in enumerate(entries):
        entry.file_meta = FileMetaDataset()
        entry.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        entry.file_meta.MediaStorageSOPClassUID = "1.2.276.0.7230010.3.1.0.1"
        entry.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number + 1}"
        path = folder / f"{number:03}.wl"
        entry.save_as(path, enforce_file_format=True)
        if entry.AccessionNumber in unsaid:
            data = path.read_bytes()
            at = data.index(b"\x08\x00\x05\x00CS")
            length = 8 + int.from_bytes(data[at + 6 : at + 8], "little")
            path.write_bytes(data[:at] + data[at + length :])
    return folder


@contextlib.contextmanager
def serving_worklist(folder: Path) -> Iterator[str]:
    """Run dcmtk's worklist server until the block ends; yields `AE@HOST:PORT`."""
    if shutil.which("wlmscpfs") is None:
        pytest.skip("no wlmscpfs here: .ci/run installs dcmtk")
    port = free_tcp_port()
    (folder / TITLE).mkdir(exist_ok=True)
    for path in folder.glob("*.wl"):
        shutil.copy(path, folder / TITLE)
    (folder / TITLE / "lockfile").touch()
    command = ["wlmscpfs", "-csk", "-dfr", "-dfp", str(folder), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: _listens(port), 30)
        yield f"{TITLE}@{HOST}:{port}"
    finally:
        process.terminate()
        process.wait(30)


def _listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex((HOST, port)) == 0
