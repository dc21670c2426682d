"""Both other sides of storage commitment, made of pynetdicom: a scanner, and a PACS of any mood."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import evt
from pynetdicom.sop_class import StorageCommitmentPushModel

from neurosono.stream.hospital.commitment import INSTANCE, Instance, describe_request, read_report
from neurosono.stream.hospital.entity import Entity
from tests.support.senders import HOST


def name(*cines: Dataset) -> list[Instance]:
    return [Instance(str(each.SOPClassUID), str(each.SOPInstanceUID)) for each in cines]


@dataclass
class Heard:
    """What a scanner was told, and the status with which it answers."""

    reports: list[tuple[int, Any]] = field(default_factory=list)
    status: int = 0x0000

    def hear(self, event: evt.Event) -> tuple[int, None]:
        self.reports.append((event.event_type, read_report(event.event_information)))
        return self.status, None


@contextlib.contextmanager
def serving(title: str, port: int, *handlers: tuple[Any, Callable[[Any], Any]]) -> Iterator[int]:
    """Listen as `title` until the block ends; yields the port."""
    entity = Entity(ae_title=title)
    entity.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
    server = entity.start_server((HOST, port), block=False, evt_handlers=list(handlers))
    try:
        yield int(server.socket.getsockname()[1])
    finally:
        server.shutdown()


@contextlib.contextmanager
def asking(
    port: int, title: str, heard: Heard | None = None, called: str = "NODE"
) -> Iterator[Any]:
    """Open an association with a node, on which to ask; and to hear, where it is told there."""
    entity = Entity(ae_title=title)
    entity.add_requested_context(StorageCommitmentPushModel)
    handlers = [] if heard is None else [(evt.EVT_N_EVENT_REPORT, heard.hear)]
    association = entity.associate(HOST, port, ae_title=called, evt_handlers=handlers)
    assert association.is_established
    try:
        yield association
    finally:
        association.release()


def ask(
    association: Any, asked: Sequence[Instance], number: str = "", *, action: int = 1
) -> tuple[str, int]:
    """Ask for some instances; returns the request's number and what is answered."""
    number = number or str(generate_uid())
    request = describe_request(number, asked)
    where = StorageCommitmentPushModel, INSTANCE
    status, _ = association.send_n_action(request, action, *where)
    return number, int(status.Status)
