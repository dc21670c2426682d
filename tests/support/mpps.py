"""A hospital's information system that hears of performed procedure steps, in its own process.

No free one is at hand, so this one is made of pynetdicom's other side. It keeps to PS3.4 F.7: a UID
is created once, what is over is not changed. Each message is a line of JSON in a file.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.sop_class import ModalityPerformedProcedureStep

from neurosono.stream.hospital.entity import Entity
from tests.support.commands import wait_until
from tests.support.senders import HOST, free_tcp_port

TITLE = "RIS"


@dataclass(frozen=True)
class Ris:
    """Where it listens, and what it heard; `mood` is a file with the status that it answers."""

    node: str
    heard: Path
    mood: Path

    def messages(self) -> list[tuple[str, str, Dataset]]:
        """Return what it took: N-CREATE or N-SET, of which step, with which attributes."""
        lines = self.heard.read_text(encoding="utf-8").splitlines() if self.heard.exists() else []
        return [(kind, uid, Dataset.from_json(told)) for kind, uid, told in map(json.loads, lines)]

    def statuses(self) -> list[str]:
        return [str(told.PerformedProcedureStepStatus) for _, _, told in self.messages()]


@contextlib.contextmanager
def serving_ris(folder: Path, port: int | None = None) -> Iterator[Ris]:
    """Run one until the block ends."""
    port = port or free_tcp_port()
    ris = Ris(f"{TITLE}@{HOST}:{port}", folder / "heard.jsonl", folder / "mood")
    command = [sys.executable, "-m", __name__, str(port), str(ris.heard), str(ris.mood)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert wait_until(process.stdout.readline).strip() == "ready"
        yield ris
    finally:
        process.kill()
        process.wait(30)
        process.stdout.close()


def serve(port: int, heard: Path, mood: Path) -> None:
    """Listen for ever."""
    steps: dict[str, str] = {}

    def note(kind: str, uid: str, told: Dataset) -> None:
        with heard.open("a", encoding="utf-8") as file:
            file.write(json.dumps([kind, uid, told.to_json_dict()]) + "\n")

    def create(event: Any) -> tuple[int, Dataset | None]:
        uid, told = str(event.request.AffectedSOPInstanceUID), event.attribute_list
        if mood.exists():
            return int(mood.read_text()), None
        if uid in steps:
            return 0x0111, None
        told.decode()
        steps[uid] = told.PerformedProcedureStepStatus
        note("N-CREATE", uid, told)
        return 0x0000, told

    def change(event: Any) -> tuple[int | Dataset, Dataset | None]:
        uid, told = str(event.request.RequestedSOPInstanceUID), event.modification_list
        if mood.exists():
            return int(mood.read_text()), None
        if uid not in steps:
            return 0x0112, None
        if steps[uid] != "IN PROGRESS":
            answer = Dataset()
            answer.Status, answer.ErrorID = 0x0110, 0xA710
            return answer, None
        told.decode()
        steps[uid] = told.PerformedProcedureStepStatus
        note("N-SET", uid, told)
        return 0x0000, told

    entity = Entity(ae_title=TITLE)
    entity.require_called_aet = True
    entity.add_supported_context(ModalityPerformedProcedureStep)
    handlers = [(evt.EVT_N_CREATE, create), (evt.EVT_N_SET, change)]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    entity.start_server((HOST, port), evt_handlers=handlers)


if __name__ == "__main__":
    serve(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
