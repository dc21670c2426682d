"""Storage commitment (push model, PS3.4 J): who is asked whether instances are safe, and who told.

Whoever commits reports it on an association that is still open, or opens one of its own on which it
takes the other role.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pydicom.dataset import Dataset

from neurosono.engine.contracts.errors import InputError, NeurosonoError, OutputError
from neurosono.stream.hospital.associate import associate
from neurosono.stream.hospital.node import Node

if TYPE_CHECKING:
    from pynetdicom import Association
    from pynetdicom.events import Event

COMMITMENT, INSTANCE = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
"""The service, and the one well-known instance that is asked of it."""
REQUEST = 1
"""The Action Type ID of a request."""
ALL_SAFE, SOME_FAILED = 1, 2
"""Event Type IDs of a report."""
MOST_INSTANCES = 10_000
PEER_S = 10.0
FAILED, UNKNOWN = 0x0110, 0x0112
"""Processing failure; no such object instance (PS3.3 C.14.1.1)."""
REASONS = (FAILED, UNKNOWN, 0x0119, 0x0122, 0x0131, 0x0213)
DUPLICATE = 0x0210
"""A request with this number was heard already."""


class Instance(NamedTuple):
    """A SOP class and an instance of it."""

    sop_class: str
    sop_instance: str


class Report(NamedTuple):
    """What somebody says of a request: what is safe, and why the rest is not."""

    transaction: str
    safe: frozenset[Instance]
    failed: dict[str, int]

    def judge(self, asked: Sequence[Instance]) -> dict[str, int]:
        """Return why which of `asked` are not safe: whatever is not said to be so is not."""
        return {
            each.sop_instance: self.failed.get(each.sop_instance, FAILED)
            for each in asked
            if each not in self.safe or each.sop_instance in self.failed
        }


def describe_request(transaction: str, asked: Sequence[Instance]) -> Dataset:
    """Return the action information of a request (PS3.4 table J.3-1)."""
    told = Dataset()
    told.TransactionUID = transaction
    told.ReferencedSOPSequence = [_refer(each) for each in asked]
    return told


def read_request(told: Dataset) -> tuple[str, tuple[Instance, ...]]:
    """Return number and instances of a request; raises `InputError`."""
    transaction, asked = _read_number(told), _read(told.get("ReferencedSOPSequence"))
    if not 0 < len(asked) <= MOST_INSTANCES:
        raise InputError(f"a request names 1 to {MOST_INSTANCES} instances")
    return transaction, tuple(dict.fromkeys(asked))


def describe_report(
    transaction: str, asked: Sequence[Instance], failed: Mapping[str, int]
) -> Dataset:
    """Return the event information of a report (PS3.4 table J.3-2)."""
    told = Dataset()
    told.TransactionUID = transaction
    safe = [_refer(each) for each in asked if each.sop_instance not in failed]
    if safe:
        told.ReferencedSOPSequence = safe
    if failed:
        told.FailedSOPSequence = [
            _refer(each, failed[each.sop_instance]) for each in asked if each.sop_instance in failed
        ]
    return told


def read_report(told: Dataset) -> Report:
    """Return what a report says; raises `InputError`."""
    failed = {}
    for item in told.get("FailedSOPSequence") or []:
        reason = item.get("FailureReason")
        failed[str(item.get("ReferencedSOPInstanceUID"))] = reason if reason in REASONS else FAILED
    safe = frozenset(_read(told.get("ReferencedSOPSequence")))
    return Report(_read_number(told), safe, failed)


@contextlib.contextmanager
def asking_commitment(
    node: Node, transaction: str, asked: Sequence[Instance], hear: "Callable[[Event], Any]"
) -> "Iterator[Association]":
    """Ask a node whether instances are safe; within the block it has the question.

    `hear` gets what it reports on that association. Raises `OutputError` where it does not take it.
    """
    from pynetdicom import evt

    heard = [(evt.EVT_N_EVENT_REPORT, hear)]
    association = associate(node, {COMMITMENT: None}, PEER_S, OutputError, handlers=heard)
    with _released(association, node):
        request = describe_request(transaction, asked)
        status, _ = association.send_n_action(request, REQUEST, COMMITMENT, INSTANCE)
        if status.get("Status") != DUPLICATE:  # a kill came between its answer and our note
            _check(status, node, "the request for storage commitment")
        yield association


def tell_commitment(
    node: Node, transaction: str, asked: Sequence[Instance], failed: Mapping[str, int]
) -> None:
    """Tell a node that asked; raises `OutputError` where it does not hear it."""
    association = associate(node, {COMMITMENT: None}, PEER_S, OutputError, as_scp=(COMMITMENT,))
    with _released(association, node):
        tell_on(association, node, transaction, asked, failed)


def tell_on(
    association: "Association",
    node: Node | None,
    transaction: str,
    asked: Sequence[Instance],
    failed: Mapping[str, int],
) -> None:
    """Tell it on an association that is open; raises `OutputError` where it is not heard."""
    told = describe_report(transaction, asked, failed)
    event = SOME_FAILED if failed else ALL_SAFE
    try:
        status, _ = association.send_n_event_report(told, event, COMMITMENT, INSTANCE)
    except (RuntimeError, ValueError) as error:
        raise OutputError("the association was closed before it could be told") from error
    _check(status, node, "the report of storage commitment")


@contextlib.contextmanager
def _released(association: "Association", node: Node) -> Iterator[None]:
    try:
        yield
    except NeurosonoError:
        raise
    except (RuntimeError, ValueError) as error:
        raise OutputError(f"{node.where} hung up") from error
    finally:
        if association.is_established:
            association.release()


def _check(status: Dataset, node: Node | None, what: str) -> None:
    if status.get("Status") != 0x0000:
        said = f"0x{status.Status:04X}" if "Status" in status else "nothing"
        raise OutputError(f"{'it' if node is None else node.where} answered {said} to {what}")


def _refer(instance: Instance, reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = instance
    if reason is not None:
        item.FailureReason = reason
    return item


def _read(items: Any) -> list[Instance]:
    found = [
        Instance(
            *(str(item.get(f"ReferencedSOP{each}UID") or "") for each in ("Class", "Instance"))
        )
        for item in items or []
    ]
    if not all(_is_uid(word) for each in found for word in each):
        raise InputError("an instance is named by its class and its UID")
    return found


def _read_number(told: Dataset) -> str:
    number = str(told.get("TransactionUID") or "")
    if not _is_uid(number):
        raise InputError("it has no TransactionUID")
    return number


def _is_uid(word: str) -> bool:
    return 0 < len(word) <= 64 and word.replace(".", "").isdecimal() and word.isascii()
