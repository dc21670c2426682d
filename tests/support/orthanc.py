"""A real PACS: Debian's Orthanc with its DICOMweb plug-in, with ports and a folder of its own."""

import contextlib
import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from neurosono.stream.hospital.node import OWN_TITLE
from neurosono.stream.hospital.tls import Tls
from tests.support.commands import wait_until
from tests.support.senders import HOST, free_tcp_port

PLUGINS = Path("/usr/share/orthanc/plugins")
TITLE = "ORTHANC"


@dataclass(frozen=True)
class Orthanc:
    """Where it listens."""

    http_port: int
    dicom_port: int

    @property
    def node(self) -> str:
        return f"{TITLE}@{HOST}:{self.dicom_port}"

    @property
    def web(self) -> str:
        return f"http://{HOST}:{self.http_port}/dicom-web"

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://{HOST}:{self.http_port}{path}", timeout=20) as answer:
            return json.loads(answer.read())


@contextlib.contextmanager
def serving_orthanc(
    folder: Path,
    worklist: Path | None = None,
    tls: Tls | None = None,
    knows: Mapping[str, int] | None = None,
) -> Iterator[Orthanc]:
    """Run one until the block ends; skips the test where Orthanc is not installed.

    `worklist` is a folder whose `.wl` files it offers as its modality worklist. With `tls`
    both sides of DICOM show certificates. `knows` are the ports of nodes by their titles.
    """
    if shutil.which("Orthanc") is None:
        pytest.skip("no Orthanc here: .ci/run installs Debian's")
    running = Orthanc(free_tcp_port(), free_tcp_port())
    settings = {
        "Name": "test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [str(PLUGINS)],
        "HttpPort": running.http_port,
        "DicomPort": running.dicom_port,
        "DicomAet": TITLE,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    if worklist is not None:
        settings["Worklists"] = {"Enable": True, "Database": str(worklist)}
        knows = {OWN_TITLE: free_tcp_port(), **(knows or {})}
    if knows is not None:
        settings["DicomModalities"] = {title: [title, HOST, port] for title, port in knows.items()}
    if tls is not None:
        settings |= {
            "DicomTlsEnabled": True,
            "DicomTlsCertificate": tls.certfile,
            "DicomTlsPrivateKey": tls.keyfile,
            "DicomTlsTrustedCertificates": tls.cafile,
        }
    path = folder / "orthanc.json"
    path.write_text(json.dumps(settings))
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen(["Orthanc", str(path)], stdout=log, stderr=log)
        try:
            wait_until(lambda: _is_up(running), 60)
            yield running
        finally:
            process.terminate()
            process.wait(30)


def _is_up(running: Orthanc) -> bool:
    try:
        return bool(running.get("/system"))
    except OSError:
        return False
